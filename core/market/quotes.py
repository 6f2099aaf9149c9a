"""What a quote is worth: its best bid and offer, the price that values a holding, and whether it is too old.

A value ≤ 0 is absent, like None. A crossed quote (bid above ask) and a halted symbol have no usable bid
and ask, alone or together, but their last trade may still value a holding. A last trade outside a market that is
fresh and not wide is no price: an old print, or one from before a split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from core.model import MarketDataType, Price, PriceSource, Quote, QuoteRules
from core.money import BPS, ZERO
from core.text import price_text

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

    def is_wide(self, most_bps: Decimal) -> bool:
        """Whether the spread is strictly above `most_bps` of the mid; compared without division."""
        return self.spread * BPS > most_bps * self.mid


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


def price_of(quote: Quote, rules: QuoteRules, now: datetime) -> Price | None:
    """The price that values a holding and where it came from, or None when there is none.

    The chain last → midpoint → bidask (the bid, else the ask) starts at `rules.price_source` and goes
    round once, past a last trade that the market contradicts. A snapshot is always valued by its last, else its mid,
    else its bid or ask, with source SNAPSHOT, and only when `rules.fallback_to_snapshot`.
    """
    if quote.is_snapshot and not rules.fallback_to_snapshot:
        return None
    note = ""
    for source, value_of in CHAIN if quote.is_snapshot else CHAIN_FROM[rules.price_source]:
        value = value_of(quote)
        if value is None:
            continue
        if source is PriceSource.LAST and (contradiction := _why_no_last(quote, rules, now)):
            note = contradiction
            continue
        return _as_price(quote, source, value, note)
    return None


def lacks_price(quote: Quote, rules: QuoteRules) -> bool:
    """Whether nothing in `quote` can value a holding, at whatever time; a snapshot should be asked for then."""
    return price_of(quote, rules, quote.taken_at) is None


def is_stale(quote: Quote, rules: QuoteRules, now: datetime) -> bool:
    """Whether `quote` is strictly older than `rules.stale_after`: 10.0 s old is fresh at a limit of 10 s."""
    return now - quote.taken_at > rules.stale_after


def needs_another_look(quote: Quote, rules: QuoteRules, now: datetime) -> bool:
    """Whether to ask for `quote` once more before planning: stale, one-sided, or otherwise without a usable NBBO."""
    return is_stale(quote, rules, now) or nbbo(quote) is None


def completed(streamed: Quote, snapshot: Quote, rules: QuoteRules) -> Quote:
    """`streamed` with what only `snapshot` knows; the snapshot itself where the stream has no price at all.

    Bid and ask come together from a snapshot that has both, with their time and their data type. From one that has
    not, a last trade or a side fills the gap, and the older of the two times counts.
    """
    if lacks_price(streamed, rules):
        return streamed if lacks_price(snapshot, rules) else snapshot
    filled: dict[str, Any] = {}
    if _last(streamed) is None and _last(snapshot) is not None:
        filled["last"] = snapshot.last
    market = nbbo(snapshot) if nbbo(streamed) is None else None
    if market:
        filled |= market._asdict()
    elif nbbo(streamed) is None:
        filled |= _missing_sides(streamed, snapshot)
    if not filled:
        return streamed
    return replace(
        streamed,
        **filled,
        taken_at=snapshot.taken_at if market else min(streamed.taken_at, snapshot.taken_at),
        data_type=streamed.data_type
        if snapshot.data_type is MarketDataType.LIVE and not market
        else snapshot.data_type,
        filled=frozenset(filled),
    )


def _missing_sides(streamed: Quote, snapshot: Quote) -> dict[str, Decimal]:
    """The sides that the stream lacks, halted apart, and the snapshot has."""
    if streamed.is_halted:
        return {}
    sides = zip(("bid", "ask"), usable_sides(streamed), usable_sides(snapshot), strict=True)
    return {name: theirs for name, ours, theirs in sides if ours is None and theirs is not None}


def _why_no_last(quote: Quote, rules: QuoteRules, now: datetime) -> str:
    """Why the last trade is no price, with its numbers: a market that is fresh and not wide has left it behind."""
    market, last = nbbo(quote), quote.last
    if market is None or last is None or market.bid <= last <= market.ask:
        return ""
    if is_stale(quote, rules, now) or market.is_wide(rules.wide_spread_bps):
        return ""
    return f"last {price_text(last)} outside {price_text(market.bid)}–{price_text(market.ask)}"


def _as_price(quote: Quote, source: PriceSource, value: Decimal, note: str) -> Price:
    """The price with its source; one that a snapshot supplied says so, and which of the chain it is."""
    if quote.is_snapshot:
        return Price(value, PriceSource.SNAPSHOT, f"{source}, {note}" if note else "")
    if not quote.filled:
        return Price(value, source, note)
    if source is PriceSource.BIDASK:
        names = {"ask" if usable_sides(quote)[0] is None else "bid"}
    else:
        names = {"last"} if source is PriceSource.LAST else {"bid", "ask"}
    if names & quote.filled:
        return Price(value, PriceSource.SNAPSHOT, f"{source}, {note}" if note else source.value)
    return Price(value, source, note)


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
