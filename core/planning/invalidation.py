"""What voids an approval: all of it is decided here, flows and tasks only ask.

An approval is for one plan, by its hash (`plan_hash`). It is void (`void_reasons`) when the account is not the same any
more (`account_changes`) or a traded price moved too far (`price_moves`). Of a valid approval a single line is left out
when it would now go at a worse price than was approved (`worse_than_approved`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from hashlib import sha256

from core.errors import MarketDataMissing
from core.model import (
    FUNDING,
    AccountId,
    AccountSnapshot,
    Contract,
    FxLeg,
    Limit,
    Mode,
    Plan,
    RunId,
    Side,
    Symbol,
    TradeLine,
)
from core.money import BPS, ZERO, plain
from core.planning.drafts import TradingTerms
from core.planning.funding import fx_market
from core.planning.observing import PlanInputs
from core.settings import Settings
from core.text import price_text


@dataclass(frozen=True, slots=True)
class ApprovalScope:
    """What an approval is bound to besides the lines."""

    run_id: RunId
    account_id: AccountId
    mode: Mode
    expires_at: datetime


def plan_hash(scope: ApprovalScope, lines: Iterable[tuple[TradeLine, Contract]], fx: FxLeg | None) -> str:
    """SHA-256 in hex over run, account, mode, expiry, the conversion, and every line that trades.

    A line counts with contract, side, maximum quantity, order type and prices. 1.0 and 1 are the same
    number here, and the order of keys is fixed, so equal plans have equal hashes on every machine.
    """
    content = {
        "run": scope.run_id,
        "account": scope.account_id,
        "mode": scope.mode.value,
        "expires": scope.expires_at.isoformat(),
        "fx": _fx(fx),
        "lines": [_line(line, contract) for line, contract in lines if line.quantity],
    }
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _line(line: TradeLine, contract: Contract) -> list[str | int | None]:
    limit, quantity = line.limit, plain(line.quantity)
    if limit is None:
        return [line.number, line.symbol, contract.con_id, line.side, quantity, None, None, None]
    # almost always one price, then written once
    worst = plain(limit.worst_price)
    first = worst if limit.limit_price is limit.worst_price else _text(limit.limit_price)
    return [line.number, line.symbol, contract.con_id, line.side, quantity, limit.order_type, first, worst]


def _fx(fx: FxLeg | None) -> list[str | None] | None:
    if fx is None or not fx.quantity:
        return None
    return [_text(fx.quantity), fx.order_type.value, _text(fx.limit_price), _text(fx.worst_rate)]


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def void_reasons(plan: Plan, before: AccountSnapshot, now: PlanInputs, settings: Settings) -> tuple[str, ...]:
    """Why an approval of `plan`, given for the account as it was `before`, is void `now`; empty while it is valid."""
    moves = price_moves(plan, now, settings, settings.approval.max_price_move_bps)
    return (*account_changes(before, now.snapshot), *moves)


def account_changes(before: AccountSnapshot, now: AccountSnapshot) -> tuple[str, ...]:
    """What differs in holdings, cash or working orders, as sentences; empty when the account is the same."""
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
    # an order that somebody else placed meanwhile may spend the same money
    if set(before.working_orders) != set(now.working_orders):
        changes.append("the working orders have changed")
    return tuple(changes)


def price_moves(plan: Plan, fresh: PlanInputs, settings: Settings, most_bps: Decimal) -> tuple[str, ...]:
    """What moved more than `most_bps` from the plan's price, or has none now, as sentences.

    That is a traded symbol, or the rate of a planned conversion.
    """
    moves, verdicts = [], fresh.judge(settings)
    for line in (*plan.sells, *plan.buys):
        price = verdicts[line.symbol].price
        moves.append(_move(line.symbol, line.price.value, price.value if price else None, most_bps))
    if plan.fx and plan.fx.quantity and plan.fx.mid:
        moves.append(
            _move(
                FUNDING.symbol,
                plan.fx.mid,
                fx_market(verdicts, settings, sends_orders=fresh.mode.sends_orders).mid,
                most_bps,
            )
        )
    return tuple(filter(None, moves))


def _move(symbol: Symbol, was: Decimal, now: Decimal | None, most_bps: Decimal) -> str:
    """The move as text, empty within `most_bps`."""
    if now is None:
        return f"{symbol}: no price now"
    # multiplied, not divided: a move of exactly the limit is within it
    if abs(now - was) * BPS <= most_bps * was:
        return ""
    return f"{symbol}: {price_text(was)} then, {price_text(now)} now"


def worse_than_approved(side: Side, was: Decimal, now: Decimal, most_bps: Decimal) -> str:
    """How far the worst price `now` lies beyond `was`, the approved one, as text; empty within `most_bps` of it."""
    loss = now - was if side is Side.BUY else was - now
    if loss * BPS <= most_bps * was:
        return ""
    return (
        f"its worst price is now {price_text(now)}, {loss * BPS / was:.0f} bps beyond the {price_text(was)}"
        f" that was approved (at most {plain(most_bps)})"
    )


def worse_lines(lines: Iterable[TradeLine], fresh: Mapping[Symbol, Limit], most_bps: Decimal) -> Mapping[Symbol, str]:
    """The lines that may not be sent at their fresh limits, each with the reason."""
    found = {}
    for line in lines:
        limit = fresh.get(line.symbol)
        if line.side and line.limit and limit:
            found[line.symbol] = worse_than_approved(line.side, line.limit.worst_price, limit.worst_price, most_bps)
    return {symbol: why for symbol, why in found.items() if why}


def too_expensive_buys(plan: Plan, fresh: PlanInputs, settings: Settings, most_bps: Decimal) -> Mapping[Symbol, str]:
    """The approved buys that are out of reach at the limits of now, each with the reason.

    One without a usable market has no limit here: whether it is still wanted is decided when it is sized.
    """
    terms, limits = TradingTerms.of(fresh, fresh.judge(settings), settings), {}
    for line in plan.buys:
        with suppress(MarketDataMissing):
            limits[line.symbol] = terms.limit(Side.BUY, line.symbol)
    return worse_lines(plan.buys, limits, most_bps)


def without_lines(plan: Plan, reasons: Mapping[Symbol, str]) -> Plan:
    """The plan in which these symbols do not trade, for these reasons."""
    return replace(plan, lines=tuple(_untraded(line, reasons.get(line.symbol)) for line in plan.lines))


def _untraded(line: TradeLine, reason: str | None) -> TradeLine:
    if reason is None:
        return line
    return line._replace(side=None, quantity=ZERO, limit=None, rule=reason)


def _quantities(snapshot: AccountSnapshot) -> dict[Symbol, Decimal]:
    held: dict[Symbol, Decimal] = {}
    for position in snapshot.positions:
        symbol = position.contract.symbol
        held[symbol] = held.get(symbol, ZERO) + position.quantity
    return held
