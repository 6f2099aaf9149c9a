"""At what price an order fills, and how much of it: prices in the contract's currency."""

from __future__ import annotations

from decimal import Decimal

from core.model import Side
from core.money import FRACTION_OF_SHARE, WHOLE_SHARE, floor_to
from core.sim.venue.world import FillScript, SimQuote, Values


def present(price: Decimal | None) -> Decimal | None:
    """The price, or None for one that a gateway sends for "no value": zero or less."""
    return price if price is not None and price > 0 else None


def touch(side: Side, quote: SimQuote) -> Decimal | None:
    """The price at which the market takes the other side now; None while halted or one-sided.

    A market that only a snapshot shows counts as well.
    """
    if quote.is_halted:
        return None
    for values in (quote.values, quote.snapshot or Values()):
        found = present(values.ask if side is Side.BUY else values.bid)
        if found is not None:
            return found
    return None


def market_price(side: Side, limit: Decimal | None, quote: SimQuote) -> Decimal | None:
    """The touch, where the limit reaches it; None where the order rests.

    A BUY limited at 10.05 with an ask of 10.02 pays 10.02.
    """
    price = touch(side, quote)
    if price is None or limit is None:
        return price
    return price if within(side, price, limit) else None


def scripted_price(side: Side, limit: Decimal | None, quote: SimQuote, script: FillScript) -> Decimal | None:
    """The script's price, else the touch, else the mark; the limit where that would be worse than it."""
    # a script fills even in a halted or one-sided market: else no fill could be scripted there
    price = script.price or touch(side, quote) or mark(quote) or limit
    if price is None or limit is None:
        return price
    return price if within(side, price, limit) else limit


def within(side: Side, price: Decimal, limit: Decimal) -> bool:
    """Whether a fill at `price` is no worse than the limit."""
    return price <= limit if side is Side.BUY else price >= limit


def scripted_part(quantity: Decimal, script: FillScript) -> Decimal:
    """The shares that the script fills, down to the whole share, or to 0.0001 of a fractional order.

    Half of 5 shares is 2.
    """
    return floor_to(quantity * script.fill_fraction, _step(quantity))


def in_parts(shares: Decimal, script: FillScript) -> tuple[Decimal, ...]:
    """The executions that fill so many shares: as many alike as scripted, the last with the remainder.

    10 shares in 3 parts are 3, 3 and 4; 2 shares in 3 parts are one execution.
    """
    each = floor_to(shares / script.parts, _step(shares))
    if not each:
        return (shares,)
    return (*[each] * (script.parts - 1), shares - each * (script.parts - 1))


def _step(quantity: Decimal) -> Decimal:
    return WHOLE_SHARE if quantity == floor_to(quantity, WHOLE_SHARE) else FRACTION_OF_SHARE


def middle(values: Values) -> Decimal | None:
    """Half-way between bid and ask; None unless both are there."""
    bid, ask = present(values.bid), present(values.ask)
    return (bid + ask) / 2 if bid is not None and ask is not None else None


def mark(quote: SimQuote) -> Decimal | None:
    """What the broker values the symbol at: last, mid or one side, then the same of a snapshot, then the close.

    IBKR's own mark is the last trade, or the side that it lies beyond.
    """
    for values in (quote.values, quote.snapshot or Values()):
        found = _marked(values) or middle(values) or present(values.bid) or present(values.ask)
        if found is not None:
            return found
    return present(quote.previous_close)


def _marked(values: Values) -> Decimal | None:
    """The last trade, brought between bid and ask."""
    last, bid, ask = present(values.last), present(values.bid), present(values.ask)
    if last is None or bid is None or ask is None or bid > ask:
        return last
    return min(max(last, bid), ask)


def rate_of(quote: SimQuote) -> Decimal | None:
    """The rate a pair is booked at: its mid, else its mark."""
    return middle(quote.values) or mark(quote)
