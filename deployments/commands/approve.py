"""`rebalance approve` and `rebalance reject`: answer a run that waits, from the terminal, after showing its plan.

An answer is a success only when the run's process has taken it, which a label of the run reports.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.input.run_input import keyset_from_paused_state
from rich.markdown import Markdown
from rich.prompt import Prompt

from core.errors import AccountBusy, RebalanceError, UsageError
from core.masking import VISIBLE
from core.model.refs import run_id_of
from core.report import formats
from core.text import visible
from deployments.serving.server import lasting_server, server_failures
from deployments.terminal import console, errors_console
from flows.liveness import ANSWER_LABEL, ASKED_AGAIN, end_crashed, is_alive, read_runs

NO_ACCOUNT = "-" * VISIBLE
TAKEN_WITHIN = 15.0
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer. Without an account suffix the terminal asks for it; without an approver it is the login's name."""

    approve: bool
    approver: str | None = None
    account_suffix: str | None = None
    note: str = ""


def answer(run: str, decision: Decision) -> None:
    """Show the plan of the run that waits, answer it, and return when the run has taken the answer.

    Raises UsageError without a server, for a run that is not waiting or not the only one of that name, and
    for an answer that is not taken; AccountBusy when the run's process is gone or does not react; ConnectionLost
    when the server does not answer.
    """
    if not run.strip():
        raise UsageError("no run was named", next_step="name the run that is waiting; `rebalance status` lists them")
    if not lasting_server():
        raise UsageError(
            "no Prefect server is configured", next_step="set PREFECT_API_URL to the server on which the run is waiting"
        )
    with server_failures():
        asyncio.run(_answer(run, decision))


async def _answer(run: str, decision: Decision) -> None:
    async with get_client() as client:
        waiting = await _waiting(client, run.strip())
        await _check_alive(client, waiting)
        console().print(Markdown(formats.unfolded(await _question(client, waiting))))
        await _resume(client, waiting, decision)
        await _check_taken(client, waiting)
        verdict = "approved" if decision.approve else "rejected"
        console().print(f"{verdict}: run {run_id_of(str(waiting.id))}", style="bold")


async def _waiting(client: PrefectClient, name: str) -> FlowRun:
    """The one paused rebalance of that name. Raises AccountBusy where its process is gone, UsageError where none is."""
    runs = await read_runs(client)
    paused = [each for each in runs if each.state is not None and each.state.is_paused()]
    others = [each for each in runs if each not in paused and _is_named(each, name)]
    if len(others) == 1 and not any(_is_named(each, name) for each in paused):
        raise _not_waiting(others[0])
    return only_one(paused, name)


def _not_waiting(run: FlowRun) -> RebalanceError:
    """The refusal to answer a run that is not paused, with the state that it is in."""
    state = run.state
    what = (
        f"run {run_id_of(str(run.id))} is not waiting for an answer: it is {state.name if state else 'without a state'}"
    )
    if state is not None and state.is_crashed():
        return AccountBusy(f"{what}: {state.message}", next_step="start a new run")
    message = f": {state.message}" if state is not None and state.message else ""
    return UsageError(f"{what}{message}", next_step="`rebalance status` lists the runs that are waiting")


def only_one(paused: Sequence[FlowRun], name: str) -> FlowRun:
    """The one run whose run id or flow-run id begins with `name`. Raises UsageError for none or several."""
    found = [each for each in paused if _is_named(each, name)]
    if len(found) == 1:
        return found[0]
    ids = ", ".join(run_id_of(str(each.id)) for each in paused) or "none"
    many = f"{len(found)} waiting runs have" if found else "no waiting run has"
    raise UsageError(
        f"{many} an id that begins with {visible(name)}", next_step=f"name one of those that are waiting: {ids}"
    )


def _is_named(run: FlowRun, name: str) -> bool:
    return run_id_of(str(run.id)).startswith(name.upper()) or str(run.id).startswith(name.lower())


async def _question(client: PrefectClient, run: FlowRun) -> str:
    if run.state is None:
        raise UsageError(f"run {run.id} has no state", next_step="look at it on its Prefect page")
    key = keyset_from_paused_state(run.state)["description"]
    return str(json.loads(await client.read_flow_run_input(run.id, key)))


async def _check_alive(client: PrefectClient, run: FlowRun) -> None:
    """Raise AccountBusy for a run whose process is gone, and mark it: at the server it looks like any that waits."""
    if not is_alive(run):
        await end_crashed(client, run)
        raise AccountBusy(
            f"the process of run {run_id_of(str(run.id))} is gone; the run is marked Crashed and sends nothing",
            next_step="start a new run",
        )


async def _resume(client: PrefectClient, run: FlowRun, decision: Decision) -> None:
    filled = {
        "answer": "approve" if decision.approve else "reject",
        "approver": decision.approver or getpass.getuser(),
        "account_suffix": _suffix(decision),
        "note": decision.note,
    }
    answered = await client.resume_flow_run(run.id, run_input=filled)
    if answered.status is not SetStateStatus.ACCEPT:
        reason = getattr(answered.details, "reason", None) or answered.status.value
        raise UsageError(f"the server did not accept the answer: {reason}", next_step="correct it and answer again")


async def _check_taken(client: PrefectClient, run: FlowRun) -> None:
    """Return when the run has taken the answer; UsageError when it asks again, AccountBusy when it never takes it."""
    key = run.state.state_details.pause_key if run.state else None
    end = time.monotonic() + TAKEN_WITHIN
    while time.monotonic() < end:
        now = await client.read_flow_run(run.id)
        taken = str(now.labels.get(ANSWER_LABEL, "")).partition(" ")
        if taken[0] == key:
            return _check_label(taken[2])
        await _check_alive(client, now)
        await asyncio.sleep(POLL_SECONDS)
    raise AccountBusy(
        f"run {run_id_of(str(run.id))} did not take the answer within {TAKEN_WITHIN:.0f} s, but is still running",
        next_step="look at its Prefect page; do not start another run for this account before it has ended",
    )


def _check_label(taken: str) -> None:
    if taken.startswith(ASKED_AGAIN):
        raise UsageError(
            f"the run did not accept the answer: {taken.removeprefix(ASKED_AGAIN)}",
            next_step="the run asks again; answer with the right --account-suffix",
        )


def _suffix(decision: Decision) -> str:
    if not decision.approve:
        return NO_ACCOUNT
    if decision.account_suffix:
        return decision.account_suffix
    if not sys.stdin.isatty():
        raise UsageError("no account was named", next_step=f"add --account-suffix with its last {VISIBLE} characters")
    return Prompt.ask(f"The account's last {VISIBLE} characters", console=errors_console())
