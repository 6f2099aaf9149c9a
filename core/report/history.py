"""Past runs in figures, a row each, for `rebalance history`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.masking import mask_account
from core.model import USD, AccountId, Currency, Mode, RunId, RunRecord, RunResult
from core.money import ZERO
from core.report import formats
from core.report.columns import Column, Columns, commissions, left, right
from core.report.costs import order_costs
from core.report.documents import number_or_none, numbers
from core.report.facts import balances_text, drift_left_bps, turnover
from core.text import visible


@dataclass(frozen=True, slots=True)
class PastRun:
    """`turnover_pct` is what was traded, conversions apart, in % of the plan's NetLiq.

    `commissions` are by currency; `slippage_usd` is what the fills cost against the mids when their orders were sent;
    `drift_before_bps` and `drift_after_bps` sum the absolute drift of all symbols. None is a figure that nobody knows.
    `exit_code` is None for a run whose end is not on record. `name` is the account's in its household, empty for one of
    none.
    """

    run_id: RunId
    started_at: datetime
    mode: Mode
    account_id: AccountId
    turnover_pct: Decimal | None
    commissions: Mapping[Currency, Decimal] | None
    slippage_usd: Decimal | None
    drift_before_bps: Decimal | None
    drift_after_bps: Decimal | None
    result: str
    exit_code: int | None
    reason: str
    name: str = ""

    @property
    def account(self) -> str:
        """The account, masked."""
        return mask_account(self.account_id)


def past_run(run: RunRecord, result: RunResult | None, name: str = "") -> PastRun:
    """The run as the journal has it; `result` is what its report was made from, None without one.

    `name` is the account's in its household.
    """
    plan = result.plan if result else None
    fills = [fill for record in result.orders for fill in record.fills] if result else []
    ended = result if run.ended_at else None
    return PastRun(
        run_id=run.run_id,
        started_at=run.started_at,
        mode=run.mode,
        account_id=run.account_id,
        turnover_pct=turnover(result) if result else None,
        commissions=commissions(fills) if result else None,
        slippage_usd=_slippage(result) if result else None,
        drift_before_bps=plan.totals.drift_before_bps if plan else None,
        drift_after_bps=drift_left_bps(result) if result else None,
        result=ended.ending.lower() if ended else "ended" if run.ended_at else "under way, or its process died",
        exit_code=None if run.exit_code is None else int(run.exit_code),
        reason=run.reason,
        name=name,
    )


def history_json(run: PastRun) -> dict[str, Any]:
    """The run for programs; null is a figure that nobody knows."""
    return {
        "run_id": run.run_id,
        "started_at": formats.utc(run.started_at),
        "mode": run.mode,
        "account": run.account,
        "name": run.name or None,
        "turnover_pct": number_or_none(run.turnover_pct),
        "commissions": None if run.commissions is None else numbers(run.commissions),
        "slippage_usd": number_or_none(run.slippage_usd),
        "drift_before_bps": number_or_none(run.drift_before_bps),
        "drift_after_bps": number_or_none(run.drift_after_bps),
        "result": run.result,
        "exit_code": run.exit_code,
        "reason": run.reason,
    }


def _slippage(result: RunResult) -> Decimal | None:
    """The slippage of all orders in USD; None while that of any is not known."""
    amounts = [cost.slippage_usd for cost in order_costs(result)]
    known = [amount for amount in amounts if amount is not None]
    return sum(known, ZERO) if len(known) == len(amounts) else None


def _bps(value: Decimal | None) -> str:
    return "" if value is None else formats.bps(value)


def _commissions(run: PastRun) -> str:
    """In every currency that was paid in; a run without fills has paid nothing."""
    if run.commissions is None:
        return formats.UNKNOWN
    return balances_text(run.commissions or {USD: ZERO})


def _result(run: PastRun) -> str:
    """How it ended, for people; the reason may be long."""
    code = "" if run.exit_code is None else f" (exit {run.exit_code})"
    return f"{run.result}{code}: {visible(run.reason)}" if run.reason else f"{run.result}{code}"


HISTORY: Columns[PastRun] = (
    left("when (UTC)", lambda run: formats.utc(run.started_at)[:16].replace("T", " ")),
    left("run", lambda run: run.run_id),
    left("mode", lambda run: run.mode),
    left("account", lambda run: run.account),
    right("turnover %", lambda run: _bps(run.turnover_pct)),
    right("drift before", lambda run: _bps(run.drift_before_bps)),
    right("drift after", lambda run: _bps(run.drift_after_bps)),
)
NAME: Column[PastRun] = left("name", lambda run: run.name)
COMMISSIONS = right("commissions", _commissions)
SLIPPAGE_USD: Column[PastRun] = right(
    "slippage USD",
    lambda run: formats.money(run.slippage_usd),
    reading=lambda run: formats.amount(run.slippage_usd) or formats.UNKNOWN,
)
RESULT = left("result", _result)
