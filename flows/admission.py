"""Whether a run may start: it is not late, no other run has the account, and those who may can approve it alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext

from core.errors import ConnectionLost, StartedLate
from core.journal.store import account_is_held
from core.model import NEW_YORK
from core.model.refs import run_id_of
from flows.identity import ACCOUNT_LABEL, account_key, account_tag
from flows.liveness import PROCESS_LABEL, UNFINISHED, is_alive, read_runs
from tasks.app.codes import read_codes
from tasks.app.process import Process
from tasks.app.run import Run
from tasks.app.server import check_server
from tasks.app.wiring import current_session

# a run started by hand is never late
LATEST = timedelta(minutes=10)


def check_in_time() -> None:
    """Raise StartedLate for a scheduled run whose time has passed, as when its computer was off."""
    context = FlowRunContext.get()
    refusal = too_late(context.flow_run) if context and context.flow_run else None
    if refusal is not None:
        raise refusal


def too_late(run: FlowRun) -> StartedLate | None:
    """Why a scheduled run that starts now comes too late; None for one in time, and for one started by hand.

    Prefect starts all runs that were missed at once; the market that they were meant for is gone.
    """
    now, planned = datetime.now(UTC), run.expected_start_time
    if not run.auto_scheduled or planned is None or now - planned <= LATEST:
        return None
    due, started = planned.astimezone(NEW_YORK), now.astimezone(NEW_YORK)
    day = "" if due.date() == started.date() else f" on {due:%d %B}"
    return StartedLate(
        f"due at {due:%H:%M} New York{day}, started {started:%H:%M}: more than {LATEST.seconds // 60} minutes late",
        next_step="start a run by hand if it is still wanted",
    )


async def check_elsewhere(run: Run) -> None:
    """Refuse a run that would trade an account while a run on another computer has it.

    The journal's lock decides among those that share a journal, and is held by now. Runs with a journal elsewhere are
    found on the Prefect server they share: each has put its label there before it looks, so two never both go on; when
    they start within the same moment, it may be that neither does. Raises AccountBusy, and ConnectionLost when the
    server does not answer. A scenario has its simulated account to itself anyway.
    """
    # only a scenario brings its own broker, with a simulated account that no other run has
    if not run.mode.sends_orders or current_session().broker is not None:
        return
    account = run.settings.ibkr.account_id
    other = await _other_run(account_tag(account), account_key(account))
    if other is not None:
        started = other.start_time or other.created
        since = f"since {started.isoformat(timespec='seconds')}, " if started else ""
        process = Process.parse(other.labels.get(PROCESS_LABEL))
        where = f"{since}process {process.pid} on {process.host}" if process else since
        raise account_is_held(account, run_id_of(str(other.id)), where)


async def check_server_of(run: Run) -> None:
    """Refuse a run that would send orders on the word of a server that anybody could tell to approve them.

    Raises SafetyRefused, and ConnectionLost when the server does not answer.
    """
    if run.mode.sends_orders and FlowRunContext.get() is not None:
        await check_server()


async def check_approvers(run: Run) -> None:
    """Have the secrets of `[approval] approvers` ready for their answers; nothing in modes that send no orders.

    Raises SafetyRefused when none of them has one, and ConnectionLost when the server does not answer.
    """
    approvers = run.settings.approval.approvers
    if not run.mode.sends_orders or not approvers:
        return
    run.codes = await read_codes(approvers, with_blocks=FlowRunContext.get() is not None)
    lacking = [name for name in approvers if run.codes and name not in run.codes.names]
    if lacking:
        run.warn(f"approvers without a secret cannot answer: {', '.join(lacking)} (rebalance approver add NAME)")


async def _other_run(tag: str, key: str) -> FlowRun | None:
    """The oldest run of this account whose process is alive on another computer; None outside a flow run."""
    if FlowRunContext.get() is None:
        return None
    try:
        async with get_client() as client:
            unfinished = await read_runs(client, UNFINISHED, tag=tag, sort=FlowRunSort.START_TIME_ASC)
    except httpx.HTTPError as error:
        raise ConnectionLost(
            f"the Prefect server did not answer whether another run has the account: {error}",
            next_step="check the server, then start the run again",
        ) from None
    return next((each for each in unfinished if each.labels.get(ACCOUNT_LABEL) == key and _lives_elsewhere(each)), None)


def _lives_elsewhere(run: FlowRun) -> bool:
    process = Process.parse(run.labels.get(PROCESS_LABEL))
    return process is not None and not process.is_here and is_alive(run)
