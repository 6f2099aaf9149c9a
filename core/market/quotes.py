"""What a quote can be used for at one moment: one verdict per quote, for valuing, pricing and refusing alike.

A value ≤ 0 is absent, like None. A crossed quote (bid above ask) and a halted symbol have no usable bid
and ask, alone or together, but their last trade may still value a holding. A last trade outside a market that is
fresh and not wide is no price: an old print, or one from before a split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from core.model import MarketDataType, Nbbo, Price, PriceSource, Quote, Symbol
from core.money import ZERO
from core.settings import Settings
from core.text import price_text

# members of an enum are looked up slowly (Python 3.11), and these for every symbol
LAST, MIDPOINT, BIDASK, SNAPSHOT = (
    PriceSource.LAST,
    PriceSource.MIDPOINT,
    PriceSource.BIDASK,
    PriceSource.SNAPSHOT,
)
LIVE = MarketDataType.LIVE


class Verdict(NamedTuple):
    """What `quote` can be used for at the moment of `judge`.

    `price` values a holding, None when nothing in the quote can. `nbbo` is the best bid and offer where both may be
    used, else None, and `why_no_nbbo` is the reason ("" where there is one). `is_stale` is strictly older than
    `stale_after`: 10.0 s old is fresh at a limit of 10 s. `is_live` is data that is neither delayed nor frozen.
    """

    quote: Quote
    price: Price | None
    nbbo: Nbbo | None
    why_no_nbbo: str
    is_stale: bool
    is_live: bool

    @property
    def sides(self) -> tuple[Decimal | None, Decimal | None]:
        """Bid and ask as far as each may be used: both absent when crossed or halted."""
        return usable_sides(self.quote)

    @property
    def needs_another_look(self) -> bool:
        """Whether to ask for the quote once more before planning: stale, one-sided, or without a usable NBBO.

        One that the broker refuses was answered, and is not asked for again.
        """
        return self.quote.refusal is None and (self.is_stale or self.nbbo is None)

    @property
    def needs_snapshot(self) -> bool:
        """Whether a snapshot may add what is missing: a price, or the bid and offer of a symbol that is not halted."""
        is_lacking = self.price is None or (self.nbbo is None and not self.quote.is_halted)
        return is_lacking and self.quote.refusal is None


# calling the class takes half as long again, and these are made for every symbol
new_verdict, new_nbbo, new_price = Verdict.__new__, Nbbo.__new__, Price.__new__


def judge(quote: Quote, settings: Settings, now: datetime) -> Verdict:
    """The verdict on a quote at `now`; a snapshot counts only where `settings.pricing.fallback_to_snapshot`.

    Bid 100.00, ask 100.01 and a last trade of 108.00 give a price of 100.005, source midpoint: the market has left
    that trade behind. Without the ask the price is 108.00, and `why_no_nbbo` is "no ask".
    """
    return _judged(quote, settings, now - settings.limits.stale_after)


def judge_all(quotes: Mapping[Symbol, Quote], settings: Settings, now: datetime) -> dict[Symbol, Verdict]:
    """The verdict on each quote, in the order of `quotes`."""
    oldest = now - settings.limits.stale_after
    return {symbol: _judged(quote, settings, oldest) for symbol, quote in quotes.items()}


def _judged(quote: Quote, settings: Settings, oldest: datetime) -> Verdict:
    """The verdict on a quote that is stale when it was taken before `oldest`."""
    is_stale, is_live = quote.taken_at < oldest, quote.data_type is LIVE
    if quote.is_snapshot and not settings.pricing.fallback_to_snapshot:
        return Verdict(quote, None, None, "only a snapshot", is_stale, is_live)
    market = _nbbo(quote)
    why_not = "" if market else why_no_nbbo(quote)
    price = _price(quote, market, settings, is_stale=is_stale)
    return new_verdict(Verdict, quote, price, market, why_not, is_stale, is_live)


def _nbbo(quote: Quote) -> Nbbo | None:
    """The best bid and offer, or None when a side is missing, bid > ask, or the symbol is halted.

    Locked (bid = ask) is usable.
    """
    bid, ask = quote.bid, quote.ask
    if bid is None or ask is None or quote.is_halted or not ZERO < bid <= ask:
        return None
    return new_nbbo(Nbbo, bid, ask)


def why_no_nbbo(quote: Quote) -> str:
    """Why there is no usable bid and offer, as text; "" when there is one."""
    bid, ask = _present(quote.bid), _present(quote.ask)
    if quote.refusal:
        return quote.refusal.text
    if quote.is_halted:
        return "trading is halted"
    if bid is None:
        return "no bid" if ask is not None else "no bid and no ask"
    if ask is None:
        return "no ask"
    return f"crossed, bid {bid} above ask {ask}" if bid > ask else ""


def refusal_texts(quotes: Iterable[Quote]) -> tuple[str, ...]:
    """The broker's words where it refuses market data, with the symbols: `BND, VTI: Requested … subscribed. (354)`."""
    symbols: dict[str, list[Symbol]] = {}
    for quote in quotes:
        if quote.refusal:
            symbols.setdefault(quote.refusal.text, []).append(quote.symbol)
    return tuple(sorted(f"{', '.join(sorted(concerned))}: {text}" for text, concerned in symbols.items()))


def usable_sides(quote: Quote) -> tuple[Decimal | None, Decimal | None]:
    """Bid and ask as far as each may be used: both absent when crossed or halted."""
    bid, ask = _present(quote.bid), _present(quote.ask)
    is_crossed = bid is not None and ask is not None and bid > ask
    return (None, None) if is_crossed or quote.is_halted else (bid, ask)


def _price(quote: Quote, market: Nbbo | None, settings: Settings, *, is_stale: bool) -> Price | None:
    """The price that values a holding and where it came from, or None when there is none.

    The chain last → midpoint → bidask (the bid, else the ask) starts at `settings.pricing.price_source` and goes
    round once, past a last trade that the market contradicts. A snapshot is always valued by its last, else its mid,
    else its bid or ask, with source SNAPSHOT.
    """
    note, is_filled = "", quote.is_snapshot or quote.filled
    for source, value_of in CHAIN if quote.is_snapshot else CHAIN_FROM[settings.pricing.price_source]:
        value = value_of(quote, market)
        if value is None:
            continue
        # a stale market contradicts nothing: the last trade may be the younger of the two
        is_left_behind = source is LAST and market and not is_stale and not market.bid <= value <= market.ask
        if is_left_behind and market and not market.is_wide(settings.limits.wide_spread_bps):
            # a market that is fresh and not wide contradicts it, with these numbers
            note = f"last {price_text(value)} outside {price_text(market.bid)}–{price_text(market.ask)}"
            continue
        return _filled_price(quote, source, value, note) if is_filled else new_price(Price, value, source, note)
    return None


def completed(streamed: Quote, snapshot: Quote, settings: Settings) -> Quote:
    """`streamed` with what only `snapshot` knows; the snapshot itself where the stream has no price at all.

    Bid and ask come together from a snapshot that has both, with their time and their data type. From one that has
    not, a last trade or a side fills the gap, and the older of the two times counts. A snapshot that the broker
    refuses fills nothing, but says why.
    """
    if snapshot.refusal:
        return replace(streamed, refusal=snapshot.refusal)
    ours, theirs = judge(streamed, settings, streamed.taken_at), judge(snapshot, settings, snapshot.taken_at)
    if ours.price is None:
        return streamed if theirs.price is None else snapshot
    # names what the snapshot supplied: the price made from it says so
    filled: dict[str, Any] = {}
    if _present(streamed.last) is None and _present(snapshot.last) is not None:
        filled["last"] = snapshot.last
    market = theirs.nbbo if ours.nbbo is None else None
    if market:
        filled |= market._asdict()
    elif ours.nbbo is None:
        filled |= _missing_sides(streamed, snapshot)
    if not filled:
        return streamed
    return replace(
        streamed,
        **filled,
        taken_at=snapshot.taken_at if market else min(streamed.taken_at, snapshot.taken_at),
        data_type=streamed.data_type if snapshot.data_type is LIVE and not market else snapshot.data_type,
        filled=frozenset(filled),
    )


def _missing_sides(streamed: Quote, snapshot: Quote) -> dict[str, Decimal]:
    """The sides that the stream lacks, halted apart, and the snapshot has."""
    if streamed.is_halted:
        return {}
    sides = zip(("bid", "ask"), usable_sides(streamed), usable_sides(snapshot), strict=True)
    return {name: theirs for name, ours, theirs in sides if ours is None and theirs is not None}


def _filled_price(quote: Quote, source: PriceSource, value: Decimal, note: str) -> Price:
    """The price with its source, SNAPSHOT with the link of the chain in the note for one that a snapshot supplied."""
    if quote.is_snapshot:
        return Price(value, SNAPSHOT, f"{source}, {note}" if note else "")
    if source is BIDASK:
        names = {"ask" if usable_sides(quote)[0] is None else "bid"}
    else:
        names = {"last"} if source is LAST else {"bid", "ask"}
    if names & quote.filled:
        return Price(value, SNAPSHOT, f"{source}, {note}" if note else source.value)
    return Price(value, source, note)


def _present(value: Decimal | None) -> Decimal | None:
    return value if value is not None and value > ZERO else None


def _last(quote: Quote, _market: Nbbo | None) -> Decimal | None:
    last = quote.last
    return last if last is not None and last > ZERO else None


def _midpoint(_quote: Quote, market: Nbbo | None) -> Decimal | None:
    return market.mid if market else None


def _bid_or_ask(quote: Quote, _market: Nbbo | None) -> Decimal | None:
    bid, ask = usable_sides(quote)
    return bid if bid is not None else ask


Source = tuple[PriceSource, Callable[[Quote, Nbbo | None], Decimal | None]]
CHAIN: tuple[Source, ...] = ((LAST, _last), (MIDPOINT, _midpoint), (BIDASK, _bid_or_ask))
CHAIN_FROM = {source: CHAIN[start:] + CHAIN[:start] for start, (source, _) in enumerate(CHAIN)}
