"""What a quote is worth: its best bid and offer, the price that values a holding, and whether it is too old.

A value ≤ 0 is absent, like None. A crossed quote (bid above ask) and a halted symbol have no usable bid
and ask, alone or together, but their last trade may still value a holding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from core.model import Price, PriceSource, Quote, QuoteRules
from core.money import BPS, ZERO

Source = tuple[PriceSource, Callable[[Quote], Decimal | None]]


class Nbbo(NamedTuple):
    """Best bid and offer, 0 < bid ≤ ask, in the contract's currency per share."""

    bid: Decimal
    ask: Decimal

    @property
    def mid(self) -> Decimal:
        """Halfway between bid and ask, unrounded."""
        return (self.bid + self.ask) / 2

    @property
    def spread(self) -> Decimal:
        """Ask − bid; 0 when the market is locked."""
        return self.ask - self.bid

    @property
    def spread_bps(self) -> Decimal:
        """The spread in bps of the mid; 99.99 to 100.01 is 2."""
        return self.spread * BPS / self.mid


def nbbo(quote: Quote) -> Nbbo | None:
    """The best bid and offer, or None when a side is missing, bid > ask, or the symbol is halted.

    Locked (bid = ask) is usable.
    """
    bid, ask = quote.bid, quote.ask
    if bid is None or ask is None or quote.is_halted or not ZERO < bid <= ask:
        return None
    return Nbbo(bid, ask)


def why_no_nbbo(quote: Quote) -> str | None:
    """Why there is no usable bid and offer, in words; None when there is one."""
    bid, ask = _present(quote.bid), _present(quote.ask)
    if quote.is_halted:
        return "trading is halted"
    if bid is None:
        return "no bid" if ask is not None else "no bid and no ask"
    if ask is None:
        return "no ask"
    return f"crossed, bid {bid} above ask {ask}" if bid > ask else None


def usable_sides(quote: Quote) -> tuple[Decimal | None, Decimal | None]:
    """Bid and ask as far as each may be used: both absent when crossed or halted."""
    bid, ask = _present(quote.bid), _present(quote.ask)
    is_crossed = bid is not None and ask is not None and bid > ask
    return (None, None) if is_crossed or quote.is_halted else (bid, ask)


def price_of(quote: Quote, rules: QuoteRules) -> Price | None:
    """The price that values a holding and where it came from, or None when there is none.

    The chain last → midpoint → bidask (the bid, else the ask) starts at `rules.price_source` and goes
    round once. A snapshot is always valued by its last, else its mid, else its bid or ask, with source
    SNAPSHOT, and only when `rules.fallback_to_snapshot`.
    """
    if quote.is_snapshot:
        found = _first(quote, CHAIN) if rules.fallback_to_snapshot else None
        return Price(found.value, PriceSource.SNAPSHOT) if found else None
    return _first(quote, CHAIN_FROM[rules.price_source])


def lacks_price(quote: Quote, rules: QuoteRules) -> bool:
    """Whether nothing in `quote` can value a holding, so that a snapshot should be asked for."""
    return price_of(quote, rules) is None


def is_stale(quote: Quote, rules: QuoteRules, now: datetime) -> bool:
    """Whether `quote` is strictly older than `rules.stale_after`: 10.0 s old is fresh at a limit of 10 s."""
    return now - quote.taken_at > rules.stale_after


def needs_another_look(quote: Quote, rules: QuoteRules, now: datetime) -> bool:
    """Whether to ask for `quote` once more before planning: stale, one-sided, or otherwise without a usable NBBO."""
    return is_stale(quote, rules, now) or nbbo(quote) is None


def _first(quote: Quote, chain: Iterable[Source]) -> Price | None:
    for source, value_of in chain:
        value = value_of(quote)
        if value is not None:
            return Price(value, source)
    return None


def _present(value: Decimal | None) -> Decimal | None:
    return value if value is not None and value > ZERO else None


def _last(quote: Quote) -> Decimal | None:
    return _present(quote.last)


def _midpoint(quote: Quote) -> Decimal | None:
    market = nbbo(quote)
    return market.mid if market else None


def _bid_or_ask(quote: Quote) -> Decimal | None:
    bid, ask = usable_sides(quote)
    return bid if bid is not None else ask


CHAIN: tuple[Source, ...] = (
    (PriceSource.LAST, _last),
    (PriceSource.MIDPOINT, _midpoint),
    (PriceSource.BIDASK, _bid_or_ask),
)
CHAIN_FROM = {source: CHAIN[start:] + CHAIN[:start] for start, (source, _) in enumerate(CHAIN)}
