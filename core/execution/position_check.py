"""After trading: do our fills explain how the account has changed?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from core.model import USD_CAD, AccountSnapshot, Fill, SecurityType, Side, Symbol
from core.money import ZERO


def unexplained_changes(before: AccountSnapshot, after: AccountSnapshot, fills: Iterable[Fill]) -> tuple[str, ...]:
    """A warning for each position that is not what it was plus our fills, by symbol.

    10 VTI and a fill of 5 must be 15: with 18, somebody or something else bought 3. Currency fills move
    cash, which fees and interest move too, and are left out.
    """
    expected = _held(before)
    for fill in fills:
        if fill.symbol == USD_CAD:
            continue
        expected[fill.symbol] += fill.shares if fill.side is Side.BUY else -fill.shares
    there = _held(after)
    symbols = sorted({*expected, *there})
    return tuple(
        f"{symbol}: our fills make it {expected[symbol]:f} shares, the account shows {there[symbol]:f}"
        for symbol in symbols
        if expected[symbol] != there[symbol]
    )


def _held(snapshot: AccountSnapshot) -> defaultdict[Symbol, Decimal]:
    held: defaultdict[Symbol, Decimal] = defaultdict(lambda: ZERO)
    for position in snapshot.positions:
        if position.contract.security_type is not SecurityType.CASH:
            held[position.contract.symbol] += position.quantity
    return held
