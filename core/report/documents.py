"""For programs: the plan as `rebalance plan --json` prints it, and the run as result.json.

Every key is present whatever happened; in result.json it is empty or 0 before there is a plan.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from core.errors import leading_first
from core.masking import mask_account, mask_accounts
from core.model import (
    AccountSnapshot,
    Approval,
    FxLeg,
    OrderRecord,
    Plan,
    RunEvent,
    RunResult,
    SecurityType,
    Symbol,
    Totals,
    TradeLine,
    Valuation,
    WorkingOrder,
)
from core.money import ZERO, shown
from core.report import formats
from core.report.columns import by_drift, unsent_rows
from core.report.sections import plan_warnings, run_warnings

_PLACES = 8


def plan_json(plan: Plan) -> str:
    """The text of a plan on its own, account ids masked. Every key is always there.

    - `run_id`, `account` (masked), `mode`, `created_at`, `expires_at` (UTC), `hash`
    - `targets`, `gross`, `net_liq`, `investable`, `plan` (the trades, sells first) and `skipped`: as in result.json
    - `net`, `broker_net_liq`, `cash_buffer`, `excess_liquidity`, `maintenance_margin`: USD, `net` a
      fraction; `usd_per_cad`: null without CAD; `cash`: by currency, in that currency
    - `lines`: every symbol, the largest drift first: `symbol`, `side` (null without a trade), `quantity`, `held`,
      `price`, `price_source`, `target` and `current` (fractions), `drift_bps`, `drift_after_bps`, `wanted` (USD to
      the target, positive to buy), `dollars` (USD traded), `order_type`, `limit_price` (the first; null for MKT),
      `worst_price` (the last that the money is counted at), `untargeted`, `reason`
    - `fx`: null when conversion is off; else `quantity` (USD, 0 for none), `order_type`, `limit_price`, `worst_rate`,
      `planning_rate` (CAD per USD), `cad_needed`, `usd_short`, `reason`
    - `outside`: holdings left alone: `symbol`, `quantity`, `value` (USD), `reason`
    - `totals`: `sells`, `buys`, `spread_cost` (USD), `turnover_pct`, `gross_after`, `net_after` (fractions of
      NetLiq), `cash_after` by currency, `drift_before_bps`, `drift_after_bps`
    - `warnings`, `notes`: texts
    """
    document = {
        "run_id": plan.run_id,
        "account": mask_account(plan.account_id),
        "mode": plan.mode,
        "created_at": formats.utc(plan.created_at),
        "expires_at": formats.utc(plan.expires_at),
        "hash": plan.hash,
        **planned(plan),
        "skipped": skipped(plan),
        "net": number(plan.targets.net),
        **_account(plan.valuation),
        "lines": [_line(line) for line in by_drift(plan.lines)],
        "fx": _fx(plan.fx) if plan.fx else None,
        "totals": _totals(plan.totals),
        "warnings": list(plan_warnings(plan)),
        "notes": list(plan.notes),
    }
    return mask_accounts(json.dumps(document, indent=2, ensure_ascii=False) + "\n", plan.account_id)


def planned(plan: Plan | None) -> dict[str, Any]:
    """What result.json has of the plan; the same keys, empty or 0, when there is none."""
    if plan is None:
        return {"targets": {}, "gross": 0.0, "net_liq": 0.0, "investable": 0.0, "plan": []}
    return {
        "targets": numbers(plan.targets.weights),
        "gross": number(plan.targets.gross),
        "net_liq": number(plan.valuation.net_liq),
        "investable": number(plan.valuation.investable),
        "plan": [_trade(line) for line in plan.lines if line.side],
    }


def skipped(plan: Plan) -> list[dict[str, str]]:
    """The lines that a band or another limit keeps from trading; a line on target has nothing to trade."""
    return [
        {"symbol": line.symbol, "reason": line.reason} for line in plan.lines if line.side is None and line.limited_by
    ]


def number(value: Decimal) -> float:
    """The number with at most 8 decimals, as a float: JSON has no Decimal, and writes a float in its shortest form.

    A float keeps 15 significant digits as they are, so amounts below ten million with 8 decimals, and
    a trillion with 2, come out unchanged.
    """
    return float(shown(value, _PLACES))


def number_or_none(value: Decimal | None) -> float | None:
    """The number, or null."""
    return None if value is None else number(value)


def numbers(values: Mapping[Any, Decimal]) -> dict[str, float]:
    """The numbers by name, alphabetical."""
    return {str(key): number(values[key]) for key in sorted(values)}


def count(value: Decimal) -> int | float:
    """Whole shares as a whole number, fractions with 4 decimals."""
    return int(value) if value == value.to_integral_value() else float(shown(value, 4))


def _trade(line: TradeLine) -> dict[str, Any]:
    return {
        "symbol": line.symbol,
        "side": line.side,
        "quantity": count(line.quantity),
        "price": number(line.price.value),
        "drift_bps": number(line.drift_bps),
        "reason": line.reason,
    }


def _line(line: TradeLine) -> dict[str, Any]:
    limit = line.limit if line.side else None
    return {
        "symbol": line.symbol,
        "side": line.side,
        "quantity": count(line.quantity),
        "held": count(line.held),
        "price": number(line.price.value),
        "price_source": line.price.source_text,
        "target": number(line.target),
        "current": number(line.current),
        "drift_bps": number(line.drift_bps),
        "drift_after_bps": number(line.projected_drift_bps),
        "wanted": number(line.wanted),
        "dollars": number(line.dollars),
        "order_type": limit.order_type if limit else None,
        "limit_price": number_or_none(limit.limit_price) if limit else None,
        "worst_price": number(limit.worst_price) if limit else None,
        "untargeted": line.untargeted,
        "reason": line.reason,
    }


def _account(account: Valuation) -> dict[str, Any]:
    return {
        "broker_net_liq": number(account.broker_net_liq),
        "cash": numbers(account.cash),
        "usd_per_cad": number_or_none(account.usd_per_funding),
        "cash_buffer": number(account.buffer),
        "excess_liquidity": number(account.excess_liquidity),
        "maintenance_margin": number(account.maintenance_margin),
        "outside": [
            {"symbol": each.symbol, "quantity": count(each.quantity), "value": number(each.value), "reason": each.why}
            for each in account.outside
        ],
    }


def _fx(leg: FxLeg) -> dict[str, Any]:
    return {
        "quantity": count(leg.quantity),
        "order_type": leg.order_type,
        "limit_price": number_or_none(leg.limit_price),
        "worst_rate": number_or_none(leg.worst_rate),
        "planning_rate": number_or_none(leg.planning_rate),
        "cad_needed": number(leg.funding_needed),
        "usd_short": number(leg.shortfall),
        "reason": leg.reason,
    }


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "sells": number(totals.sells),
        "buys": number(totals.buys),
        "spread_cost": number(totals.spread_cost),
        "turnover_pct": number(totals.turnover_pct),
        "gross_after": number(totals.gross_after),
        "net_after": number(totals.net_after),
        "cash_after": numbers(totals.cash_after),
        "drift_before_bps": number(totals.drift_before_bps),
        "drift_after_bps": number(totals.drift_after_bps),
    }


# --- result.json


def result_json(outcome: RunResult) -> str:
    """The text of result.json, account ids masked."""
    text = json.dumps(_document(outcome), indent=2, ensure_ascii=False) + "\n"
    return mask_accounts(text, outcome.account_id)


def result(outcome: RunResult) -> dict[str, Any]:
    """What result.json has, as plain values. Failures beside the one that gave the exit code stand in `warnings`."""
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
        "approvals": [_approval(answer) for answer in outcome.approvals],
        "orders": [_order(record) for record in outcome.orders],
        "cancelled": [_cancelled_order(order) for order in outcome.cancelled],
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
    return [*left_out, *({"symbol": row.symbol, "reason": f"{row.trade} {row.status}"} for row in unsent_rows(outcome))]


def _approval(answer: Approval) -> dict[str, Any]:
    return {
        "approver": answer.approver,
        "answer": "approve" if answer.approved else "reject",
        "how": answer.how,
        "at": formats.utc(answer.at),
        "note": answer.note,
    }


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


def _cancelled_order(order: WorkingOrder) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "side": order.side,
        "quantity": count(order.quantity),
        "order_ref": order.order_ref,
    }


def _last_reading(outcome: RunResult) -> AccountSnapshot | None:
    """The account as it is now: read again, or read before when nothing was sent since. Otherwise unknown: None."""
    return outcome.after or (None if outcome.was_sent else outcome.before)


def _residual_drift(outcome: RunResult) -> Mapping[Symbol, Decimal]:
    """The drift that is left: measured again, or the plan's own when nothing was sent. Otherwise unknown: empty."""
    if outcome.residual_drift_bps is not None:
        return outcome.residual_drift_bps
    lines = outcome.plan.lines if outcome.plan else ()
    return {} if outcome.was_sent else {line.symbol: line.drift_bps for line in lines}


def _after(outcome: RunResult) -> dict[str, Any]:
    """Positions and cash of the last reading; what was held before and is no more has 0."""
    now = _last_reading(outcome)
    if now is None:
        return {"positions_after": {}, "cash_after": {}}
    before = dict.fromkeys(_held(outcome.before), ZERO) if outcome.before else {}
    held = before | _held(now)
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
    return [f"also failed ({error.exit_code.value}): {error}" for error in leading_first(outcome.errors)[1:]]
