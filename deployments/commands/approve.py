"""`rebalance approve` and `rebalance reject`: answer a run that waits, from the terminal, after showing its plan.

An answer is a success only when the run's process has taken it, which a label of the run reports.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.input.run_input import Keyset, keyset_from_paused_state
from rich.markdown import Markdown
from rich.prompt import Prompt

from core.errors import AccountBusy, RebalanceError, UsageError
from core.masking import VISIBLE
from core.model.refs import run_id_of
from core.report import formats
from core.text import visible
from deployments.serving.server import lasting_server, server_failures
from deployments.terminal import console, errors_console
from flows.liveness import (
    ANSWER_LABEL,
    APPROVED,
    ASKED_AGAIN,
    REFUSED,
    REJECTED,
    after_crash,
    end_crashed,
    is_alive,
    read_runs,
)

NO_ACCOUNT = "-" * VISIBLE
TAKEN_WITHIN = 15.0
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer. Without an account suffix the terminal asks for it; without an approver it is the login's name.

    The run of a household wants its name, `household`, instead of the suffix; `leave_out` names the accounts that are
    not to trade, with commas between.

    Where approvers are set, the terminal asks for the name that is missing, and always for the one-time code: on the
    command line any user of the computer could read it.
    """

    approve: bool
    approver: str | None = None
    account_suffix: str | None = None
    note: str = ""
    household: str | None = None
    leave_out: str = ""


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
            "no Prefect server is running",
            next_step="start it with `rebalance up`, or set PREFECT_API_URL to the server on which the run is waiting",
        )
    with server_failures():
        asyncio.run(_answer(run, decision))


async def _answer(run: str, decision: Decision) -> None:
    async with get_client() as client:
        waiting = await _waiting(client, run.strip())
        await _check_alive(client, waiting)
        keys = _keys(waiting)
        console().print(Markdown(formats.unfolded(str(await _input(client, waiting, keys["description"])))))
        fields = (await _input(client, waiting, keys["schema"]))["properties"]
        await _resume(client, waiting, _filled(decision, fields))
        verdict = APPROVED if decision.approve else REJECTED
        await _check_taken(client, waiting, verdict)
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
        return AccountBusy(what, next_step=state.message or after_crash(run))
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


def _keys(run: FlowRun) -> Keyset:
    """Under which keys the server keeps the question of the run."""
    if run.state is None:
        raise UsageError(f"run {run.id} has no state", next_step="look at it on its Prefect page")
    return keyset_from_paused_state(run.state)


async def _input(client: PrefectClient, run: FlowRun, key: str) -> Any:
    return json.loads(await client.read_flow_run_input(run.id, key))


async def _check_alive(client: PrefectClient, run: FlowRun) -> None:
    """Raise AccountBusy for a run whose process is gone, and mark it: at the server it looks like any that waits."""
    if not is_alive(run):
        await end_crashed(client, run)
        raise AccountBusy(
            f"the process of run {run_id_of(str(run.id))} is gone, and the run is marked Crashed",
            next_step=after_crash(run),
        )


def _filled(decision: Decision, fields: Mapping[str, Any]) -> dict[str, str]:
    """The form's fields as they are to be sent; the terminal is asked for what the decision lacks.

    Raises UsageError for what cannot be asked for, and for what the form has no field for.
    """
    if "household" in fields:
        return _filled_for_household(decision)
    if decision.household or decision.leave_out:
        raise UsageError(
            "the run is of one account: --household and --leave-out are for a household's run",
            next_step="name the household's run; `rebalance status` lists those that wait",
        )
    filled = {
        "answer": "approve" if decision.approve else "reject",
        "account_suffix": _suffix(decision),
        "note": decision.note,
    }
    if "code" not in fields:
        return {**filled, "approver": decision.approver or getpass.getuser()}
    return {**filled, "approver": _approver(decision, fields["approver"]["enum"]), "code": _code()}


def _filled_for_household(decision: Decision) -> dict[str, str]:
    if decision.account_suffix or decision.note:
        raise UsageError(
            "the run is of a household: --account-suffix and --note are for the run of an account",
            next_step="give --household with its name instead",
        )
    return {
        "answer": "approve" if decision.approve else "reject",
        "approver": decision.approver or getpass.getuser(),
        "household": _household(decision),
        "leave_out": decision.leave_out,
    }


async def _resume(client: PrefectClient, run: FlowRun, filled: dict[str, str]) -> None:
    answered = await client.resume_flow_run(run.id, run_input=filled)
    if answered.status is not SetStateStatus.ACCEPT:
        reason = getattr(answered.details, "reason", None) or answered.status.value
        raise UsageError(f"the server did not accept the answer: {reason}", next_step="correct it and answer again")


async def _check_taken(client: PrefectClient, run: FlowRun, verdict: str) -> None:
    """Return when the run has taken the answer as this verdict; UsageError when it has not accepted it.

    AccountBusy when it never takes it.
    """
    key = run.state.state_details.pause_key if run.state else None
    end = time.monotonic() + TAKEN_WITHIN
    while time.monotonic() < end:
        now = await client.read_flow_run(run.id)
        taken = str(now.labels.get(ANSWER_LABEL, "")).partition(" ")
        if taken[0] == key:
            return _check_label(taken[2], verdict)
        await _check_alive(client, now)
        await asyncio.sleep(POLL_SECONDS)
    raise AccountBusy(
        f"run {run_id_of(str(run.id))} did not take the answer within {TAKEN_WITHIN:.0f} s, but is still running",
        next_step="look at its Prefect page; do not start another run for this account before it has ended",
    )


def _check_label(taken: str, verdict: str) -> None:
    if taken == verdict:
        return
    if taken.startswith(ASKED_AGAIN):
        raise UsageError(
            f"the run did not accept the answer: {taken.removeprefix(ASKED_AGAIN)}",
            next_step="the run asks again; answer it anew",
        )
    raise UsageError(
        f"the run did not accept the answer, and has ended: {taken.removeprefix(REFUSED)}",
        next_step="nothing was sent for it; start a new run",
    )


def _suffix(decision: Decision) -> str:
    if not decision.approve:
        return NO_ACCOUNT
    if decision.account_suffix:
        return decision.account_suffix
    if not sys.stdin.isatty():
        raise UsageError("no account was named", next_step=f"add --account-suffix with its last {VISIBLE} characters")
    return Prompt.ask(f"The account's last {VISIBLE} characters", console=errors_console())


def _household(decision: Decision) -> str:
    if not decision.approve:
        return NO_ACCOUNT
    if decision.household:
        return decision.household
    if not sys.stdin.isatty():
        raise UsageError("no household was named", next_step="add --household with its name")
    return Prompt.ask("The household's name", console=errors_console())


def _approver(decision: Decision, names: Sequence[str]) -> str:
    """The name of one of those who may answer. Raises UsageError for any other, and when it cannot be asked for."""
    if decision.approver is None and sys.stdin.isatty():
        return Prompt.ask("Approver", choices=list(names), case_sensitive=False, console=errors_console())
    name = (decision.approver or "").upper()
    if name not in names:
        raise UsageError(
            f"{visible(name)} is not an approver" if name else "no approver was named",
            next_step=f"add --approver with one of: {', '.join(names)}",
        )
    return name


def _code() -> str:
    """The one-time code, typed or from a pipe. Raises UsageError when there is none."""
    code = Prompt.ask("One-time code", console=errors_console()) if sys.stdin.isatty() else sys.stdin.readline()
    if not code.strip():
        raise UsageError("no one-time code was given", next_step="type it, or send it to the command's standard input")
    return code.strip()
