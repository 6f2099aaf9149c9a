"""Every way to start a run goes its whole way: a real server, real processes, the simulated broker."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from lasting import BIN, DEADLINE, UUIDS, lasting, until
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent.parent
OUTAGE_SECONDS = 40.0

SERVED = """
from flows.rebalance import rebalance

if __name__ == "__main__":
    rebalance.serve("mine")
"""
CALLED = """
import asyncio
from flows.rebalance import rebalance

result = asyncio.run(rebalance(csv="portfolios.csv", ini="settings.ini", broker="simulated"))
print(result["state"], result["exit_code"])
"""
TYPED = """\
from flows.rebalance import rebalance
result = await rebalance(csv="portfolios.csv", ini="settings.ini", broker="simulated")
print(result["state"], result["exit_code"])
"""
DEPLOYED = f"""
from prefect import flow

if __name__ == "__main__":
    source = flow.from_source(source={str(ROOT)!r}, entrypoint="flows/rebalance.py:rebalance")
    source.deploy(name="by-program", work_pool_name="processes", print_next_steps=False)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with lasting(tmp_path_factory.mktemp("ways")) as own:
        yield own


@pytest.fixture
def up(home):
    home.ensure_up()
    return home


def files_of(up) -> dict[str, str]:
    return {"csv": str(up.folder / "portfolios.csv"), "ini": str(up.folder / "settings.ini"), "broker": "simulated"}


def completed(up, run_id: UUID) -> None:
    state = up.ended(run_id)
    assert state.type is StateType.COMPLETED, state.message
    assert state.message.startswith("exit 0: ")


def script(up, name: str, text: str) -> Path:
    path = up.folder / name
    path.write_text(text)
    return path


def test_serve_in_a_script(up):
    path = script(up, "serving.py", SERVED)
    with up.beside(sys.executable, str(path)):
        until(lambda: "rebalance/mine" in up.program("prefect", "deployment", "ls").stdout)
        completed(up, up.start("rebalance/mine", **files_of(up)))


def test_the_command_that_serves_in_the_foreground(up):
    up.half("executor").terminate()
    until(lambda: not up.has("executor"))
    with up.beside(str(BIN / "rebalance"), "serve", environment=up.environment) as serving:
        completed(up, up.start("rebalance/preview"))
        serving.terminate()
        assert serving.wait(DEADLINE) == 0


@pytest.fixture
def worker(up):
    """A worker of a process pool, and no executor of ours that would be faster; the pool's deployments go with it."""
    up.half("executor").terminate()
    until(lambda: not up.has("executor"))
    up.program("prefect", "work-pool", "create", "processes", "--type", "process", "--overwrite")
    # it never stops by SIGTERM, which it turns into the SIGINT that a background process ignores
    with up.beside(str(BIN / "prefect"), "worker", "start", "--pool", "processes") as running:
        yield running
        running.kill()
    for name in ("rebalance/on-demand", "rebalance/scheduled", "rebalance/preview", "household/household"):
        up.program("prefect", "deployment", "delete", name, code=None)


def test_deploy_in_a_script_to_a_process_pool(up, worker):
    path = script(up, "deploying.py", DEPLOYED)
    up.program("python", str(path))
    completed(up, up.start("rebalance/by-program", **files_of(up)))


def test_prefect_yaml_to_a_process_pool(up, worker):
    text = (ROOT / "deployments" / "prefect.yaml").read_text()
    assert text.count("name: rebalance\n") == 1
    own = script(up, "prefect.yaml", text.replace("name: rebalance\n", "name: processes\n"))
    arguments = ("--no-prompt", "deploy", "--all", "--prefect-file", str(own))
    folder, up.folder = up.folder, ROOT
    try:
        up.program("prefect", *arguments)
    finally:
        up.folder = folder
    completed(up, up.start("rebalance/preview", **files_of(up)))


def test_prefect_deployment_run(up):
    arguments = ("-p", "mode=report_only", "-p", f"market={up.folder / 'market.yaml'}")
    done = up.program("prefect", "deployment", "run", "rebalance/on-demand", *arguments)
    completed(up, UUID(UUIDS.search(done.stdout)[0]))


def test_a_cron_of_every_minute_in_new_york_that_fires_twice(up):
    began = datetime.now(UTC)
    with up.client() as client:
        deployment = client.read_deployment_by_name("rebalance/preview")
        every_minute = CronSchedule(cron="* * * * *", timezone="America/New_York")
        (made,) = client.create_deployment_schedules(deployment.id, [(every_minute, True)])
        try:
            scheduled = until(lambda: fired(client, deployment.id, began), 240)
        finally:
            client.delete_deployment_schedule(deployment.id, made.id)
        for run in scheduled:
            completed(up, run.id)
            assert run.expected_start_time.second == 0


def fired(client, deployment_id, since):
    """The first two runs scheduled since then that have begun, once there are two."""
    runs = client.read_flow_runs(limit=200, sort=FlowRunSort.EXPECTED_START_TIME_DESC)
    ours = [run for run in runs if run.deployment_id == deployment_id and run.auto_scheduled]
    begun = [run for run in ours if run.start_time and run.expected_start_time > since]
    return begun[:2] if len(begun) >= 2 else None


def test_the_command(up):
    done = up.rebalance("run", *(word for name, value in files_of(up).items() for word in (f"--{name}", value)))
    completed(up, UUID(done.stderr.splitlines()[0].rpartition("/")[2]))


def test_a_plain_call_in_a_script(up):
    path = script(up, "calling.py", CALLED)
    done = up.program("python", str(path), environment=up.environment)
    assert done.stdout.split()[-1] == "0"
    assert latest(up).type is StateType.COMPLETED


def test_a_call_in_an_asyncio_repl(up):
    done = subprocess.run(
        [BIN / "python", "-m", "asyncio"],
        cwd=up.folder,
        env=up.environment,
        input=TYPED,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert done.stdout.split()[-1] == "0" or " 0\n" in done.stdout
    assert latest(up).type is StateType.COMPLETED


def latest(up):
    """The state of the run that started last."""
    return up.state(UUID(up.status()["ended"][0]["flow_run_id"]))


def test_runs_go_on_and_others_start_after_the_server_was_away(up):
    run_id = up.start("rebalance/scheduled")
    up.waiting(run_id)
    server = up.half("server")
    server.kill()
    server.wait(30)
    back = time.monotonic() + OUTAGE_SECONDS
    until(lambda: time.monotonic() > back, 2 * OUTAGE_SECONDS)
    up.up()
    assert up.state(run_id).is_paused()
    completed(up, up.start("rebalance/preview"))
    up.rebalance("approve", str(run_id), "--approver", "Ann", "--account-suffix", "567")
    completed(up, run_id)


def test_a_run_outlives_the_executor_and_down_stops_it(up):
    run_id = up.start("rebalance/scheduled")
    up.waiting(run_id)
    executor = up.half("executor")
    executor.kill()
    until(lambda: not up.has("executor"))
    assert up.status(code=20)["executor"]["is_alive"] is False
    assert up.state(run_id).is_paused()
    left = up.processes()
    up.rebalance("down")
    assert [each for each in left if each.is_running() and each.status() != "zombie"] == []
    up.up()
    assert up.state(run_id).type is StateType.CANCELLED


def test_a_scheduled_run_that_was_missed_is_skipped_without_a_process(up):
    up.half("executor").terminate()
    until(lambda: not up.has("executor"))
    with up.client() as client:
        deployment = client.read_deployment_by_name("rebalance/preview")
        long_ago = datetime.now(UTC) - timedelta(minutes=11)
        run = client.create_flow_run_from_deployment(deployment.id, state=Scheduled(scheduled_time=long_ago))
    with closing(sqlite3.connect(up.home / "prefect" / "prefect.db", timeout=30)) as database, database:
        # what the scheduler writes of a run that it made
        database.execute("UPDATE flow_run SET auto_scheduled = 1 WHERE id = ?", (str(run.id),))
    up.up()
    state = up.ended(run.id)
    with up.client() as client:
        assert client.read_flow_run(run.id).run_count == 0
    assert (state.type, state.name) == (StateType.CANCELLED, "Skipped")
    assert state.message.startswith("exit 30: due at ")
