"""What moved in the world between a plan and its approval."""

from __future__ import annotations

from decimal import Decimal

from core.model import AccountSnapshot, Limit, Plan, PlanRules, Side, Symbol
from core.money import BPS, ZERO, plain
from core.plan.inputs import PlanInputs
from core.quotes import price_of
from core.wording import price_text


def account_changes(before: AccountSnapshot, now: AccountSnapshot) -> tuple[str, ...]:
    """What differs in holdings, cash or working orders, each in words; empty when the account is the same."""
    changes = []
    held, holds = _quantities(before), _quantities(now)
    for symbol in sorted(held.keys() | holds.keys()):
        was, has = held.get(symbol, ZERO), holds.get(symbol, ZERO)
        if was != has:
            changes.append(f"{symbol}: {was:f} shares then, {has:f} now")
    for currency in sorted(before.cash.keys() | now.cash.keys()):
        had, owns = before.cash.get(currency, ZERO), now.cash.get(currency, ZERO)
        if had != owns:
            changes.append(f"{currency} cash: {had:,.2f} then, {owns:,.2f} now")
    if set(before.working_orders) != set(now.working_orders):
        changes.append("the working orders are not the same")
    return tuple(changes)


def price_moves(plan: Plan, fresh: PlanInputs, rules: PlanRules, most_bps: Decimal) -> tuple[str, ...]:
    """The traded symbols whose price moved more than `most_bps` from the plan's, or that have none now, in words."""
    moves = []
    for line in (*plan.sells, *plan.buys):
        price = price_of(fresh.quotes[line.symbol], rules.quotes, fresh.now)
        if price is None:
            moves.append(f"{line.symbol}: no price now")
        elif abs(price.value - line.price.value) * BPS > most_bps * line.price.value:
            moves.append(f"{line.symbol}: {price_text(line.price.value)} then, {price_text(price.value)} now")
    return tuple(moves)


def worse_than_approved(side: Side, approved: Limit, fresh: Limit, most_bps: Decimal) -> str | None:
    """What `fresh` costs more than `most_bps` beyond the worst price that was approved, in words; None within it."""
    was, now = approved.worst_price, fresh.worst_price
    loss = now - was if side is Side.BUY else was - now
    if loss * BPS <= most_bps * was:
        return None
    return (
        f"would now go at {price_text(now)} at worst, {loss * BPS / was:.0f} bps beyond the {price_text(was)} of the"
        f" approval (at most {plain(most_bps)})"
    )


def _quantities(snapshot: AccountSnapshot) -> dict[Symbol, Decimal]:
    held: dict[Symbol, Decimal] = {}
    for position in snapshot.positions:
        symbol = position.contract.symbol
        held[symbol] = held.get(symbol, ZERO) + position.quantity
    return held
