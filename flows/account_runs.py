"""The flow runs of a household's accounts: runs of a deployment, so that whatever executes that starts their processes.

With `in_process` the household executes them itself.

Each account has one run at a time. Its key at the server is made of the household's run and the account, so a household
that is run again under its flow run finds what it has started.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from loguru import logger
from prefect import State
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.flow_engine import run_flow_async
from prefect.states import Cancelled, Cancelling, Pending

from core.errors import ExitCode, UsageError
from core.household import HouseholdAccount, Turn
from core.masking import VISIBLE
from core.model import RunEnding, RunId
from flows.cancellation import cancel_and_wait
from flows.identity import account_key
from flows.liveness import APPROVED_LABEL, FLOW_NAME, UNFINISHED, end_crashed, read_runs, without_process
from tasks.app.household import HouseholdRun

ON_DEMAND = f"{FLOW_NAME}/on-demand"
ACCOUNT_NAME_LABEL = "rebalance.household.account"
LONGEST_APPROVER = 80
# to ask again would bring the same answer
REFUSALS = frozenset({httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY})
_TAG = "household-"
_NOT_BEGUN = f"exit {ExitCode.APPROVAL_REJECTED:d}: the household was cancelled before this run had begun"


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer for one question of an account's run, which `pause_key` names, until that run may go on."""

    pause_key: str
    approve: bool
    approver: str
    note: str


def household_tag(run_id: RunId) -> str:
    """The tag of the runs of a household's accounts.

    >>> household_tag(RunId("XHUPNDYFCAX3"))
    'household-XHUPNDYFCAX3'
    """
    return f"{_TAG}{run_id}"


def household_of(found: FlowRun) -> RunId | None:
    """The run of the household whose account this run is of, by its tag; None for a run of none."""
    tags = (tag.removeprefix(_TAG) for tag in found.tags if tag.startswith(_TAG))
    return next(map(RunId, tags), None) if ACCOUNT_NAME_LABEL in found.labels else None


class AccountRuns:
    """What the runs of the accounts have come to, as the server showed it last."""

    def __init__(self, run: HouseholdRun, client: PrefectClient) -> None:
        self._run = run
        self._client = client
        self._runs: dict[str, FlowRun] = {}
        self._tries: dict[str, int] = {}
        self._answers: dict[str, KeptAnswer] = {}
        self._here: dict[UUID, asyncio.Task[None]] = {}
        self._has_looked = False

    async def look(self) -> None:
        """Read all runs again, and end those whose process is gone; at first those of an earlier try of the household.

        Of these, what sent orders, completed or was rejected stands; an account whose run ended before anything was
        approved runs again. Raises httpx.HTTPError.
        """
        if not self._has_looked:
            await self._find()
            self._has_looked = True
        newest = {each.id: each for each in await self._read()}
        self._runs = {name: newest.get(each.id, each) for name, each in self._runs.items()}
        # one that is Pending for long was taken by a worker that died before it had started a process
        unfinished = [each for each in self._runs.values() if each.state_type in UNFINISHED]
        stopped = [each for each in unfinished if each.id in self._here and self._here[each.id].done()]
        for dead in (*stopped, *await without_process(self._client, unfinished)):
            await end_crashed(self._client, dead)
            name = str(dead.labels[ACCOUNT_NAME_LABEL])
            self._runs[name] = await self._client.read_flow_run(dead.id)

    async def _find(self) -> None:
        for found in sorted(await self._read(), key=made_at):
            name = name_of(found)
            self._tries[name] = self._tries.get(name, 0) + 1
            if _stands(found):
                self._runs[name] = found
            else:
                self._runs.pop(name, None)

    def of(self, account: HouseholdAccount) -> FlowRun | None:
        """The run of the account; None for one that has none yet."""
        return self._runs.get(account.name)

    def turn(self, account: HouseholdAccount) -> Turn:
        """Where the account's run stands."""
        found = self.of(account)
        if account.name in self._run.refused:
            return Turn.ENDED
        if found is None or found.state is None:
            return Turn.TO_START
        if found.state.is_final():
            return Turn.ENDED
        if not found.state.is_paused():
            return Turn.AT_WORK
        given = self._answers.get(account.name)
        return Turn.ANSWERED if given and given.pause_key == pause_key(found) else Turn.WAITING

    def answer(self, account: HouseholdAccount, given: KeptAnswer) -> None:
        """Keep an answer until the account's run may go on."""
        self._answers[account.name] = given

    async def go_on(self, account: HouseholdAccount) -> None:
        """Start the account's run, or give it its answer. Raises httpx.HTTPError, UsageError without a deployment.

        An account whose parameters the server refuses is put down as refused; the others go on.
        """
        if self.of(account) is None:
            try:
                self._runs[account.name] = await self._start(account)
            except PrefectHTTPStatusError as error:
                if error.response.status_code not in REFUSALS:
                    raise
                self._run.refused[account.name] = f"the Prefect server refuses to start its run: {_detail(error)}"
            return
        await self._resume(account, self._runs[account.name], self._answers[account.name])
        # only now: a server that failed is told again
        del self._answers[account.name]

    async def cancel(self) -> None:
        """Cancel every run that has not ended; each cancels its orders and reports. Raises httpx.HTTPError."""
        for found in self._runs.values():
            if found.state is None or not (found.state.is_final() or found.state.is_cancelling()):
                # what nobody executes yet has no process that would notice, and end it
                is_waiting = found.state is not None and found.state.is_scheduled()
                state: State[None] = Cancelled(message=_NOT_BEGUN) if is_waiting else Cancelling()
                await self._client.set_flow_run_state(found.id, state)

    async def close(self) -> None:
        """End what still runs in this process."""
        await cancel_and_wait(*self._here.values())

    async def _read(self) -> list[FlowRun]:
        return await read_runs(self._client, tag=household_tag(self._run.id))

    async def _start(self, account: HouseholdAccount) -> FlowRun:
        request = self._run.request.of_account(self._run.household, account)
        number = self._tries.get(account.name, 0) + 1
        try:
            deployment = await self._client.read_deployment_by_name(ON_DEMAND)
        except ObjectNotFound:
            raise UsageError(
                f"the Prefect server has no deployment {ON_DEMAND}, which runs the accounts",
                next_step="start it with `rebalance up`, or deploy it to a work pool",
            ) from None
        made = await self._client.create_flow_run_from_deployment(
            deployment.id,
            parameters=request.parameters(),
            # until its own name stands there
            name=account.name,
            tags=[household_tag(self._run.id), *account.tags],
            labels={ACCOUNT_NAME_LABEL: account.name},
            idempotency_key=f"{self._run.flow_run_id}-{account_key(account.account_id)}-{number}",
            # one that is not Scheduled is left alone by whatever executes the deployment
            state=Pending() if self._run.request.in_process else None,
        )
        found = await self._client.read_flow_run(made.id)
        # only now: asked again with the same number, a server that failed gives the run that it has made all the same
        self._tries[account.name] = number
        if self._run.request.in_process:
            self._here[found.id] = asyncio.create_task(run_here(found, request.parameters()))
        logger.bind(run_id=self._run.id).info("{}: started", account.name)
        return found

    async def _resume(self, account: HouseholdAccount, paused: FlowRun, given: KeptAnswer) -> None:
        suffix = account.account_id[-VISIBLE:] if given.approve else "-" * VISIBLE
        form = {
            "answer": "approve" if given.approve else "reject",
            "approver": given.approver[:LONGEST_APPROVER],
            "account_suffix": suffix,
            "note": given.note,
        }
        answered = await self._client.resume_flow_run(paused.id, run_input=form)
        if answered.status is not SetStateStatus.ACCEPT:
            # somebody else was faster, or it has ended: the next look shows which
            logger.bind(run_id=self._run.id).warning("{}: its run did not take the answer", account.name)
        self._runs[account.name] = await self._client.read_flow_run(UUID(str(paused.id)))


@asynccontextmanager
async def account_runs(run: HouseholdRun, client: PrefectClient) -> AsyncIterator[AccountRuns]:
    """The runs of the household's accounts; what of them runs in this process does not outlive the block."""
    runs = AccountRuns(run, client)
    try:
        yield runs
    finally:
        await runs.close()


async def run_here(made: FlowRun, parameters: dict[str, Any]) -> None:
    """Execute a flow run in this process; `AccountRuns.look` ends one that broke off."""
    from flows.rebalance import rebalance  # noqa: PLC0415 - few households need it, and it costs a second

    try:
        await run_flow_async(rebalance, flow_run=made, parameters=parameters, return_type="state")
    except Exception:  # noqa: BLE001 - it is this account's alone; the others go on
        logger.exception("the run of an account broke off")


def _detail(error: PrefectHTTPStatusError) -> str:
    """What the server said, on one line."""
    try:
        said = error.response.json().get("detail")
    except (ValueError, AttributeError):
        said = None
    return " ".join(str(said or f"HTTP status {error.response.status_code}").split())


def name_of(found: FlowRun) -> str:
    """The name of the account in its household, by the label of its run."""
    return str(found.labels.get(ACCOUNT_NAME_LABEL))


def pause_key(found: FlowRun) -> str:
    """Which question a paused run waits at; a plan that is made again gets another."""
    return str(found.state.state_details.pause_key) if found.state else ""


def made_at(found: FlowRun) -> datetime:
    """When the run was made."""
    return found.created or datetime.min.replace(tzinfo=UTC)


def _stands(found: FlowRun) -> bool:
    """Whether the account must not run again: its run goes on, or did all it was to do, or somebody has said no."""
    state = found.state
    if state is None or not state.is_final() or state.is_completed():
        return True
    return APPROVED_LABEL in found.labels or state.name == RunEnding.REJECTED.value
