"""Before a run plans: end the account's runs that another process began and did not end, and look for lost records."""

from __future__ import annotations

from functools import partial

from core.errors import OutputFailed
from core.execution import check_journal_is_newest, read_evidence, recovered_error
from core.journal.rules import quarantined
from core.model import RunId
from core.report import report_folder, write_reports
from tasks.app.recovering import recover_with_result
from tasks.app.run import Run
from tasks.app.step import reading_step, step
from tasks.report import in_thread
from tasks.snapshot import check_account
from tasks.stage import StageStopped


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
        await run.disconnect()
    if run.id in waiting:
        _end_as_recovered(run)


@step("Recover an earlier run")
async def recover_run(run: Run, run_id: RunId) -> None:
    """Recover one run, and write its report. Raises ConnectionLost."""
    state, result = await recover_with_result(run.executor.tracker, run_id, run.settings)
    record = state.record
    if run_id == run.id:
        run.log_step("recovered", record.reason)
    else:
        run.warn(f"run {run_id}, whose process had ended early, was recovered: {record.reason}")
    folder = run.folder if run_id == run.id else report_folder(run.settings.io.report_dir, run_id)
    try:
        await in_thread(partial(write_reports, result, folder))
    except OutputFailed as error:
        run.warn(f"the report of run {run_id} could not be written: {error}")


async def check_record(run: Run) -> None:
    """Refuse to trade where the broker shows orders of ours that the journal does not have.

    Raises OutputFailed, BrokerError. A rehearsal's market has seen no run but this one, and is not asked.
    """
    if run.mode.sends_orders and not run.is_rehearsed:
        await _compare_with_broker(run)


@reading_step("Compare the journal with the broker")
async def _compare_with_broker(run: Run) -> None:
    evidence = await run.reader.read("reading the broker's lists", lambda: read_evidence(run.broker))
    check_journal_is_newest(run.journal, evidence)


def _end_as_recovered(run: Run) -> None:
    """Let this run end as the record of its earlier process has it."""
    state = run.journal.state(run.id)
    # its report is written, from what its earlier process knew as well
    run.is_on_record, run.is_reported, run.recovered = True, False, state.record.reason
    run.started_at, run.approvals = state.record.started_at, list(state.record.approvals)
    raise recovered_error(state) or StageStopped("everything was done before the process of the run ended")
