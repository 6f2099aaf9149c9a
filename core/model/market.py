"""Contracts and quotes, as every broker adapter returns them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.model.types import Currency, MarketDataType, PriceSource, SecurityType, Symbol
from core.money import BPS

NEW_YORK = ZoneInfo("America/New_York")
IDEALPRO = "IDEALPRO"  # IBKR's currency exchange
SMART = "SMART"  # IBKR's router over all exchanges
TWO = Decimal(2)


@dataclass(frozen=True, slots=True)
class TickBand:
    """From `low_edge` (a price) upwards, prices move in steps of `increment`."""

    low_edge: Decimal
    increment: Decimal


@dataclass(frozen=True, slots=True)
class Contract:
    """The broker's description of one tradable instrument.

    `ticks` are ascending by low edge and never empty (market rule of `exchange`, else minTick, else 0.01), in
    `currency`. `liquid_hours` (the regular session) and `trading_hours` are the broker's own text in `time_zone`, which
    `core.market.hours` parses. `fractional` means that the broker takes quantities below one share.
    """

    symbol: Symbol
    con_id: int
    security_type: SecurityType
    currency: Currency
    ticks: tuple[TickBand, ...]
    exchange: str = SMART
    primary_exchange: str = ""
    liquid_hours: str = ""
    trading_hours: str = ""
    time_zone: str = NEW_YORK.key
    fractional: bool = False


class QuoteRefusal(NamedTuple):
    """Why the broker sends no market data of a symbol: its own words, with its code, and what to do about it.

    `is_unknown`: the broker finds no such contract.
    """

    text: str
    next_step: str
    is_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Quote:
    """The market in a symbol at `taken_at`.

    Prices are in the contract's currency (USD.CAD: CAD per USD); None is an absent value, never a zero or −1, which
    the broker sends for it. `is_snapshot` marks the answer to one request, in place of a stream; `filled` are the
    prices (bid, ask, last) of a stream that a snapshot had to supply. With a `refusal` the broker sends no more of it.
    """

    symbol: Symbol
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    taken_at: datetime
    previous_close: Decimal | None = None
    data_type: MarketDataType = MarketDataType.LIVE
    is_halted: bool = False
    is_snapshot: bool = False
    filled: frozenset[str] = frozenset()
    refusal: QuoteRefusal | None = None


class Nbbo(NamedTuple):
    """Best bid and offer, 0 < bid ≤ ask, in the contract's currency per share."""

    bid: Decimal
    ask: Decimal

    @property
    def mid(self) -> Decimal:
        """Halfway between bid and ask, unrounded."""
        return (self.bid + self.ask) / TWO

    @property
    def spread(self) -> Decimal:
        """Ask − bid; 0 when the market is locked."""
        return self.ask - self.bid

    @property
    def spread_bps(self) -> Decimal:
        """The spread in bps of the mid; 99.99 to 100.01 is 2."""
        return self.spread * BPS / self.mid

    def is_wide(self, most_bps: Decimal) -> bool:
        """Whether the spread is strictly above `most_bps` of the mid; compared without division."""
        return self.spread * BPS > most_bps * self.mid


class Price(NamedTuple):
    """A valuation price (contract currency per share) and its source; `note` says which better source was unusable."""

    value: Decimal
    source: PriceSource
    note: str = ""

    @property
    def source_text(self) -> str:
        """`last`, or `midpoint (last 108.00 outside 100.00–100.01)`."""
        return f"{self.source} ({self.note})" if self.note else self.source.value
