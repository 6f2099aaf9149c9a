"""Recover a run whose process is gone: its orders are settled, its fills checked, and its result put on record."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from core import frames
from core.errors import DataRefused, RebalanceError
from core.execution import recover, recovered_result
from core.execution.tracker import OrderTracker
from core.journal.entries import RunState
from core.model import GateVerdict, Holdings, RunId, RunResult, Stage
from core.settings import Settings
from expectations.fills import fills_suite
from expectations.gate import refusal, run_gate


async def recover_with_result(tracker: OrderTracker, run_id: RunId, settings: Settings) -> tuple[RunState, RunResult]:
    """Recover the run as `core.execution.recover` does; how it ended, and what its report is to be made from.

    Its fills pass the gate that those of every run pass; one that would end as done ends with what the gate refuses.
    """
    verdicts: list[GateVerdict] = []

    async def check(state: RunState, holds: Holdings | None) -> RebalanceError | None:
        verdict = await _verdict(state, holds)
        if verdict is None:
            return None
        verdicts.append(verdict)
        return refusal(verdict)

    state = await recover(tracker, run_id, settings, check)
    result = _with_verdicts(recovered_result(state, tracker.broker), verdicts)
    tracker.journal.report(run_id, result)
    return state, result


async def _verdict(state: RunState, holds: Holdings | None) -> GateVerdict | None:
    """The verdict on the fills of the run, between the account before its first stage and now; None without any."""
    before = next((state.before[stage] for stage in Stage if stage in state.before), None)
    if state.plan is None:
        return None
    frame = frames.fills(state.orders.values(), state.plan, before, holds)
    if frame.empty:
        return None
    # in a thread: meanwhile the loop goes on reading the gateway
    return await asyncio.to_thread(lambda: run_gate("fills", frame, fills_suite()))


def _with_verdicts(result: RunResult, verdicts: list[GateVerdict]) -> RunResult:
    """The result with these verdicts in place of its own on the same tables, and with what they refuse."""
    tables = {verdict.table for verdict in verdicts}
    others = (each for each in result.gates if each.table not in tables)
    # what the recorded end names already is not named twice
    is_named = any(isinstance(error, DataRefused) for error in result.errors)
    refused = () if is_named else tuple(error for verdict in verdicts if (error := refusal(verdict)))
    return replace(result, gates=(*others, *verdicts), errors=(*result.errors, *refused))
