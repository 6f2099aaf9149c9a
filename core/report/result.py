"""result.json: the run for programs. Every key is there whatever happened; before there is a plan it is empty or 0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from core.errors import leading
from core.masking import mask_accounts
from core.model import (
    AccountSnapshot,
    OrderRecord,
    Outcome,
    Plan,
    RunEvent,
    SecurityType,
    Symbol,
    TradeLine,
    WorkingOrder,
)
from core.money import ZERO, shown
from core.report.sections import plan_warnings, run_warnings

_PLACES = 8


def result_json(outcome: Outcome) -> str:
    """The text of result.json, account ids masked."""
    text = json.dumps(_document(outcome), indent=2, ensure_ascii=False) + "\n"
    return mask_accounts(text, outcome.account_id)


def result(outcome: Outcome) -> dict[str, Any]:
    """What result.json says, as plain values. Failures beside the one that gave the exit code stand in `warnings`."""
    values: dict[str, Any] = json.loads(result_json(outcome))
    return values


def _document(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "run_id": outcome.run_id,
        "status": outcome.status,
        "state": outcome.ending,
        "exit_code": int(outcome.exit_code),
        "reason": outcome.reason,
        **_planned(outcome.plan),
        "orders": [_order(record) for record in outcome.orders],
        "cancelled": [_cancelled(order) for order in outcome.cancelled],
        "skipped": _skipped(outcome.plan),
        **_after(_last_reading(outcome)),
        "residual_drift_bps": _numbers(_residual_drift(outcome)),
        "events": [_event(event, outcome) for event in outcome.events],
        "warnings": [*_other_failures(outcome), *run_warnings(outcome)],
    }


def _planned(plan: Plan | None) -> dict[str, Any]:
    if plan is None:
        return {"targets": {}, "gross": 0.0, "net_liq": 0.0, "investable": 0.0, "plan": []}
    return {
        "targets": _numbers(plan.targets.weights),
        "gross": _number(plan.targets.gross),
        "net_liq": _number(plan.valuation.net_liq),
        "investable": _number(plan.valuation.investable),
        "plan": [_line(line) for line in plan.lines if line.side],
    }


def plan_json(plan: Plan) -> str:
    """The text of a plan on its own, account ids masked: the plan's part of result.json and its warnings."""
    document = {**_planned(plan), "skipped": _skipped(plan), "warnings": list(plan_warnings(plan))}
    return mask_accounts(json.dumps(document, indent=2, ensure_ascii=False) + "\n", plan.account_id)


def _skipped(plan: Plan | None) -> list[dict[str, Any]]:
    return [{"symbol": line.symbol, "reason": line.reason} for line in _lines(plan) if _is_skipped(line)]


def _lines(plan: Plan | None) -> tuple[TradeLine, ...]:
    return plan.lines if plan else ()


def _is_skipped(line: TradeLine) -> bool:
    """Whether something, its band or another limit, kept it from trading; a line on target has nothing to trade."""
    return line.side is None and line.cut is not None


def _line(line: TradeLine) -> dict[str, Any]:
    return {
        "symbol": line.symbol,
        "side": line.side,
        "quantity": _quantity(line.quantity),
        "price": _number(line.price.value),
        "drift_bps": _number(line.drift_bps),
        "reason": line.reason,
    }


def _order(record: OrderRecord) -> dict[str, Any]:
    """`limit_price` is null for MKT; `avg_price` is 0 as long as `filled` is."""
    order = record.order
    return {
        "stage": order.stage,
        "symbol": order.contract.symbol,
        "side": order.side,
        "quantity": _quantity(order.quantity),
        "order_type": order.order_type,
        "limit_price": None if order.limit_price is None else _number(order.limit_price),
        "order_ref": order.ref,
        "status": record.state.label,
        "filled": _quantity(record.filled),
        "avg_price": _number(record.average_price or ZERO),
    }


def _cancelled(order: WorkingOrder) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "side": order.side,
        "quantity": _quantity(order.quantity),
        "order_ref": order.order_ref,
    }


def _last_reading(outcome: Outcome) -> AccountSnapshot | None:
    """The account as it is now: read again, or read before when nothing was sent since. Otherwise nobody knows."""
    return outcome.after or (None if outcome.was_sent else outcome.before)


def _residual_drift(outcome: Outcome) -> Mapping[Symbol, Decimal]:
    """The drift that is left: measured again, or the plan's own when nothing was sent. Otherwise nobody knows."""
    if outcome.residual_drift_bps is not None:
        return outcome.residual_drift_bps
    return {} if outcome.was_sent else {line.symbol: line.drift_bps for line in _lines(outcome.plan)}


def _after(snapshot: AccountSnapshot | None) -> dict[str, Any]:
    if snapshot is None:
        return {"positions_after": {}, "cash_after": {}}
    held: dict[Symbol, Decimal] = {}
    for position in snapshot.positions:
        symbol, is_cash = position.contract.symbol, position.contract.security_type is SecurityType.CASH
        if not is_cash:
            held[symbol] = held.get(symbol, ZERO) + position.quantity
    return {
        "positions_after": {symbol: _quantity(held[symbol]) for symbol in sorted(held)},
        "cash_after": _numbers(snapshot.cash),
    }


def _event(event: RunEvent, outcome: Outcome) -> dict[str, Any]:
    seconds = (event.at - outcome.started_at).total_seconds()
    return {"t": round(seconds, 3), "kind": event.kind, "detail": event.detail}


def _other_failures(outcome: Outcome) -> list[str]:
    if not outcome.errors:
        return []
    first = leading(outcome.errors)
    return [f"also failed ({error.exit_code.value}): {error}" for error in outcome.errors if error is not first]


def _numbers(values: Mapping[Any, Decimal]) -> dict[str, float]:
    return {str(key): _number(values[key]) for key in sorted(values)}


def _number(value: Decimal) -> float:
    """The number with 8 decimals at most, written as short as it was meant: JSON shows a Decimal's own digits.

    A float keeps 15 significant digits as they are, so amounts below ten million with 8 decimals, and
    a trillion with 2, come out unchanged.
    """
    return float(shown(value, _PLACES))


def _quantity(value: Decimal) -> int | float:
    """Whole shares as a whole number, fractions with 4 decimals."""
    return int(value) if value == value.to_integral_value() else float(shown(value, 4))
