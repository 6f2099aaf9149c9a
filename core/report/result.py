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
    RunEvent,
    RunResult,
    SecurityType,
    Symbol,
    WorkingOrder,
)
from core.money import ZERO
from core.report.plan_document import count, number, numbers, planned, skipped
from core.report.rows import unsent_trades
from core.report.sections import run_warnings


def result_json(outcome: RunResult) -> str:
    """The text of result.json, account ids masked."""
    text = json.dumps(_document(outcome), indent=2, ensure_ascii=False) + "\n"
    return mask_accounts(text, outcome.account_id)


def result(outcome: RunResult) -> dict[str, Any]:
    """What result.json says, as plain values. Failures beside the one that gave the exit code stand in `warnings`."""
    values: dict[str, Any] = json.loads(result_json(outcome))
    return values


def _document(outcome: RunResult) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "run_id": outcome.run_id,
        "status": outcome.status,
        "state": outcome.ending,
        "exit_code": int(outcome.exit_code),
        "reason": outcome.reason,
        **planned(outcome.plan),
        "orders": [_order(record) for record in outcome.orders],
        "cancelled": [_cancelled(order) for order in outcome.cancelled],
        "skipped": _skipped(outcome),
        **_after(outcome),
        "residual_drift_bps": numbers(_residual_drift(outcome)),
        "events": [_event(event, outcome) for event in outcome.events],
        "warnings": [*_other_failures(outcome), *run_warnings(outcome)],
        "notes": list(outcome.plan.notes) if outcome.plan else [],
    }


def _skipped(outcome: RunResult) -> list[dict[str, str]]:
    """What the plan left out, and which of its trades were not sent, each with the reason."""
    left_out = skipped(outcome.plan) if outcome.plan else []
    return [*left_out, *({"symbol": trade.symbol, "reason": trade.text} for trade in unsent_trades(outcome))]


def _order(record: OrderRecord) -> dict[str, Any]:
    """`limit_price` is null for MKT; `avg_price` is 0 as long as `filled` is."""
    order = record.order
    return {
        "stage": order.stage,
        "symbol": order.contract.symbol,
        "side": order.side,
        "quantity": count(order.quantity),
        "order_type": order.order_type,
        "limit_price": None if order.limit_price is None else number(order.limit_price),
        "order_ref": order.ref,
        "status": record.state.label,
        "filled": count(record.filled),
        "avg_price": number(record.average_price or ZERO),
    }


def _cancelled(order: WorkingOrder) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "side": order.side,
        "quantity": count(order.quantity),
        "order_ref": order.order_ref,
    }


def _last_reading(outcome: RunResult) -> AccountSnapshot | None:
    """The account as it is now: read again, or read before when nothing was sent since. Otherwise nobody knows."""
    return outcome.after or (None if outcome.was_sent else outcome.before)


def _residual_drift(outcome: RunResult) -> Mapping[Symbol, Decimal]:
    """The drift that is left: measured again, or the plan's own when nothing was sent. Otherwise nobody knows."""
    if outcome.residual_drift_bps is not None:
        return outcome.residual_drift_bps
    lines = outcome.plan.lines if outcome.plan else ()
    return {} if outcome.was_sent else {line.symbol: line.drift_bps for line in lines}


def _after(outcome: RunResult) -> dict[str, Any]:
    """Positions and cash of the last reading; what was held before and is no more has 0."""
    now = _last_reading(outcome)
    if now is None:
        return {"positions_after": {}, "cash_after": {}}
    gone = dict.fromkeys(_held(outcome.before), ZERO) if outcome.before else {}
    held = gone | _held(now)
    return {
        "positions_after": {symbol: count(held[symbol]) for symbol in sorted(held)},
        "cash_after": numbers(now.cash),
    }


def _held(snapshot: AccountSnapshot) -> dict[Symbol, Decimal]:
    held: dict[Symbol, Decimal] = {}
    for position in snapshot.positions:
        symbol, is_cash = position.contract.symbol, position.contract.security_type is SecurityType.CASH
        if not is_cash:
            held[symbol] = held.get(symbol, ZERO) + position.quantity
    return held


def _event(event: RunEvent, outcome: RunResult) -> dict[str, Any]:
    seconds = (event.at - outcome.started_at).total_seconds()
    return {"t": round(seconds, 3), "kind": event.kind, "detail": event.detail}


def _other_failures(outcome: RunResult) -> list[str]:
    if not outcome.errors:
        return []
    first = leading(outcome.errors)
    return [f"also failed ({error.exit_code.value}): {error}" for error in outcome.errors if error is not first]
