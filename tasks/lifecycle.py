"""However a run ends: no order of ours is left working, the account is released, and the report is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

from loguru import logger
from prefect.exceptions import ExternalSignal

from core.errors import AccountBusy, OrderIncomplete, OutputFailed, RebalanceError, RunCancelled, unexpected
from core.model import RunRecord, RunResult
from core.report.runlog import LogRules, open_run_log
from core.settings import echo
from tasks.app.brokers import WIRE_LOG
from tasks.app.clients import hold_client_at_end
from tasks.app.logs import forwarded_to_prefect
from tasks.app.notify import ended_note, notify, page
from tasks.app.progress import show
from tasks.app.run import Run
from tasks.app.wiring import current_session
from tasks.gates import gate_fills
from tasks.recovery import recover_open_runs
from tasks.report import report_gates, report_result
from tasks.snapshot import review_account
from tasks.stage import StageStopped

RUN_LOG = "run.log"
NEXT_STEP = "its report shows what was sent before"


@asynccontextmanager
async def reporting(run: Run) -> AsyncIterator[None]:
    """Keep the block's failure on the run instead of raising it, and report how it ended.

    A run that is stopped or cancelled is reported as well. Raises OutputFailed only before the block, when the
    run's log cannot be opened.
    """
    rules = _log_rules(run)
    with open_run_log(run.folder / RUN_LOG, run.id, rules), forwarded_to_prefect(run.id, rules.clean):
        try:
            # a failure is captured inside, so that the report is written with it on record
            with _failures_captured(run):
                yield
        finally:
            await _report_end(run)
            if run.owns_journal:
                run.journal.close()


@asynccontextmanager
async def account_locked(run: Run) -> AsyncIterator[None]:
    """Hold the account while the block runs (in modes that trade), and leave no order of ours working in it.

    Runs that another process left open are recovered first. The block's failure is kept on the run, whose end is on
    record when the account is free again. Raises AccountBusy, also for a flow run that has ended before, OutputFailed
    without a journal, and what `recover_open_runs` raises.
    """
    run.check_journal()
    lock = run.journal.lock(run.settings.ibkr.account_id, run.id) if run.mode.sends_orders else nullcontext()
    with lock:
        if run.mode.sends_orders:
            await recover_open_runs(run)
        _record_start(run)
        try:
            # captured before orders are cancelled, since it is the cause of that
            with _failures_captured(run), _interruptible(run):
                yield
        finally:
            with _failures_captured(run):
                await _end_orders(run)
            with _failures_captured(run):
                await run.disconnect()
            # while the account is held: whoever has it next recovers a run without an end
            _recorded_end(run)


@contextmanager
def _failures_captured(run: Run, keep: Callable[[RebalanceError], None] | None = None) -> Iterator[None]:
    """Put the block's failure on the run instead of raising it; a cancellation is a failure like any other.

    `keep` gets it instead of `Run.stop`.
    """
    keep = keep or run.stop
    try:
        yield
    except StageStopped:
        pass  # its causes are on the run already
    except RebalanceError as error:
        keep(error)
    except asyncio.CancelledError:
        _clear_cancellation()
        keep(run.cancel_cause or RunCancelled("the run was cancelled by its caller", next_step=NEXT_STEP))
    # outside `stoppable`, as in a plain call off the main thread, signals arrive as exceptions
    except (KeyboardInterrupt, ExternalSignal):
        keep(run.cancel_cause or RunCancelled("the run was stopped by a signal", next_step=NEXT_STEP))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the report is written and the code is 70
        keep(_unexpected(run, error))


def _unexpected(run: Run, error: BaseException) -> RebalanceError:
    """The failure that stands for `error`, whose traceback goes into the log."""
    show(logger.opt(exception=error).error, "unexpected failure")
    return unexpected(error, f"look into {run.folder / RUN_LOG}, and report it")


def _clear_cancellation() -> None:
    """Let the task go on: its orders are still to be cancelled, and its report to be written."""
    task = asyncio.current_task()
    while task and task.cancelling():
        task.uncancel()


@contextmanager
def _interruptible(run: Run) -> Iterator[None]:
    """In the block a stop interrupts whatever is awaited; outside it, as while orders are cancelled, it does not."""
    run.check_not_cancelled()
    task = asyncio.current_task()
    run.interrupt = task.cancel if task else None
    try:
        yield
    finally:
        run.interrupt = None


def _record_start(run: Run) -> None:
    record = RunRecord(run.id, run.flow_run_id, run.settings.ibkr.account_id, run.mode, run.started_at)
    try:
        run.journal.start_run(record)
    except AccountBusy:
        run.is_reported = False
        raise
    except OutputFailed as error:
        run.refuse_or_warn(error)
    else:
        run.is_on_record = True


async def _end_orders(run: Run) -> None:
    """Cancel what still works, and where orders were sent read the account, if it was not read since, and check it."""
    if not run.has_sent:
        return
    try:
        await hold_client_at_end(run)
    except RebalanceError as busy:
        run.warn(str(busy))
    for error in await run.executor.cancel_all():
        run.fail(error)
    try:
        # a run that completed its stages has read the account already
        if run.after is None:
            await review_account(run)
    except RebalanceError as error:
        run.warn(f"the account could not be read after trading: {error}")
    finally:
        await run.disconnect()
    try:
        await gate_fills(run)
    except RebalanceError as error:
        run.fail(error)


async def _report_end(run: Run) -> None:
    """Write the report, show how the run ended, and notify whoever started it.

    What goes wrong with the report is one more failure, and then it is written again, with the code which that gives.
    """
    result = _recorded_end(run)
    paths = await _reported(run, result)
    if list(result.errors) != run.errors:
        result = _recorded_end(run)
        paths = await _reported(run, result)
    show(current_session().on_end, result, paths)
    await notify(run.settings.notify.webhook_url, ended_note(result, page()))


async def _reported(run: Run, result: RunResult) -> tuple[Path, ...]:
    """The files of the report that could be written; why others could not is a failure of the run, once."""
    if not run.is_reported:
        return ()

    def keep(error: RebalanceError) -> None:
        if error not in run.errors:
            run.fail(error)

    paths: tuple[Path, ...] = ()
    with _failures_captured(run, keep):
        written = await report_result(run, result)
        paths = written.paths
        if written.failure:
            keep(written.failure)
    with _failures_captured(run, keep):
        paths += await report_gates(run)
        logs = (run.folder / name for name in (RUN_LOG, WIRE_LOG))
        paths += tuple(each for each in logs if each.exists())
    return paths


def _check_accounted_for(run: Run) -> None:
    """Fail a run that would count as done although a trade of its plan lacks an order, fills or a reason."""
    missing = run.result().unaccounted
    if missing and not run.errors:
        run.fail(
            OrderIncomplete(
                f"the run ended, and {', '.join(missing)} did not trade as planned, with no reason on record",
                next_step="look at the account in TWS, then run again for a new plan",
            )
        )


def _recorded_end(run: Run) -> RunResult:
    """How the run ended, put on record as the report will have it, and again when more has failed since."""
    if run.cancel_cause and not any(isinstance(error, RunCancelled) for error in run.errors):
        run.fail(run.cancel_cause)  # it came when everything was done
    # before the end is recorded, since it may turn a success into a failure
    _check_accounted_for(run)
    if run.ended_as is None or list(run.ended_as.errors) != run.errors:
        run.ended_as = run.result()
        try:
            _record_end(run, run.ended_as)
        except Exception as error:  # noqa: BLE001 - whatever it is, the report is written
            run.fail(error if isinstance(error, RebalanceError) else _unexpected(run, error))
            run.ended_as = run.result()
    return run.ended_as


def _record_end(run: Run, result: RunResult) -> None:
    """Put result and end on record; what recovery recorded of a run that was begun before stands."""
    if run.is_on_record and not run.recovered:
        run.journal.report(run.id, result)
        run.journal.end_run(run.id, at=result.ended_at, exit_code=result.exit_code, reason=result.reason)


def _log_rules(run: Run) -> LogRules:
    secret = run.settings.notify.webhook_url
    return LogRules(
        settings=echo(run.settings),
        level=run.settings.io.log_level,
        accounts=(run.settings.ibkr.account_id,),
        secrets=(secret.reveal(),) if secret else (),
    )
