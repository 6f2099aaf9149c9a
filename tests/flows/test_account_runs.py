"""The runs of a household's accounts, as the server shows them: whose turn it is, what stands, what is tried again."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from households import rehearsed, write_household
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import PrefectHTTPStatusError

from core.household import Turn
from flows.account_runs import ACCOUNT_NAME_LABEL, AccountRuns, KeptAnswer, household_of, household_tag
from flows.liveness import APPROVED_LABEL, process_label
from tasks.household import report_household

YES = KeptAnswer("question", approve=True, approver="Ann", note="")


class RunsAtHand:
    """Prefect's client as far as it is needed, on runs that a test has made; `failing` requests fail first."""

    def __init__(self, *runs: FlowRun, failing: int = 0) -> None:
        self.runs = {run.id: run for run in runs}
        self.failing = failing
        self.refusal: httpx.Response | None = None
        self.keys: list[str] = []
        self.forms: list[dict[str, str]] = []

    async def read_flow_runs(self, **_):
        return list(self.runs.values())

    async def read_flow_run(self, run_id):
        self._fail()
        return self.runs[run_id]

    async def read_deployment_by_name(self, _):
        return SimpleNamespace(id=uuid4())

    async def create_flow_run_from_deployment(self, _, *, idempotency_key, **__):
        self.keys.append(idempotency_key)
        if self.refusal:
            raise PrefectHTTPStatusError.from_httpx_error(
                httpx.HTTPStatusError("no", request=httpx.Request("POST", "http://x"), response=self.refusal)
            )
        made = run_of("Alice", StateType.SCHEDULED)
        self.runs[made.id] = made
        return made

    async def resume_flow_run(self, _, run_input):
        self._fail()
        self.forms.append(run_input)
        return SimpleNamespace(status=SetStateStatus.ACCEPT)

    def _fail(self):
        if self.failing:
            self.failing -= 1
            raise httpx.ReadTimeout("no answer")


def run_of(name: str, kind: StateType, state_name: str | None = None, **labels: str) -> FlowRun:
    state = State(type=kind, name=state_name, state_details=StateDetails(pause_key="question"))
    own = {ACCOUNT_NAME_LABEL: name, **process_label(), **labels}
    return FlowRun(id=uuid4(), flow_id=uuid4(), created=datetime.now(UTC), state=state, state_type=kind, labels=own)


@pytest.fixture
def household(tmp_path):
    run = rehearsed(write_household(tmp_path))
    yield run
    run.journal.close()


async def seen(household, *found: FlowRun, **more) -> AccountRuns:
    runs = AccountRuns(household, RunsAtHand(*found, **more))
    await runs.look()
    return runs


@pytest.mark.parametrize(
    ("kind", "turn"),
    [
        (StateType.SCHEDULED, Turn.AT_WORK),
        (StateType.PENDING, Turn.AT_WORK),
        (StateType.RUNNING, Turn.AT_WORK),
        (StateType.CANCELLING, Turn.AT_WORK),
        (StateType.PAUSED, Turn.WAITING),
        (StateType.COMPLETED, Turn.ENDED),
    ],
)
async def test_the_state_of_a_run_says_whose_turn_it_is(household, kind, turn):
    runs = await seen(household, run_of("Alice", kind))
    alice, bob, _ = household.accounts
    assert (runs.turn(alice), runs.turn(bob)) == (turn, Turn.TO_START)


async def test_an_answer_is_for_the_question_that_it_names_and_for_no_later_one(household):
    runs = await seen(household, run_of("Alice", StateType.PAUSED))
    alice, *_ = household.accounts
    runs.answer(alice, KeptAnswer("an earlier question", approve=True, approver="Ann", note=""))
    assert runs.turn(alice) is Turn.WAITING
    runs.answer(alice, YES)
    assert runs.turn(alice) is Turn.ANSWERED


@pytest.mark.parametrize(
    ("kind", "name", "labels", "stands"),
    [
        (StateType.RUNNING, None, {}, True),
        (StateType.PAUSED, None, {}, True),
        (StateType.COMPLETED, None, {}, True),
        (StateType.CANCELLED, "Rejected", {}, True),
        (StateType.FAILED, "Failed", {APPROVED_LABEL: "yes"}, True),
        (StateType.CRASHED, "Crashed", {APPROVED_LABEL: "yes"}, True),
        (StateType.FAILED, "Failed", {}, False),
        (StateType.FAILED, "Refused", {}, False),
        (StateType.FAILED, "Expired", {}, False),
        (StateType.CANCELLED, "Skipped", {}, False),
        (StateType.CANCELLED, "Cancelled", {}, False),
        (StateType.CRASHED, "Crashed", {}, False),
    ],
)
async def test_a_household_that_is_run_again_repeats_only_what_ended_before_a_yes_or_a_no(
    household, kind, name, labels, stands
):
    runs = await seen(household, run_of("Alice", kind, name, **labels))
    assert (runs.of(household.accounts[0]) is not None) is stands


async def test_an_answer_that_the_server_failed_to_take_is_given_again(household):
    runs = await seen(household, run_of("Alice", StateType.PAUSED), failing=1)
    alice, *_ = household.accounts
    runs.answer(alice, YES)
    with pytest.raises(httpx.ReadTimeout):
        await runs.go_on(alice)
    assert runs.turn(alice) is Turn.ANSWERED
    await runs.go_on(alice)
    assert [form["answer"] for form in runs._client.forms] == ["approve"]
    assert runs.turn(alice) is Turn.WAITING


async def test_a_run_that_was_made_though_the_server_failed_is_asked_for_under_the_same_key(household):
    runs = await seen(household, failing=1)
    alice, *_ = household.accounts
    with pytest.raises(httpx.ReadTimeout):
        await runs.go_on(alice)
    await runs.go_on(alice)
    first, second = runs._client.keys
    assert first == second
    assert str(alice.account_id) not in first


async def test_an_account_whose_parameters_the_server_refuses_has_ended_and_the_reason_is_reported(household):
    runs = await seen(household)
    alice, *_ = household.accounts
    detail = "overrides: not of type 'object'"
    runs._client.refusal = httpx.Response(409, json={"detail": detail}, request=httpx.Request("POST", "http://x"))
    await runs.go_on(alice)
    assert runs.turn(alice) is Turn.ENDED
    assert household.refused == {"Alice": f"the Prefect server refuses to start its run: {detail}"}
    result = await report_household(household, {each.name: None for each in household.accounts})
    row = result.accounts[0]
    assert (row.state, row.exit_code, row.reason) == ("Not started", 2, household.refused["Alice"])
    assert result.exit_code == 29


async def test_a_server_that_does_not_answer_refuses_nothing(household):
    runs = await seen(household)
    runs._client.refusal = httpx.Response(503, request=httpx.Request("POST", "http://x"))
    with pytest.raises(PrefectHTTPStatusError):
        await runs.go_on(household.accounts[0])
    assert runs.turn(household.accounts[0]) is Turn.TO_START


def test_the_run_of_an_account_names_its_household_by_a_tag(household):
    run = run_of("Alice", StateType.RUNNING)
    assert household_of(run) is None
    run.tags = ["pension", household_tag(household.id)]
    assert household_of(run) == household.id
    # a tag that a person gave
    run.labels = {}
    assert household_of(run) is None
