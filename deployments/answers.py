"""`rebalance approve` and `rebalance reject`: answer a run that waits, from the terminal, after showing its plan."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.input.run_input import keyset_from_paused_state
from rich.markdown import Markdown
from rich.prompt import Prompt

from core.errors import ApprovalExpired, UsageError
from core.masking import VISIBLE
from core.refs import run_id_of
from core.wording import visible
from deployments.server import lasting_server, server_failures
from deployments.terminal import console, errors_console
from flows.approval import HEARTBEAT_LABEL, SILENT_AFTER

FLOW_NAME = "rebalance"
MOST_WAITING = 200
NO_ACCOUNT = "-" * VISIBLE
SILENT_FOR = timedelta(seconds=SILENT_AFTER)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is answered; what is None is asked for at the terminal (the account) or taken from the login (the name)."""

    approve: bool
    approver: str | None = None
    account_suffix: str | None = None
    note: str = ""


def answer(run: str, decision: Decision) -> None:
    """Show the plan of the run that waits, and answer it.

    Raises UsageError without a server, for a run that is not waiting or not the only one of that name, and
    for an answer that the server does not take; ApprovalExpired when the run's process is gone; ConnectionLost
    when the server does not answer.
    """
    if not lasting_server():
        raise UsageError(
            "no Prefect server is named", next_step="set PREFECT_API_URL to the server on which the run waits"
        )
    with server_failures():
        asyncio.run(_answer(run, decision))


async def _answer(run: str, decision: Decision) -> None:
    async with get_client() as client:
        waiting = await _waiting(client, run)
        console().print(Markdown(await _question(client, waiting)))
        _check_alive(waiting)
        await _resume(client, waiting, decision)


async def _waiting(client: PrefectClient, name: str) -> FlowRun:
    """The one paused rebalance whose run id or flow-run id begins with `name`."""
    paused = await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW_NAME])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))),
        # the server refuses both as null
        sort=FlowRunSort.START_TIME_DESC,
        limit=MOST_WAITING,
    )
    found = [each for each in paused if _is_named(each, name)]
    if len(found) == 1:
        return found[0]
    ids = ", ".join(run_id_of(str(each.id)) for each in paused) or "none"
    what = f"{len(found)} waiting runs are named" if found else "no waiting run is named"
    raise UsageError(f"{what} {visible(name)}", next_step=f"name one of those that wait: {ids}")


def _is_named(run: FlowRun, name: str) -> bool:
    return run_id_of(str(run.id)).startswith(name.upper()) or str(run.id).startswith(name.lower())


async def _question(client: PrefectClient, run: FlowRun) -> str:
    if run.state is None:
        raise UsageError(f"run {run.id} has no state", next_step="look at it on the Prefect page")
    key = keyset_from_paused_state(run.state)["description"]
    return str(json.loads(await client.read_flow_run_input(run.id, key)))


def _check_alive(run: FlowRun) -> None:
    """A paused run whose process has died looks the same at the server; only its heartbeat tells."""
    heard = run.labels.get(HEARTBEAT_LABEL)
    last = datetime.fromisoformat(str(heard)) if heard else run.state.timestamp if run.state else None
    if last is None or datetime.now(UTC) - last > SILENT_FOR:
        raise ApprovalExpired(
            f"run {run_id_of(str(run.id))} waits, but its process is gone (last heard of at {last or 'no time'})",
            next_step="nothing can come of an answer; cancel it on the Prefect page and start a new run",
        )


async def _resume(client: PrefectClient, run: FlowRun, decision: Decision) -> None:
    filled = {
        "approve": decision.approve,
        "approver": decision.approver or getpass.getuser(),
        "account_suffix": _suffix(decision),
        "note": decision.note,
    }
    answered = await client.resume_flow_run(run.id, run_input=filled)
    if answered.status is not SetStateStatus.ACCEPT:
        reason = getattr(answered.details, "reason", None) or answered.status.value
        raise UsageError(f"the answer was not taken: {reason}", next_step="correct it and answer again")
    word = "approved" if decision.approve else "rejected"
    console().print(f"{word}: run {run_id_of(str(run.id))}", style="bold")


def _suffix(decision: Decision) -> str:
    if not decision.approve:
        return NO_ACCOUNT
    if decision.account_suffix:
        return decision.account_suffix
    if not sys.stdin.isatty():
        raise UsageError(
            "the account is not named", next_step=f"add --account-suffix with its last {VISIBLE} characters"
        )
    return Prompt.ask(f"The account's last {VISIBLE} characters", console=errors_console())
