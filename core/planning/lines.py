"""Drafts become the numbered lines of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from core.model import Side, TradeLine, Valuation
from core.money import BPS, plain
from core.planning.inputs import Draft

SYMBOL = attrgetter("drift.symbol")


def number_lines(
    sells: Sequence[Draft], buys: Sequence[Draft], untouched: Sequence[Draft], valuation: Valuation
) -> tuple[TradeLine, ...]:
    """Sells, buys, then what does not trade, each by symbol; a stage's lines are numbered from 1."""
    selling = sorted([draft for draft in sells if draft.quantity], key=SYMBOL)
    buying = sorted([draft for draft in buys if draft.quantity], key=SYMBOL)
    resting = sorted([draft for draft in (*sells, *buys, *untouched) if not draft.quantity], key=SYMBOL)
    return (
        *[trade_line(draft, number, valuation) for number, draft in enumerate(selling, 1)],
        *[trade_line(draft, number, valuation) for number, draft in enumerate(buying, 1)],
        *[trade_line(draft, 0, valuation) for draft in resting],
    )


def trade_line(draft: Draft, number: int, valuation: Valuation) -> TradeLine:
    """The line of one draft; without a quantity it has no side, and its reason says what kept it.

    The projected drift is at the valuation price: selling 10 shares of 50.00 out of 100 000 USD takes 50 bps off.
    """
    drift, quantity, dollars = draft.drift, draft.quantity, draft.dollars
    investable, after = valuation.investable, drift.drift_bps
    if quantity:
        after = ((dollars if draft.side is Side.BUY else -dollars) - drift.wanted) * BPS / investable
    is_untargeted = drift.symbol in valuation.untargeted
    return TradeLine(
        drift.symbol,
        draft.side if quantity else None,
        number,
        quantity,
        drift.held,
        drift.price,
        draft.limit,
        drift.target,
        drift.value / investable,
        drift.wanted,
        dollars,
        drift.drift_bps,
        after,
        is_untargeted,
        draft.limited_by or drift.limited_by,
        _reason(draft, is_untargeted=is_untargeted),
        draft.remainder,
    )


def _reason(draft: Draft, *, is_untargeted: bool) -> str:
    """Why the line trades, what cut it, and what is left over."""
    reason = draft.drift.reason
    if is_untargeted:
        reason += "; held without a target"
    if draft.note:
        reason += f"; {draft.note}"
    if draft.remainder:
        reason += f"; {plain(draft.remainder)} of a share stays, only whole shares can be sold"
    return reason
