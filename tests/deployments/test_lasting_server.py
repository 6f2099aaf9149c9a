"""`rebalance up`, `status` and `down`, with real processes: what runs, who may use it, and that nothing is left."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from uuid import UUID

import httpx
import psutil
import pytest
import websockets
from lasting import BIN, DEADLINE, lasting, until
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Cancelling

from core.model.refs import run_id_of

pytestmark = [pytest.mark.server, pytest.mark.slow]

FILES = ("--csv", "portfolios.csv", "--ini", "settings.ini", "--broker", "simulated")
FOREIGN = "https://example.com"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with lasting(tmp_path_factory.mktemp("lasting")) as own:
        yield own


@pytest.fixture
def up(home):
    """A server and an executor, whatever the test before did to them."""
    home.ensure_up()
    return home


def test_up_twice_is_harmless_and_says_so(up):
    before = up.recorded
    again = up.rebalance("up")
    assert again.stdout.startswith(f"already up: http://127.0.0.1:{up.port}\n")
    assert up.recorded == before


def test_up_on_another_port_is_refused_while_it_is_up(up):
    refused = up.rebalance("up", "--port", "1024", code=2)
    assert f"the server is already running, on port {up.port}" in refused.stderr


def test_the_deployments_have_absolute_files_and_a_schedule_that_is_off(up):
    with up.client() as client:
        found = {
            name: client.read_deployment_by_name(f"rebalance/{name}") for name in ("on-demand", "scheduled", "preview")
        }
    files = {"csv": str(up.folder / "portfolios.csv"), "ini": str(up.folder / "settings.ini"), "broker": "simulated"}
    # the test that may come before gives a market, and what is not given stays as it was
    given = {name: {**each.parameters, "market": None} for name, each in found.items()}
    assert given["on-demand"] == {**files, "market": None}
    assert given["scheduled"] == {**files, "mode": "paper", "market": None}
    assert given["preview"] == {**files, "mode": "dry_run", "market": None}
    assert [each.schedule.timezone for each in found["scheduled"].schedules] == ["America/New_York"]
    assert {name: each.global_concurrency_limit for name, each in found.items()} == dict.fromkeys(found)


def test_preview_takes_no_mode_that_sends_orders(up):
    with pytest.raises(PrefectHTTPStatusError, match="409"):
        up.start("rebalance/preview", mode="paper")


def test_an_operators_schedule_stays_on_when_the_deployments_are_registered_again(up):
    with up.client() as client:
        deployment = client.read_deployment_by_name("rebalance/preview")
        (schedule,) = deployment.schedules
        client.update_deployment_schedule(deployment.id, schedule.id, active=True)
        try:
            up.up("--market", "market.yaml")
            found = client.read_deployment_by_name("rebalance/preview")
            assert [each.active for each in found.schedules] == [True]
            assert found.parameters["market"] == str(up.folder / "market.yaml")
            rows = [each for each in up.status()["schedules"] if each["deployment"] == "rebalance/preview"]
            assert [each["is_on"] for each in rows] == [True]
        finally:
            client.update_deployment_schedule(deployment.id, schedule.id, active=False)


def test_a_run_that_the_page_starts_completes(up):
    state = up.ended(up.start("rebalance/on-demand", mode="report_only", market=str(up.folder / "market.yaml")))
    assert (state.type, state.message) == (StateType.COMPLETED, "exit 0: planned; this mode sends no orders")


def test_a_run_of_the_command_is_a_run_of_the_deployment_with_its_page_printed_first(up):
    done = up.rebalance("run", *FILES, "--paper", "--yes")
    first = done.stderr.splitlines()[0]
    run_id = UUID(first.rpartition("/")[2])
    assert first == f"run {run_id_of(str(run_id))}: http://127.0.0.1:{up.port}/runs/flow-run/{run_id}"
    with up.client() as client:
        run = client.read_flow_run(run_id)
        deployment = client.read_deployment_by_name("rebalance/on-demand")
    assert (run.state.type, run.deployment_id) == (StateType.COMPLETED, deployment.id)
    assert run.parameters["csv"] == str(up.folder / "portfolios.csv")


def test_a_run_that_waits_is_shown_and_only_its_operator_can_approve_it(up):
    run_id = up.start("rebalance/scheduled")
    up.waiting(run_id)
    name = run_id_of(str(run_id))
    (row,) = (each for each in up.status()["waiting"] if each["flow_run_id"] == str(run_id))
    assert row["answer"] == f"rebalance approve {name}"
    assert row["is_alive"]
    assert 0 <= row["waiting_seconds"] < 150

    # a request that a browser sends for any page without asking the server first
    answer = {"answer": "approve", "approver": "page", "account_suffix": "567"}
    sent = httpx.post(
        f"{up.url}/flow_runs/{run_id}/resume",
        content=json.dumps({"run_input": answer}),
        headers={"Origin": FOREIGN, "Content-Type": "text/plain"},
    )
    assert sent.status_code in (401, 403)
    assert up.state(run_id).is_paused()

    up.rebalance("approve", name, "--approver", "Ann", "--account-suffix", "567")
    assert up.ended(run_id).type is StateType.COMPLETED


def test_a_run_whose_process_is_killed_is_marked_crashed_by_itself(up):
    run_id = up.start("rebalance/scheduled")
    up.waiting(run_id)
    process_of(run_id).kill()
    state = up.ended(run_id)
    assert state.type is StateType.CRASHED
    assert state.message.startswith("exit 70: ")


def test_a_cancel_on_the_page_ends_a_run_that_waits(up):
    run_id = up.start("rebalance/scheduled")
    up.waiting(run_id)
    with up.client() as client:
        client.set_flow_run_state(run_id, Cancelling())
    state = up.ended(run_id)
    assert (state.type, state.name) == (StateType.CANCELLED, "Cancelled")
    assert state.message.startswith("exit 32: ")


def test_down_stops_a_run_that_waits(up):
    run_id = up.start("rebalance/scheduled")
    up.waiting(run_id)
    processes = up.processes()
    assert len(processes) >= 3
    up.rebalance("down")
    assert running(processes) == []
    up.up()
    state = up.state(run_id)
    assert (state.type, state.name, state.message[:8]) == (StateType.CANCELLED, "Cancelled", "exit 32:")


def test_down_names_a_run_of_another_terminal_which_waits_on_and_is_answered_after_the_next_up(up):
    with up.beside(str(BIN / "rebalance"), "run", *FILES, "--paper", "--pause", environment=up.environment) as other:
        (row,) = until(lambda: [each for each in up.status()["waiting"] if each["deployment"] == "rebalance/on-demand"])
        down = up.rebalance("down")
        warning = f"warning: run {row['run_id']} waits in process {other.pid}; `rebalance up` makes it answerable again"
        assert warning in down.stderr.splitlines()
        no_server = up.rebalance("approve", row["run_id"], code=2).stderr
        assert "no Prefect server is running - start it with `rebalance up`, or set PREFECT_API_URL" in no_server
        up.up()
        up.rebalance("reject", row["run_id"])
        assert other.wait(DEADLINE) == 32


def test_down_leaves_no_process_and_is_harmless_twice(up):
    processes = up.processes()
    up.rebalance("down")
    assert processes
    assert running(processes) == []
    assert up.rebalance("down").stdout == "nothing is running\n"
    assert "no Prefect server is running" in up.rebalance("status", code=20).stderr


def test_a_port_that_another_program_has_is_refused_with_what_to_do(home, tmp_path):
    with lasting(tmp_path) as other, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = other.rebalance("up", "--port", port, code=20)
    assert f"port {port} on 127.0.0.1 cannot be used" in refused.stderr
    assert "rebalance up --port N" in refused.stderr


@pytest.mark.parametrize("url", ["postgresql://ann:secret@db/prefect", "mysql://db"])
def test_a_database_without_a_driver_of_the_servers_is_refused_before_the_start(url, tmp_path):
    with lasting(tmp_path) as other:
        other.environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = url
        refused = other.rebalance("up", "--port", str(other.port), code=2)
    assert "postgresql+asyncpg://" in refused.stderr
    assert "secret" not in refused.stderr


def test_the_password_is_kept_for_its_owner_alone_and_stands_in_no_command_line(up):
    kept = up.home / "password"
    user, _, secret = up.rebalance("status", "--password").stdout.strip().partition(":")
    assert (user, secret) == tuple(kept.read_text().strip().split(":"))
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(up.home.stat().st_mode) == 0o700
    assert kept.stat().st_uid == os.getuid()
    assert not [each for each in up.processes() if secret in " ".join(each.cmdline())]


class TestAPageOfAnotherSite:
    """What a page that is open in the operator's browser could send, and that none of it is taken."""

    def test_it_may_not_ask_for_more_than_a_simple_request(self, up):
        headers = {"Origin": FOREIGN, "Access-Control-Request-Method": "POST"}
        answer = httpx.options(f"{up.url}/flow_runs/filter", headers=headers)
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers

    def test_it_gets_no_token_and_the_password_alone_is_not_enough(self, up):
        assert httpx.get(f"{up.url}/csrf-token?client=page", headers={"Origin": FOREIGN}).status_code == 401
        with_password = httpx.post(f"{up.url}/flow_runs/filter", json={}, auth=tuple(up.password.split(":")))
        assert (with_password.status_code, with_password.json()) == (403, {"detail": "Missing CSRF token."})

    def test_another_name_for_this_computer_is_refused(self, up):
        assert httpx.get(f"{up.url}/health", headers={"Host": "example.com"}).status_code == 400

    def test_it_may_not_frame_the_page_and_the_page_reports_to_nobody(self, up):
        policy = httpx.get(f"http://127.0.0.1:{up.port}/v2/").headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "connect-src 'self'" in policy

    @pytest.mark.parametrize("path", ["events/in", "events/out", "logs/out"])
    def test_its_websocket_is_closed(self, up, path):
        async def first_answer():
            url = f"ws://127.0.0.1:{up.port}/api/{path}"
            async with websockets.connect(url, origin=FOREIGN, subprotocols=["prefect"]) as opened:
                await opened.send(json.dumps({"type": "auth", "token": None}))
                return await opened.recv()

        with pytest.raises(websockets.ConnectionClosed, match="1008"):
            asyncio.run(first_answer())


def running(processes):
    """Those that still run."""
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def process_of(run_id: UUID) -> psutil.Process:
    """The process that executes the run."""
    return until(lambda: next((each for each in psutil.process_iter() if str(run_id) in _arguments(each)), None))


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
