"""What moved in the world between a plan and its approval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

from core.errors import MarketDataMissing
from core.market.quotes import price_of
from core.model import USD_CAD, AccountSnapshot, Limit, Plan, PlanRules, Side, Symbol, TradeLine
from core.money import BPS, ZERO, plain
from core.planning.inputs import PlanInputs, fx_market_of, pricing_rules_for
from core.text import price_text


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
    """What moved more than `most_bps` from the plan's price, or has none now, in words.

    That is a traded symbol, or the rate of a planned conversion.
    """
    moves = []
    for line in (*plan.sells, *plan.buys):
        price = price_of(fresh.quotes[line.symbol], rules.quotes, fresh.now)
        moves.append(_move(line.symbol, line.price.value, price.value if price else None, most_bps))
    if plan.fx and plan.fx.quantity and plan.fx.mid:
        market = fx_market_of(fresh, rules)
        moves.append(_move(USD_CAD, plan.fx.mid, market.mid, most_bps))
    return tuple(filter(None, moves))


def _move(symbol: Symbol, was: Decimal, now: Decimal | None, most_bps: Decimal) -> str:
    """The move in words, empty within `most_bps`."""
    if now is None:
        return f"{symbol}: no price now"
    if abs(now - was) * BPS <= most_bps * was:
        return ""
    return f"{symbol}: {price_text(was)} then, {price_text(now)} now"


def worse_than_approved(side: Side, was: Decimal, now: Decimal, most_bps: Decimal) -> str:
    """How far the worst price `now` lies beyond `was`, the approved one, in words; empty within `most_bps` of it."""
    loss = now - was if side is Side.BUY else was - now
    if loss * BPS <= most_bps * was:
        return ""
    return (
        f"it would now go at {price_text(now)} at worst, {loss * BPS / was:.0f} bps beyond the {price_text(was)}"
        f" that was approved (at most {plain(most_bps)})"
    )


def out_of_reach(lines: Iterable[TradeLine], fresh: Mapping[Symbol, Limit], most_bps: Decimal) -> Mapping[Symbol, str]:
    """The lines that may not be sent at their fresh limits, each with the reason."""
    found = {}
    for line in lines:
        limit = fresh.get(line.symbol)
        if line.side and line.limit and limit:
            found[line.symbol] = worse_than_approved(line.side, line.limit.worst_price, limit.worst_price, most_bps)
    return {symbol: why for symbol, why in found.items() if why}


def dear_buys(plan: Plan, fresh: PlanInputs, rules: PlanRules, most_bps: Decimal) -> Mapping[Symbol, str]:
    """The approved buys that are out of reach at the limits of now, each with the reason.

    One without a usable market has no limit here: whether it is still wanted is for the sizing to say.
    """
    pricing = pricing_rules_for(fresh, rules)
    limits = {}
    for line in plan.buys:
        with suppress(MarketDataMissing):
            limits[line.symbol] = pricing.limit(Side.BUY, line.symbol, line.price)
    return out_of_reach(plan.buys, limits, most_bps)


def without_lines(plan: Plan, reasons: Mapping[Symbol, str]) -> Plan:
    """The plan in which these symbols do not trade, for these reasons."""
    return replace(plan, lines=tuple(_untraded(line, reasons.get(line.symbol)) for line in plan.lines))


def _untraded(line: TradeLine, reason: str | None) -> TradeLine:
    if reason is None:
        return line
    return replace(
        line, side=None, quantity=ZERO, dollars=ZERO, limit=None, projected_drift_bps=line.drift_bps, reason=reason
    )


def _quantities(snapshot: AccountSnapshot) -> dict[Symbol, Decimal]:
    held: dict[Symbol, Decimal] = {}
    for position in snapshot.positions:
        symbol = position.contract.symbol
        held[symbol] = held.get(symbol, ZERO) + position.quantity
    return held
