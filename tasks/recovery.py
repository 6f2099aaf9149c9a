"""Before a run starts: end the runs of its account that another process began and did not end."""

from __future__ import annotations

from core.broker.port import Broker
from core.errors import ExitCode, OrderIncomplete, OrderStateUnknown, OutputFailed, RebalanceError
from core.execution import recover
from core.journal.entries import RunState
from core.journal.rules import quarantined
from core.model import RunId, RunResult
from core.report import report_folder, write_reports
from tasks.app.run import Run
from tasks.app.step import step
from tasks.snapshot import check_account
from tasks.stage import StageStopped

NEXT_STEP = "run again: what is still needed is planned from the account as it is now"


async def recover_open_runs(run: Run) -> None:
    """Recover each run of the account that is open, and write its report; call it with the account held.

    Where this flow run itself was begun before (its process died and Prefect started it again, or somebody retried it)
    it ends here, by what its orders say: raises OrderIncomplete or OrderStateUnknown, or StageStopped where all was
    done. Raises ConnectionLost or SafetyRefused when the broker cannot be asked.
    """
    found = run.journal.open_runs(run.settings.ibkr.account_id)
    waiting = [state.record.run_id for state in found if state.needs_recovery]
    for state in found:
        if state.record.run_id == run.id and not state.needs_recovery:
            run.is_reported = False
            raise quarantined(state.record.account_id, state.needing_person)
    if not waiting:
        return
    try:
        await check_account(run)
        for run_id in waiting:
            await recover_run(run, run_id)
    finally:
        await run.broker.disconnect()
    if run.id in waiting:
        _end_as_recovered(run)


@step("Recover an earlier run")
async def recover_run(run: Run, run_id: RunId) -> None:
    """Recover one run; a report of another run than this one is written at once. Raises ConnectionLost."""
    state = await recover(run.executor.tracker, run_id, run.settings)
    record = state.record
    run.log_step("recovered", f"run {run_id} of {record.started_at:%Y-%m-%d %H:%M} UTC: {record.reason}")
    if run_id == run.id:
        return
    run.warn(f"run {run_id}, whose process had ended early, was recovered: {record.reason}")
    result = recovered_result(state, run.broker)
    run.journal.report(run_id, result)
    try:
        write_reports(result, report_folder(run.settings.io.report_dir, run_id))
    except OutputFailed as error:
        run.warn(f"the report of run {run_id} could not be written: {error}")


def recovered_result(state: RunState, broker: Broker) -> RunResult:
    """What a recovered run's report is made from: its orders and answers, for plan and account are not on record."""
    record = state.record
    error = recovered_error(state)
    return RunResult(
        run_id=record.run_id,
        name=record.run_id,
        mode=record.mode,
        broker=broker.kind,
        account_id=record.account_id,
        started_at=record.started_at,
        ended_at=record.ended_at or broker.now(),
        settings={},
        recovered=record.reason,
        orders=tuple(state.orders.values()),
        approvals=record.approvals,
        errors=(error,) if error else (),
    )


def recovered_error(state: RunState) -> RebalanceError | None:
    """The failure that the end of a recovered run is; None for one whose trades had all filled."""
    record = state.record
    if state.needing_person:
        return quarantined(record.account_id, state.needing_person)
    if record.exit_code is ExitCode.UNKNOWN:
        return OrderStateUnknown(record.reason)
    return OrderIncomplete(record.reason, next_step=NEXT_STEP) if record.exit_code else None


def _end_as_recovered(run: Run) -> None:
    """Let this run end as the record of its earlier process has it."""
    state = run.journal.state(run.id)
    run.is_on_record, run.recovered = True, state.record.reason
    run.started_at, run.approvals = state.record.started_at, list(state.record.approvals)
    raise recovered_error(state) or StageStopped("everything was done before the process of the run ended")
