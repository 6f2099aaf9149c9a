"""`rebalance household`: a run of the household on the lasting server, watched until every account has ended.

Whatever executes the deployments executes it, so it goes on when this command is stopped.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from rich.markdown import Markdown

from core.errors import AccountBusy, ConnectionLost, ExitCode, RebalanceError, UsageError
from core.household import Household, HouseholdApproval
from core.masking import mask_accounts
from core.model.refs import run_id_of
from core.report import formats
from core.safety import check_kill_switch, check_mode
from deployments.serving.server import first_line, lasting_server, page_of, server_failures
from deployments.streams import lasting_output
from deployments.terminal import console, print_progress
from flows.account_runs import household_tag, made_at, name_of, pause_key
from flows.liveness import HOUSEHOLD_FLOW, read_runs
from tasks.app.artifacts import HOUSEHOLD_DOCUMENT, HOUSEHOLD_REPORT
from tasks.app.brokers import make_broker
from tasks.app.household import HouseholdRequest
from tasks.household import ended_with

DEPLOYMENT = f"{HOUSEHOLD_FLOW}/household"
POLL_SECONDS = 2.0
STARTED_WITHIN = 30.0
NO_ANSWER = (httpx.HTTPError, PrefectException)


def run_household(request: HouseholdRequest, *, as_json: bool) -> ExitCode:
    """Start a run of the household, print what its accounts do and what came of them, and return its exit code.

    Raises what its files and the safety rules refuse, before anything is started; ConnectionLost without a lasting
    server, UsageError for one without the deployment; AccountBusy when the command is stopped, as the run goes on.
    """
    household = precheck(request)
    if lasting_server() is None:
        raise ConnectionLost(
            "no Prefect server is running, which the runs of a household need", next_step="start it with `rebalance up`"
        )
    with lasting_output() as output, server_failures():
        code = asyncio.run(_run(request, household, as_json=as_json))
        output.flush()
    return code


def precheck(request: HouseholdRequest) -> Household:
    """The household. Raises every fault of its files, and what the safety rules refuse to all of its accounts."""
    household = request.household(datetime.now(UTC))
    refused: list[RebalanceError] = []
    accounts = request.accounts_of(household)
    for account in accounts:
        try:
            check_mode(account.settings, request.mode, confirm_live=request.confirm_live, broker=request.broker)
            make_broker(request.of_account(household, account), account.settings)
        except RebalanceError as error:
            refused.append(error)
    # where only some are refused, the others run
    if len(refused) == len(accounts):
        raise refused[0]
    if request.mode.sends_orders:
        check_kill_switch(household.settings.safety.kill_switch_file)
    return household


async def _run(request: HouseholdRequest, household: Household, *, as_json: bool) -> ExitCode:
    async with get_client() as client:
        made = await _start(client, request)
        run_id = run_id_of(str(made.id))
        print_progress(f"household {household.name}, run {run_id}: {page_of(made)}")
        try:
            ended = await Watch(client, made.id, household).to_its_end()
        except asyncio.CancelledError:
            # 32 would say that the run was cancelled
            raise AccountBusy(
                f"stopped watching: household run {run_id} goes on",
                next_step="`rebalance status` shows it; Cancel on its page stops it",
            ) from None
        return await show_end(client, ended, as_json=as_json)


async def _start(client: PrefectClient, request: HouseholdRequest) -> FlowRun:
    try:
        deployment = await client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        raise UsageError(
            f"the Prefect server has no deployment {DEPLOYMENT}",
            next_step="start it with `rebalance up`, or deploy it to a work pool",
        ) from None
    return await client.create_flow_run_from_deployment(deployment.id, parameters=request.parameters())


@dataclass
class Watch:
    """Prints a line whenever an account, or the household, stands elsewhere than before."""

    client: PrefectClient
    flow_run_id: UUID
    household: Household
    shown: dict[str, str] = field(default_factory=dict)
    first_questions: dict[str, str] = field(default_factory=dict)

    async def to_its_end(self) -> FlowRun:
        """The household's flow run, once it has ended. It is watched on when the server does not answer for a while."""
        began, is_started, has_answered = time.monotonic(), False, True
        while True:
            try:
                found = await self._look()
                has_answered = True
            except NO_ANSWER as error:
                if has_answered:
                    _print(f"the Prefect server does not answer; the runs go on: {first_line(error)}")
                has_answered = False
            else:
                if found.state and found.state.is_final():
                    return found
                is_started = is_started or found.state_type is not StateType.SCHEDULED
                if not is_started and time.monotonic() - began > STARTED_WITHIN:
                    is_started = True
                    _print(
                        f"nothing has started it for {STARTED_WITHIN:.0f} s: `rebalance status` shows whether an "
                        "executor runs; a work pool needs a worker with room for it"
                    )
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> FlowRun:
        found = await self.client.read_flow_run(self.flow_run_id)
        runs = await read_runs(self.client, tag=household_tag(run_id_of(str(self.flow_run_id))))
        # the last that was made, where a retry of the household has run an account again
        newest = {name_of(each): each for each in sorted(runs, key=made_at)}
        for account in self.household.accounts:
            if account.name in newest:
                self._tell(account.name, self._account_text(newest[account.name]))
        if found.state and found.state.is_paused():
            self._tell(self.household.name, f"waits for one answer for all accounts: {_where_to_answer(found)}")
        elif found.state and found.state.is_cancelling():
            self._tell(self.household.name, "is being cancelled, with its accounts")
        return found

    def _account_text(self, run: FlowRun) -> str:
        """Where the run of an account stands; empty before it has started."""
        state = run.state
        if state is None or state.is_scheduled():
            return ""
        if state.is_final():
            return f"ended, {state.message or state.name}"
        if not state.is_paused():
            return "is being cancelled" if state.is_cancelling() else "is at work"
        # the first question of each is part of the one for all
        is_first = self.first_questions.setdefault(str(run.id), pause_key(run)) == pause_key(run)
        if is_first and self.household.approval is HouseholdApproval.ONE_FOR_ALL:
            return "has its plan, and waits for the others"
        return f"waits for approval: {_where_to_answer(run)}"

    def _tell(self, name: str, text: str) -> None:
        if text and self.shown.get(name) != text:
            self.shown[name] = text
            _print(f"{name}: {text}")


def _where_to_answer(run: FlowRun) -> str:
    return f"rebalance approve {run_id_of(str(run.id))}   {page_of(run)}"


def _print(line: str) -> None:
    print_progress(mask_accounts(f"{datetime.now().astimezone():%H:%M:%S}  {line}"))


async def show_end(client: PrefectClient, ended: FlowRun, *, as_json: bool) -> ExitCode:
    """Print the household's report as its page has it, from whichever computer, and return the exit code."""
    code, reason = ended_with(ended) or (ExitCode.UNFORESEEN, (ended.state and ended.state.message) or "no state")
    if as_json:
        document = await _artifact(client, ended, HOUSEHOLD_DOCUMENT)
        found: dict[str, Any] = json.loads(document) if document else {"exit_code": int(code), "reason": reason}
        print(json.dumps({**found, "page": page_of(ended)}, indent=2, ensure_ascii=False))  # noqa: T201 - what --json promises
        return code
    report = await _artifact(client, ended, HOUSEHOLD_REPORT)
    to = console()
    if report:
        to.print(Markdown(formats.unfolded(report)))
    style = "bold green" if code is ExitCode.DONE else "bold red"
    to.print(mask_accounts(f"exit {code:d}: {reason}"), style=style, markup=False, soft_wrap=True)
    return code


async def _artifact(client: PrefectClient, run: FlowRun, key: str) -> str:
    """What the run left on its page under this key; empty where there is nothing."""
    # the client's own call sends nulls that the server refuses
    wanted = {"artifacts": {"flow_run_id": {"any_": [str(run.id)]}, "key": {"any_": [key]}}, "limit": 1}
    found = (await client.request("POST", "/artifacts/filter", json=wanted)).json()
    return str(found[0]["data"]) if found else ""
