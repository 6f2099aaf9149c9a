"""However a run ends: no order of ours is left working, the account is free again, and the report is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from loguru import logger
from prefect.exceptions import TerminationSignal

from core.errors import AccountBusy, OutputFailed, RebalanceError, RunCancelled
from core.model import Outcome, RunRecord
from core.report.runlog import LogRules, open_run_log
from tasks.brokers import WIRE_LOG
from tasks.logs import forwarded_to_prefect
from tasks.report import report_outcome
from tasks.run import Run
from tasks.snapshot import review_account
from tasks.stage import StageStopped
from tasks.unforeseen import unforeseen
from tasks.wiring import current_session

RUN_LOG = "run.log"


@asynccontextmanager
async def finishing(run: Run) -> AsyncIterator[None]:
    """Keep the block's failure on the run instead of raising it, and report however it ended.

    A run that is cancelled is reported as well, and stays cancelled. Raises OutputFailed only before the
    block, when the run's log cannot be opened.
    """
    rules = _log_rules(run)
    with open_run_log(run.folder / RUN_LOG, run.id, rules), forwarded_to_prefect(run.id, rules.clean):
        try:
            with _failures_kept(run):
                yield
        finally:
            await _conclude(run)


@asynccontextmanager
async def account_held(run: Run) -> AsyncIterator[None]:
    """Hold the account while the block runs (in modes that trade), and leave no order of ours working in it.

    The block's failure is kept on the run. Raises AccountBusy, also for a flow run that was started before: its
    orders are for recovery to look after.
    """
    lock = run.journal.lock(run.settings.ibkr.account_id, run.id) if run.mode.sends_orders else nullcontext()
    with lock:
        _put_on_record(run)
        try:
            # kept before orders are cancelled, for it is the cause of that
            with _failures_kept(run), _lost_signals_heard(run):
                yield
        finally:
            await _settle(run)


@contextmanager
def _failures_kept(run: Run) -> Iterator[None]:
    """Put the block's failure on the run instead of raising it; a cancelled task stays cancelled."""
    try:
        yield
    except StageStopped:
        pass  # its causes are on the run already
    except RebalanceError as error:
        run.stop(error)
    except (asyncio.CancelledError, KeyboardInterrupt, TerminationSignal):
        # a signal is raised in whatever runs just then, this block included
        if not any(isinstance(error, RunCancelled) for error in run.errors):
            run.stop(RunCancelled("the run was cancelled", next_step="see its report for what was sent before"))
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the report is written and the code is 70
        logger.exception("unforeseen failure")
        run.stop(unforeseen(error, f"look into {run.folder / RUN_LOG}, and report it"))


@contextmanager
def _lost_signals_heard(run: Run) -> Iterator[None]:
    """Raise in the block the SIGTERM that a callback of the loop raised; the loop itself would only report it.

    Only in the block: what ends a run, such as cancelling its orders, is not to be broken off by a signal.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    before = loop.get_exception_handler()
    report = before or type(loop).default_exception_handler
    heard: list[TerminationSignal] = []
    is_over = False

    def stop() -> None:
        if task and not is_over:
            task.cancel()

    def hear(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, TerminationSignal):
            report(loop, context)
        elif not heard:
            heard.append(error)
            run.is_cancelled = True
            # not at once: the task itself may run just now, and would be stopped only after the block
            loop.call_soon(stop)

    loop.set_exception_handler(hear)
    try:
        yield
    except asyncio.CancelledError:
        if heard and task:
            task.uncancel()
            raise heard[0] from None
        raise
    finally:
        is_over = True
        loop.set_exception_handler(before)


def _put_on_record(run: Run) -> None:
    record = RunRecord(run.id, run.flow_run_id, run.settings.ibkr.account_id, run.mode, run.started_at)
    try:
        run.journal.start_run(record)
    except AccountBusy:
        run.is_reported = False
        raise
    run.is_on_record = True


async def _settle(run: Run) -> None:
    """Cancel what still works, and read the account once more when orders were sent and nobody looked since."""
    if not any(record.sent_at for record in run.journal.orders(run.id)):
        return
    for error in await run.desk.cancel_all():
        run.fail(error)
    try:
        if run.after is None:
            await review_account(run)
    except RebalanceError as error:
        run.warn(f"the account could not be read after trading: {error}")
    finally:
        await run.broker.disconnect()


async def _conclude(run: Run) -> None:
    """Report, and tell whoever started the run. What cannot be written is one more failure."""
    _close(run, run.outcome())
    paths: tuple[Path, ...] = ()
    try:
        if run.is_reported:
            logs = (run.folder / name for name in (RUN_LOG, WIRE_LOG))
            paths = (*await report_outcome(run, run.outcome()), *(each for each in logs if each.exists()))
    except OutputFailed as error:
        run.fail(error)
        _close(run, run.outcome())
    outcome = run.outcome()
    current_session().ended(outcome, paths)


def _close(run: Run, outcome: Outcome) -> None:
    """Put the end on record, with the exit code so far."""
    if not run.is_on_record:
        return
    try:
        run.journal.end_run(run.id, at=outcome.ended_at, exit_code=outcome.exit_code, reason=outcome.reason)
    except OutputFailed as error:
        run.fail(error)


def _log_rules(run: Run) -> LogRules:
    secret = run.settings.notify.webhook_url
    return LogRules(
        settings=run.settings.echo(),
        level=run.settings.io.log_level,
        accounts=(run.settings.ibkr.account_id,),
        secrets=(secret.get_secret_value(),) if secret else (),
    )
