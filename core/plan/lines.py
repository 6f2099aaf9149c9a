"""Drafts become the numbered lines of a plan."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from core.model import Side, TradeLine, Valuation
from core.money import BPS
from core.plan.inputs import Draft


def number_lines(
    sells: Iterable[Draft], buys: Iterable[Draft], untouched: Iterable[Draft], valuation: Valuation
) -> tuple[TradeLine, ...]:
    """Sells, buys, then what does not trade, each by symbol; a stage's lines are numbered from 1."""
    drafts = (*sells, *buys, *untouched)
    selling = [draft for draft in drafts if draft.quantity and draft.side is Side.SELL]
    buying = [draft for draft in drafts if draft.quantity and draft.side is Side.BUY]
    resting = [draft for draft in drafts if not draft.quantity]
    return (
        *(trade_line(draft, number, valuation) for draft, number in zip(_by_symbol(selling), count(1), strict=False)),
        *(trade_line(draft, number, valuation) for draft, number in zip(_by_symbol(buying), count(1), strict=False)),
        *(trade_line(draft, 0, valuation) for draft in _by_symbol(resting)),
    )


def trade_line(draft: Draft, number: int, valuation: Valuation) -> TradeLine:
    """The line of one draft; without a quantity it has no side, and its reason says what kept it.

    The projected drift is at the valuation price: selling 10 shares of 50.00 out of 100 000 USD takes 50 bps off.
    """
    drift = draft.drift
    moved = draft.dollars if draft.side is Side.BUY else -draft.dollars
    investable = valuation.investable
    is_untargeted = drift.symbol in valuation.untargeted
    return TradeLine(
        drift.symbol,
        draft.side if draft.quantity else None,
        number,
        draft.quantity,
        drift.held,
        drift.price,
        draft.limit,
        drift.target,
        drift.value / investable,
        drift.wanted,
        draft.dollars,
        drift.drift_bps,
        (moved - drift.wanted) * BPS / investable if draft.quantity else drift.drift_bps,
        is_untargeted,
        draft.cut or drift.cut,
        _reason(draft, is_untargeted=is_untargeted),
        draft.rest,
    )


def _reason(draft: Draft, *, is_untargeted: bool) -> str:
    """Why the line trades, what cut it, and what is left over."""
    reason = draft.drift.reason
    if is_untargeted:
        reason += "; held without a target"
    if draft.note:
        reason += f"; {draft.note}"
    if draft.rest:
        reason += f"; {draft.rest.normalize():f} of a share stays, only whole shares can be sold"
    return reason


def _by_symbol(drafts: Iterable[Draft]) -> list[Draft]:
    return sorted(drafts, key=lambda draft: draft.drift.symbol)
