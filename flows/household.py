"""The household, top to bottom: its accounts → a run for each → one approval, where that is wanted → one report."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from loguru import logger
from prefect import State, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run as current
from prefect.settings import get_current_settings
from pydantic import StrictBool

from core.errors import AccountBusy, ExitCode, RebalanceError, UsageError, unexpected
from core.household import (
    HouseholdApproval,
    HouseholdResult,
    PlannedAccount,
    Turn,
    household_json,
    next_turns,
)
from core.masking import mask_accounts
from core.model import AccountId, BrokerKind, Mode, RunEnding
from core.model.refs import run_id_of
from core.text import counted
from flows.account_runs import AccountRuns, KeptAnswer, account_runs, pause_key
from flows.cancellation import restore_after_cancellation, stoppable
from flows.household_approval import ask_for_all
from flows.liveness import HOUSEHOLD_FLOW, HOUSEHOLD_LABEL, current_flow_run_id
from flows.parameters import with_titles
from tasks.app.household import HouseholdRequest, HouseholdRun
from tasks.app.notify import Note, notify, page, webhook
from tasks.app.request import FilePath, OneBroker, OneMode, Overrides
from tasks.household import plan_of, report_household

POLL_SECONDS = 2.0
GOES_ON = "the runs of its accounts go on, see `rebalance status`; retry it on its page, and report it"
NO_ANSWER = (httpx.HTTPError, PrefectException)


def household_run_name() -> str:
    """`household paper XHUPNDYFCAX3`: mode and run id."""
    mode = str((current.parameters or {}).get("mode") or Mode.DRY_RUN)
    return f"household {mode} {run_id_of(str(current.id))}"


@with_titles
@flow(
    name=HOUSEHOLD_FLOW,
    flow_run_name=household_run_name,
    # a retry on the page runs what did not run; nobody else knows whether that is wanted
    retries=0,
    persist_result=False,
    # HouseholdRequest checks them, and its one line shows no values
    validate_parameters=False,
    on_cancellation=[restore_after_cancellation],
)
async def household(  # noqa: PLR0913 - a deployment's parameters are the fields of its form
    accounts: FilePath,
    mode: OneMode = Mode.DRY_RUN,
    broker: OneBroker = BrokerKind.IBKR,
    market: FilePath | None = None,
    overrides: Overrides | None = None,
    only: list[str] | None = None,
    *,
    confirm_live: StrictBool = False,
    in_process: StrictBool = False,
) -> State[Any]:
    """Bring every account of a household back to its target weights, each by a run of its own.

    Args:
        accounts: accounts.yaml, a path on the machine that runs it
        mode: report_only plans from the market file; dry_run reads the accounts and sends nothing; paper and live
            send orders once a person has approved them
        broker: ibkr is the real gateway; simulated and fake are rehearsals with a made-up market
        market: account and quotes for report_only, and for the simulated and fake brokers
        overrides: settings of this run alone, for all accounts, such as {"rebalance.min_order_usd": 0}
        only: names of accounts, to run no others
        confirm_live: live needs this second confirmation, beside the approval
        in_process: for report_only and dry_run: all accounts in one process, which is quicker than one for each; the
            Prefect server must be on PostgreSQL
    """
    flow_run_id = str(current_flow_run_id() or uuid4())
    try:
        request = HouseholdRequest.of(
            accounts=accounts,
            mode=mode,
            broker=broker,
            market=market,
            overrides=overrides,
            only=only,
            confirm_live=confirm_live,
            in_process=in_process,
        )
        check_in_process(request)
        run = HouseholdRun.of(request, flow_run_id)
        async with household_locked(run), stoppable(run, lambda: household_state(run)):
            async with get_client() as client, account_runs(run, client) as runs:
                await rebalance_accounts(run, runs)
            run.result = await report_household(run, {each.name: runs.of(each) for each in run.household.accounts})
    except Exception as error:  # noqa: BLE001 - whatever it is, it is one line, and the accounts' own runs go on
        known = error if isinstance(error, RebalanceError) else unexpected(error, GOES_ON)
        if known is not error:
            logger.exception("unexpected failure of the household")
        await notify(webhook(), Note("Household: not run", mask_accounts(f"exit {known.exit_code:d}: {known}")))
        return refused_state(known)
    await notify(run.household.settings.notify.webhook_url, ended_note(run.result, page()))
    return household_state(run)


def check_in_process(request: HouseholdRequest) -> None:
    """Raise UsageError for accounts in one process where their many requests would find SQLite locked."""
    url = get_current_settings().server.database.connection_url
    if request.in_process and not (url and url.get_secret_value().startswith("postgresql")):
        raise UsageError(
            "in_process needs a Prefect server on PostgreSQL, and PREFECT_SERVER_DATABASE_CONNECTION_URL names none",
            next_step="leave it out: each account then has a process of its own",
        )


@asynccontextmanager
async def household_locked(run: HouseholdRun) -> AsyncIterator[None]:
    """Hold the household while the block runs. Raises AccountBusy when another run of it is under way."""
    name = run.household.name
    try:
        with run.journal.lock(AccountId(f"household {name}"), run.id):
            yield
    except AccountBusy as error:
        raise AccountBusy(
            f"household {name} is busy with another run",
            next_step="`rebalance status` shows it; wait for its end, or cancel it",
        ) from error
    finally:
        run.journal.close()


async def rebalance_accounts(run: HouseholdRun, runs: AccountRuns) -> None:
    """Let every account run, and return when all have ended. They go on while the server does not answer."""
    run.labels[HOUSEHOLD_LABEL] = run.household.name
    has_answered = True
    while True:
        try:
            await runs.look()
            if await take_turns(run, runs):
                return
            has_answered = True
        except NO_ANSWER as error:
            if has_answered:
                logger.bind(run_id=run.id).warning("the Prefect server does not answer; the accounts go on: {}", error)
            has_answered = False
        await asyncio.sleep(POLL_SECONDS)


async def take_turns(run: HouseholdRun, runs: AccountRuns) -> bool:
    """Start or answer the accounts whose turn it is, or cancel them all; whether there is nothing left to wait for."""
    turns = {account.name: runs.turn(account) for account in run.accounts}
    if run.cancel_cause:
        await runs.cancel()
        return set(turns.values()) <= {Turn.ENDED, Turn.TO_START}
    for account in next_turns(run.accounts, turns, run.household.at_once):
        await runs.go_on(account)
    is_one_for_all = run.household.approval is HouseholdApproval.ONE_FOR_ALL
    if is_one_for_all and not run.is_asked and set(turns.values()) <= {Turn.ENDED, Turn.WAITING}:
        run.is_asked = True
        await answer_for_all(run, runs)
    return set(turns.values()) <= {Turn.ENDED}


async def answer_for_all(run: HouseholdRun, runs: AccountRuns) -> None:
    """Ask once for all accounts that wait, and keep the answer for each; without one each waits for its own."""
    waiting = {
        each.name: found for each in run.accounts if (found := runs.of(each)) and runs.turn(each) is Turn.WAITING
    }
    planned = [PlannedAccount(name, plan) for name, each in waiting.items() if (plan := plan_of(run, each))]
    if not planned:
        return
    others = [f"{each.name}: {ended_text(runs.of(each))}" for each in run.accounts if each.name not in waiting]
    await notify(run.household.settings.notify.webhook_url, waiting_note(run, len(planned), page()))
    asked = [waiting[row.name] for row in planned]
    asking = asyncio.create_task(ask_for_all(run, planned, asked, others))
    run.interrupt = asking.cancel
    try:
        answer = await asking
    except asyncio.CancelledError:
        if run.cancel_cause is None:
            raise
        return
    finally:
        run.interrupt = None
    if answer is None:
        return
    approver = f"{answer.approver} (household {run.id})"
    shown = {row.name for row in planned}
    for account in run.accounts:
        if account.name in shown:
            key = pause_key(waiting[account.name])
            is_yes = account.name in answer.approved
            note = "left out" if answer.approved and not is_yes else ""
            runs.answer(account, KeptAnswer(key, is_yes, approver, note))


def ended_text(found: FlowRun | None) -> str:
    """How the run of an account ended that asks nothing."""
    return mask_accounts(found.state.message or "") if found and found.state else "has no run"


def household_state(run: HouseholdRun) -> State[Any]:
    """The state of the flow run: its message is `exit N: …`, its data what household.json says. Needs the result."""
    if run.result is None:
        raise LookupError("a household that has not ended has no final state")
    name, kind = RunEnding.FAILED, StateType.FAILED
    if run.result.exit_code is ExitCode.DONE:
        name, kind = RunEnding.COMPLETED, StateType.COMPLETED
    elif run.result.exit_code is ExitCode.APPROVAL_REJECTED:
        name, kind = RunEnding.CANCELLED, StateType.CANCELLED
    message = f"exit {run.result.exit_code:d}: {run.result.reason}"
    return State(type=kind, name=name.value, message=message, data=json.loads(household_json(run.result)))


def refused_state(error: RebalanceError) -> State[Any]:
    """The state of a household that did not run."""
    kind, name = StateType.FAILED, RunEnding.REFUSED
    if isinstance(error, AccountBusy):
        kind, name = StateType.CANCELLED, RunEnding.SKIPPED
    elif error.exit_code is ExitCode.UNFORESEEN:
        name = RunEnding.FAILED
    return State(
        type=kind,
        name=name.value,
        message=mask_accounts(f"exit {error.exit_code:d}: {error.in_full}"),
        data=error,
    )


def waiting_note(run: HouseholdRun, count: int, page: str | None) -> Note:
    """That a household waits for one answer, and where to give it."""
    title = f"Household {run.household.name} {run.request.mode} waits for approval"
    return Note(title, "\n".join(filter(None, (counted(count, "account"), page, f"rebalance approve {run.id}"))))


def ended_note(result: HouseholdResult, page: str | None) -> Note:
    """How a household ended, and who needs a person first."""
    needing = [f"{each.name}: {each.need}: {each.what_to_do}" for each in result.need_person]
    lines = (f"exit {result.exit_code:d}: {result.reason}", *needing, page or "", f"run {result.run_id}")
    return Note(f"Household {result.name} {result.mode}", "\n".join(filter(None, lines)))
