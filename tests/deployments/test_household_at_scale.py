"""Households over five gateways, on one machine and on two workers: everything is real but the broker.

REBALANCER_HOUSEHOLD_ACCOUNTS says how many accounts they have, 6 without it. With it, the household in which nothing
breaks is played on one machine as well.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from uuid import UUID

import psutil
import pytest
from household_rig import Rig, executing, household, kill_with_runs, on_postgresql, work_pool, workers
from lasting import until
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from programs import needs

from core.model.refs import run_id_of
from flows.account_runs import household_tag
from flows.liveness import PROCESS_LABEL

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(2400), needs("postgresql")]

IS_SAMPLE = "REBALANCER_HOUSEHOLD_ACCOUNTS" not in os.environ
SIZE = int(os.environ.get("REBALANCER_HOUSEHOLD_ACCOUNTS", "6"))
AT_ONCE = 6
# the run of the household has a place too
PLACES = AT_ONCE // 2 + 1
TARGET_BPS = 300


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with on_postgresql(tmp_path_factory.mktemp("household")) as own:
        yield own


@pytest.fixture
def up(home):
    home.ensure_up()
    return home


@pytest.fixture
def pool(up):
    with work_pool(up):
        yield up


def codes(report: dict) -> dict[str, int]:
    """The exit code of each account, by its name."""
    return {each["name"]: each["exit_code"] for each in report["accounts"]}


def all_done(rig: Rig, report: dict) -> None:
    assert codes(report) == {each.name: 0 for each in rig.members}
    assert report["exit_code"] == 0


def traded_once(rig: Rig, report: dict) -> None:
    """No order arrived twice, and those of an account are all of one run, the one that is reported."""
    assert rig.placed_twice() == []
    assert rig.runs_that_traded() == {
        each["name"]: {each["run_id"]} for each in report["accounts"] if each["orders"] != 0
    }


def test_in_one_process_every_account_is_planned_and_nothing_is_sent(up, tmp_path):
    with household(up, tmp_path, 150, SIZE, at_once=AT_ONCE) as rig:
        run_id = rig.start(mode="dry_run", in_process=True)
        report = rig.ended(run_id)
        all_done(rig, report)
        with up.client() as client:
            tags = FlowRunFilterTags(all_=[household_tag(run_id_of(str(run_id)))])
            runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=tags))
        assert len({each.labels[PROCESS_LABEL] for each in runs}) == 1
        assert len(runs) == SIZE
        assert all((rig.folder / "reports" / each["run_id"] / "result.json").exists() for each in report["accounts"])
        assert rig.placed() == []


@pytest.mark.parametrize("where", ["two workers"] if IS_SAMPLE else ["one machine", "two workers"])
def test_with_a_process_for_each_every_account_is_rebalanced_once(where, up, tmp_path):
    with ExitStack() as stack:
        if where == "two workers":
            stack.enter_context(work_pool(up))
            stack.enter_context(workers(up, tmp_path, PLACES))
        rig = stack.enter_context(household(up, tmp_path, 200, SIZE, at_once=AT_ONCE))
        report = rig.ended(rig.start())
        all_done(rig, report)
        traded_once(rig, report)


def test_a_gateway_that_dies_while_orders_work_there_affects_its_own_accounts_alone(pool, tmp_path):
    with household(pool, tmp_path, 300, SIZE, at_once=AT_ONCE) as rig, workers(pool, tmp_path, PLACES):
        run_id = rig.start()
        gateway = until(lambda: next((each for each in rig.gateways if each.placed()), None), 600)
        gateway.process.kill()
        report = rig.ended(run_id)
        affected = {each.name for each in rig.members if rig.gateways[each.gateway] is gateway}
        found = codes(report)
        assert {code for name, code in found.items() if name not in affected} == {0}
        assert {code for name, code in found.items() if name in affected} <= {0, 20, 28, 41}
        assert report["exit_code"] in (29, 41)
        assert report["need_person"]
        traded_once(rig, report)


def test_what_a_dead_worker_left_is_recovered_by_the_next_run_of_the_household(pool, tmp_path):
    with household(pool, tmp_path, 400, SIZE, at_once=AT_ONCE) as rig, workers(pool, tmp_path, PLACES) as both:
        run_id = rig.start()
        worker = until(lambda: trading_worker(rig, run_id, both), 600)
        lost = set(executing(worker))
        kill_with_runs(worker)
        first = rig.ended(run_id)
        crashed = {each["name"] for each in first["accounts"] if each["state"] == "Crashed"}
        assert {each["name"] for each in first["accounts"] if each["run_id"] in lost} >= crashed != set()
        assert {code for name, code in codes(first).items() if name not in crashed} == {0}
        assert first["exit_code"] == 29

        second = rig.ended(rig.start())
        all_done(rig, second)
        assert rig.placed_twice() == []
        at_target = {each["name"] for each in second["accounts"] if drift(each) < TARGET_BPS}
        assert at_target == {each.name for each in rig.members}
        assert {name for name, runs in rig.runs_that_traded().items() if len(runs) > 1} <= crashed


def trading_worker(rig: Rig, household_run: UUID, both: tuple[psutil.Process, ...]) -> psutil.Process | None:
    """A worker that trades for an account, but does not execute the run of the household itself."""
    placed = {ref.split("-")[1] for _, ref in rig.placed()}
    ours = run_id_of(str(household_run))
    runs = {each: set(executing(each)) for each in both}
    return next((each for each, found in runs.items() if ours not in found and placed & found), None)


def drift(account: dict) -> float:
    """What is left of it; in bps."""
    after = account["drift_after_bps"]
    return account["drift_before_bps"] if after is None else after


@pytest.mark.parametrize("approval", ["per_account", "one_for_all"])
def test_a_household_that_waits_goes_on_after_the_server_was_started_again(approval, up, tmp_path):
    number = 500 if approval == "per_account" else 600
    settings = {"safety.require_confirm": True}
    with household(up, tmp_path, number, 2, approval=approval) as rig:
        run_id = rig.start(overrides=settings)
        asked = until(lambda: rig.asked(run_id), 600)
        server = up.half("server")
        server.kill()
        server.wait(30)
        up.up()
        for each in asked:
            assert up.state(each).is_paused()
            rig.approve(each)
        report = rig.ended(run_id)
        all_done(rig, report)
        traded_once(rig, report)
