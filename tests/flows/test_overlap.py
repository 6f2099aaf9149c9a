"""Which run may start: names and tags of runs, one run per account, and no run long after its time."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from flow_runs import A_MOMENT, ACCOUNT, LONGEST, YES, Rehearsal, SaysYes
from freezegun import freeze_time
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.flow_engine import run_flow
from prefect.states import Pending

from core.errors import StartedLate
from core.model import AccountId, RunId
from core.model.refs import run_id_of
from flows.admission import check_in_time
from flows.identity import ACCOUNT_LABEL, account_key
from flows.liveness import HEARTBEAT_LABEL, PROCESS_LABEL
from flows.rebalance import rebalance
from tasks.app.journals import open_rehearsals


@pytest.fixture
async def client(prefect_server):
    async with get_client() as client:
        yield client


@pytest.fixture
def parameters(demo, tmp_path, monkeypatch):
    """A paper run of the demo's files on the simulated broker, with an account that no other test has."""
    monkeypatch.setenv("REBALANCER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REBALANCER__IO__REPORT_DIR", str(tmp_path / "reports"))
    monkeypatch.setenv("REBALANCER__SAFETY__KILL_SWITCH_FILE", str(tmp_path / "KILL_SWITCH"))
    return {"csv": demo / "portfolios.csv", "ini": demo / "settings.ini", "mode": "paper", "broker": "simulated"}


async def make(client, parameters, **more) -> FlowRun:
    """A run that nobody else will start."""
    made = await client.create_flow_run(rebalance, parameters={k: str(v) for k, v in parameters.items()}, **more)
    await client.set_flow_run_state(made.id, Pending(), force=True)
    return await client.read_flow_run(made.id)


def start(made: FlowRun, parameters) -> asyncio.Task:
    return asyncio.create_task(run_flow(rebalance, flow_run=made, parameters=parameters, return_type="state"))


async def read(client, made) -> FlowRun:
    return await client.read_flow_run(made.id)


async def paused(client, *made) -> FlowRun:
    """The first of these runs that waits with its form."""
    async with asyncio.timeout(LONGEST):
        while True:
            for each in made:
                now = await read(client, each)
                if now.state.is_paused():
                    key = now.state.state_details.pause_key
                    found = await client.filter_flow_run_input(
                        now.id, key_prefix=f"paused-{key}", limit=10, exclude_keys=set()
                    )
                    if any(one.key.endswith("-schema") for one in found):
                        return now
            await asyncio.sleep(A_MOMENT)


async def test_a_run_is_named_and_tagged_beside_the_tags_that_it_has(client, parameters):
    made = await make(client, parameters | {"mode": "dry_run"}, tags=["mine"])
    state = await start(made, parameters | {"mode": "dry_run"})
    found = await read(client, made)
    assert state.is_completed(), state.message
    assert found.name == f"dry_run …567 {run_id_of(str(made.id))}"
    assert set(found.tags) == {"mine", "dry_run", "simulated", "acct-567"}
    assert ACCOUNT not in found.model_dump_json()


async def test_a_run_whose_settings_cannot_be_read_has_a_name_and_tags_all_the_same(client, parameters, tmp_path):
    wrong = parameters | {"ini": tmp_path / "missing.ini"}
    made = await make(client, wrong)
    state = await start(made, wrong)
    found = await read(client, made)
    assert (state.name, found.name) == ("Refused", f"paper {run_id_of(str(made.id))}")
    assert set(found.tags) == {"paper", "simulated"}


@pytest.mark.slow
async def test_of_two_runs_that_start_at_once_one_has_the_account_and_the_other_is_skipped(client, parameters):
    made = [await make(client, parameters), await make(client, parameters)]
    tasks = [start(each, parameters) for each in made]
    waiting = await paused(client, *made)
    (other,) = (each for each in made if each.id != waiting.id)
    async with asyncio.timeout(LONGEST):
        skipped = await tasks[made.index(other)]
    assert (skipped.name, skipped.type.value) == ("Skipped", "CANCELLED")
    assert skipped.message.startswith(
        f"exit 40: account ******567 is busy with run {run_id_of(str(waiting.id))} (since "
    )
    await client.resume_flow_run(waiting.id, run_input=YES)
    async with asyncio.timeout(LONGEST):
        done = await tasks[made.index(next(each for each in made if each.id == waiting.id))]
    assert done.name == "Completed", done.message


@pytest.mark.parametrize(
    ("label", "heartbeat_age", "skipped"),
    [(ACCOUNT, 0, True), (ACCOUNT, 600, False), ("DU7654567", 0, False)],
    ids=["it lives", "it is dead", "it is of an account that ends alike"],
)
@pytest.mark.slow
async def test_a_run_of_the_account_on_another_computer_is_respected_while_it_is_alive(
    client, parameters, label, heartbeat_age, skipped
):
    elsewhere = await make(client, parameters, tags=["acct-567"])
    heartbeat = datetime.now(UTC) - timedelta(seconds=heartbeat_age)
    labels = {
        ACCOUNT_LABEL: account_key(AccountId(label)),
        PROCESS_LABEL: "another-computer 4711 12.00",
        HEARTBEAT_LABEL: heartbeat.isoformat(timespec="seconds"),
    }
    await client.update_flow_run_labels(elsewhere.id, labels)
    given = parameters | {"overrides": {"safety.require_confirm": False}}
    state = await start(await make(client, parameters), given)
    await client.delete_flow_run(elsewhere.id)
    assert state.name == ("Skipped" if skipped else "Completed"), state.message
    assert (f"busy with run {run_id_of(str(elsewhere.id))}" in state.message) == skipped


async def test_a_run_with_a_broker_of_its_own_is_not_kept_from_an_account_that_is_held(client, tmp_path):
    with closing(open_rehearsals()) as journal, journal.lock(AccountId(ACCOUNT), RunId("OTHER")):
        outcome = await Rehearsal(tmp_path, approver=SaysYes()).run()
    assert outcome.exit_code == 0


@pytest.mark.parametrize(("scheduled", "minutes", "is_late"), [(True, 9, False), (True, 11, True), (False, 500, False)])
def test_only_a_scheduled_run_can_be_late_and_only_after_ten_minutes(scheduled, minutes, is_late):
    due = datetime(2026, 11, 27, 20, 30, tzinfo=UTC)
    run = FlowRun(id=uuid4(), flow_id=uuid4(), auto_scheduled=scheduled, expected_start_time=due)
    with freeze_time(due + timedelta(minutes=minutes)), FlowRunContext.model_construct(flow_run=run):
        if not is_late:
            check_in_time()
            return
        with pytest.raises(StartedLate, match=r"^due at 15:30 New York, started 15:41: more than 10 minutes late"):
            check_in_time()
