"""The household's flow without the processes of its accounts: parameters, one run at a time, and how it ends."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from builders import outcome, plan
from flow_runs import UnderWay
from household_samples import account, household
from households import rehearsed, write_household
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType
from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

from core.errors import (
    AccountBusy,
    ExitCode,
    OrderStateUnknown,
    OutputFailed,
    RebalanceError,
    RunCancelled,
    SettingsInvalid,
    UsageError,
)
from core.household import PlannedAccount, account_result, not_started
from core.model import Mode
from core.model.refs import run_id_of
from deployments.commands.approve import Decision, answer
from flows.approval import SERVER_WAITS_LONGER
from flows.household import check_in_process, household_locked, household_state, refused_state
from flows.household_approval import ENDS_BEFORE, HouseholdAnswer, ask_for_all
from flows.liveness import HOUSEHOLD_FLOW
from tasks.app.household import HouseholdRequest

NOW = datetime(2026, 3, 2, 20, 30, tzinfo=UTC)


@pytest.fixture
def run(tmp_path):
    made = rehearsed(write_household(tmp_path))
    yield made
    made.journal.close()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"accounts": ""}, "accounts must be the path of a file"),
        ({"mode": "papr"}, "mode must be one of"),
        ({"only": "Alice"}, "only must be names of accounts"),
        ({"overrides": {"notify.webhook_url": "https://x"}}, "overrides must be settings"),
        ({"confirm_live": "yes"}, "confirm_live must be true or false"),
    ],
)
def test_a_wrong_parameter_is_named_without_its_value(given, fault):
    with pytest.raises(UsageError, match=fault):
        HouseholdRequest.of(**{"accounts": "accounts.yaml"} | given)


def test_an_account_that_the_file_lacks_is_named_with_the_nearest_one(tmp_path):
    request = HouseholdRequest.of(accounts=write_household(tmp_path), only=["Alise"])
    with pytest.raises(UsageError, match=r"has no account Alise; did you mean Alice\?"):
        request.household(NOW)


def test_one_answer_for_all_is_refused_where_each_plan_needs_a_code(tmp_path):
    path = write_household(tmp_path, approval="one_for_all")
    with (tmp_path / "settings.ini").open("a") as settings:
        settings.write("\n[approval]\napprovers = ANN\n")
    with pytest.raises(SettingsInvalid, match="one_for_all, but the approvers of Alice"):
        HouseholdRequest.of(accounts=path, mode=Mode.PAPER).household(NOW)
    # nobody is asked
    assert HouseholdRequest.of(accounts=path).household(NOW)


def test_accounts_in_one_process_send_no_orders(tmp_path):
    request = HouseholdRequest.of(accounts=write_household(tmp_path), mode=Mode.PAPER, in_process=True)
    with pytest.raises(UsageError, match="in_process is for modes that send no orders, and this is paper"):
        request.household(NOW)


def test_accounts_in_one_process_need_a_server_on_postgresql(tmp_path):
    request = HouseholdRequest.of(accounts=write_household(tmp_path), in_process=True)
    with pytest.raises(UsageError, match="in_process needs a Prefect server on PostgreSQL"):
        check_in_process(request)
    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: "postgresql+asyncpg://ann@127.0.0.1/prefect"}):
        check_in_process(request)


async def test_a_second_run_of_a_household_is_busy_and_ends_as_skipped(tmp_path, run):
    other = rehearsed(run.household.file)
    async with household_locked(run):
        with pytest.raises(AccountBusy, match="household Ours is busy with another run") as error:
            async with household_locked(other):
                pytest.fail("both have the household")
    state = refused_state(error.value)
    assert (state.type, state.name) == (StateType.CANCELLED, "Skipped")
    assert state.message.startswith("exit 40: ")


def test_a_household_that_its_files_refuse_ends_as_refused_without_an_account_id():
    state = refused_state(SettingsInvalid("accounts.yaml: DU1234567 appears here twice", next_step="correct it"))
    assert (state.type, state.name) == (StateType.FAILED, "Refused")
    assert state.message.startswith("exit 10: ")
    assert "DU1234567" not in state.message


DONE = account_result(account(), outcome(), None)


@pytest.mark.parametrize(
    ("accounts", "kind", "name", "code"),
    [
        ((DONE,), StateType.COMPLETED, "Completed", ExitCode.DONE),
        ((DONE, failed := account_result(account("Bob"), outcome(errors=(RebalanceError("x"),)), None)),
         StateType.FAILED, "Failed", ExitCode.HOUSEHOLD),
        ((failed, account_result(account("Carol"), outcome(errors=(OutputFailed("x"),)), None)),
         StateType.FAILED, "Failed", ExitCode.OUTPUT),
        ((failed, account_result(account("Dan"), outcome(errors=(OrderStateUnknown("x"),)), None)),
         StateType.FAILED, "Failed", ExitCode.UNKNOWN),
    ],
)  # fmt: skip
def test_the_state_of_a_household_says_how_its_accounts_ended(run, accounts, kind, name, code):
    run.result = household(*accounts)
    state = household_state(run)
    assert (state.type, state.name) == (kind, name)
    assert state.message == f"exit {code:d}: {run.result.reason}"
    assert state.data["exit_code"] == code


def test_a_household_that_was_cancelled_ends_as_cancelled_with_32(run):
    cause = RunCancelled("cancelled on the Prefect page")
    stopped = not_started(account(), cause.message, ExitCode.APPROVAL_REJECTED)
    run.result = household(stopped)
    object.__setattr__(run.result, "cancelled", cause.message)
    state = household_state(run)
    assert (state.type, state.name) == (StateType.CANCELLED, "Cancelled")
    assert state.message.startswith("exit 32: cancelled on the Prefect page")


PLANNED = [PlannedAccount("Alice", plan()), PlannedAccount("Bob", plan())]
RIGHT = {"answer": "approve", "approver": "Ann", "household": "ours"}


def waiting(seconds: float) -> list[FlowRun]:
    """The run of an account that waits for its answer so long."""
    end = datetime.now(UTC) + timedelta(seconds=seconds + SERVER_WAITS_LONGER) + ENDS_BEFORE
    paused = State(type=StateType.PAUSED, state_details=StateDetails(pause_timeout=end))
    return [FlowRun(flow_id=uuid4(), state=paused)]


@pytest.fixture
def asked(prefect_server, monkeypatch, run):
    """A flow run that asks for all accounts."""
    monkeypatch.setattr("flows.approval.POLL_SECONDS", 0.3)

    def start(seconds: float = 60.0) -> UnderWay:
        name = f"household-{uuid4()}"

        @flow(name=HOUSEHOLD_FLOW, flow_run_name=name, persist_result=False)
        async def asking():
            return await ask_for_all(run, PLANNED, waiting(seconds), [])

        return UnderWay(name, asyncio.create_task(asking()))

    return start


async def description(client, paused) -> str:
    key = paused.state.state_details.run_input_keyset["description"]
    return str(await client.read_flow_run_input(paused.id, key))


async def test_a_yes_counts_with_the_name_of_the_household_and_names_of_accounts_that_wait(asked):
    question = asked()
    async with get_client() as client:
        await question.answer(client, **RIGHT | {"household": "Theirs"})
        assert "2 of 3): the answer named another household" in await description(
            client, await question.question(client)
        )
        await question.answer(client, **RIGHT, leave_out="Alice, Bop")
        assert "no account Bop waits; did you mean Bob?" in await description(client, await question.question(client))
        await question.answer(client, **RIGHT, leave_out="Bob")
    assert await question.ended() == HouseholdAnswer("Ann", frozenset({"Alice"}))


async def test_it_is_answered_from_a_terminal_by_the_name_of_the_household(asked, capsys):
    question = asked()
    async with get_client() as client:
        waits = str((await question.question(client)).id)
    with pytest.raises(UsageError, match="is of a household: --account-suffix and --note"):
        await asyncio.to_thread(answer, waits, Decision(approve=True, account_suffix="567"))
    with pytest.raises(UsageError, match="add --household with its name"):
        await asyncio.to_thread(answer, waits, Decision(approve=True))
    await asyncio.to_thread(answer, waits, Decision(True, "Ann", household="ours", leave_out="Alice"))
    assert await question.ended() == HouseholdAnswer("Ann", frozenset({"Bob"}))
    assert f"approved: run {run_id_of(waits)}" in capsys.readouterr().out


async def test_a_no_counts_whatever_else_was_typed(asked):
    question = asked()
    async with get_client() as client:
        await question.answer(client, answer="reject", approver="Ann", household="?", leave_out="nobody")
    assert await question.ended() == HouseholdAnswer("Ann", frozenset())


async def test_an_account_that_waits_no_longer_ends_the_question(asked):
    assert await asked(0).ended() is None
