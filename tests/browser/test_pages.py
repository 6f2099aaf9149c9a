"""A person at Prefect's pages, in a real browser: starts a run, reads its plan, answers it, cancels it.

The server and what executes the runs are those of `rebalance up`. The account is the demo's; every test leaves it
without a run under way, since one account has one run at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import pyotp
import pytest
from ib_async import IB
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.states import Cancelling
from prefect_pages import DESKTOP, PHONE, V1, V2, Pages, chromium
from programs import needs

from core.model.refs import run_id_of
from deployments import cli
from flows.liveness import PROCESS_LABEL, UNFINISHED
from tasks.app.process import Process

DEMO = Path(cli.__file__).parent / "demo"
COMMAND = str(Path(sys.executable).with_name("rebalance"))
DEADLINE = 180.0
A_MOMENT = 0.2
BUYS = ("QQQ", "BND", "SCH", "GLD", "TIP", "VWO", "VNQ")
ORDERS = ["FX   USD", "SELL VTI", *(f"BUY  {symbol}" for symbol in BUYS), "WITHOUT ", "SELL IWM"]
SECRET = pyotp.TOTP(pyotp.random_base32())
NAMES = ("Ann", "Bob", "Cleo")
# clients of their own, two numbers apart, so that they need not wait for each other
ACCOUNTS = "\n".join(
    (
        "name: Example family\nsettings: settings.ini\nportfolios: portfolios.csv\napproval: one_for_all\naccounts:",
        *(
            f"  - {{id: DU123457{number}, name: {name}, settings: {{ibkr.client_id: {50 + 2 * number}}}}}"
            for number, name in enumerate(NAMES)
        ),
    )
)

pytestmark = [pytest.mark.server, pytest.mark.slow, needs("chromium"), pytest.mark.timeout(600)]

Found = TypeVar("Found")


def until(look: Callable[[], Found], what: str) -> Found:
    """What `look` finds as soon as it finds anything; fails when that takes longer than the deadline."""
    end = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < end, f"not within {DEADLINE:.0f} s: {what}"
        time.sleep(A_MOMENT)
    return found


@dataclass(frozen=True)
class Site:
    """A server that `rebalance up` started, with the demo's files in `folder`."""

    folder: Path
    page: str
    password: str
    client: SyncPrefectClient

    @property
    def on_demand(self) -> UUID:
        return self.client.read_deployment_by_name("rebalance/on-demand").id

    @property
    def household(self) -> UUID:
        return self.client.read_deployment_by_name("household/household").id

    def unfinished(self) -> list[FlowRun]:
        wanted = FlowRunFilterState(type=FlowRunFilterStateType(any_=[*UNFINISHED, StateType.SCHEDULED]))
        return self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=wanted), sort=FlowRunSort.EXPECTED_START_TIME_DESC
        )

    def waiting(self, *, after: FlowRun | None = None) -> FlowRun:
        """The run that waits with a question; with `after`, with another than it had then."""

        def look() -> FlowRun | None:
            paused = [each for each in self.unfinished() if each.state_type is StateType.PAUSED]
            return next((each for each in paused if after is None or _key(each) != _key(after)), None)

        return until(look, "a run waits for approval")

    def household_waiting(self, *, after: FlowRun | None = None) -> FlowRun:
        """The household's run that waits with a question; with `after`, with another than it had then."""

        def look() -> FlowRun | None:
            own = [each for each in self.unfinished() if each.deployment_id == self.household]
            paused = [each for each in own if each.state_type is StateType.PAUSED]
            return next((each for each in paused if after is None or _key(each) != _key(after)), None)

        return until(look, "the household waits for approval")

    def start(self, **parameters: Any) -> FlowRun:
        """A run of the deployment with these parameters over its own."""
        return self.client.create_flow_run_from_deployment(self.on_demand, parameters=parameters)

    def ended(self, run: FlowRun) -> Any:
        """The state in which the run ended."""

        def look() -> Any:
            state = self.client.read_flow_run(run.id).state
            return state if state and state.is_final() else None

        return until(look, "the run has ended")

    def result(self, run: FlowRun) -> dict[str, Any]:
        """What result.json says of the run."""
        return json.loads((self.folder / "reports" / run_id_of(str(run.id)) / "result.json").read_text())

    def artifact(self, run: FlowRun, kind: str) -> Any:
        """The run's artifact whose key begins with `kind`."""
        found = self.client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])),
            sort=ArtifactSort.UPDATED_DESC,
        )
        # the newest version comes first; household-json stands beside household
        return min((each for each in found if each.key and each.key.startswith(kind)), key=lambda each: len(each.key))


def _key(run: FlowRun) -> str | None:
    return run.state.state_details.pause_key if run.state else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(DEMO, folder, dirs_exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"REBALANCER_HOME": str(folder / "state"), "REBALANCER_APPROVER_ANN": SECRET.secret}
    files = ("--csv", str(folder / "portfolios.csv"), "--ini", str(folder / "settings.ini"))
    port = free_port()
    (folder / "accounts.yaml").write_text(ACCOUNTS)
    accounts = ("--accounts", str(folder / "accounts.yaml"))
    up = (COMMAND, "up", "--port", str(port), *files, *accounts, "--broker", "simulated")
    try:
        subprocess.run(up, env=environment, check=True, capture_output=True, text=True)
        password = (folder / "state" / "password").read_text().strip()
        page = f"http://127.0.0.1:{port}"
        with SyncPrefectClient(f"{page}/api", auth_string=password) as client:
            yield Site(folder, page, password, client)
    finally:
        subprocess.run((COMMAND, "down"), env=environment, check=True, capture_output=True)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(autouse=True)
def no_run_left_over(site):
    """The account's run is over when the test is, also of a test that failed in the middle."""
    yield
    for run in site.unfinished():
        site.client.set_flow_run_state(run.id, Cancelling())
        site.ended(run)


@pytest.fixture(scope="module")
def login(site, browser):
    """What a window knows in which somebody has logged in."""
    pages = V2(browser, site.page)
    pages.log_in(site.password)
    return pages.login


@pytest.fixture
def opened(site, browser, login):
    """Opens one of the two user interfaces, in a window of its own, logged in."""
    windows: list[Pages] = []

    def open_pages(face: type[Pages], size: tuple[int, int] = DESKTOP) -> Pages:
        windows.append(face(browser, site.page, size, login))
        return windows[-1]

    yield open_pages
    for window in windows:
        window.page.context.close()


def test_a_run_started_on_the_page_is_read_approved_and_completed_there(site, opened):
    pages = opened(V2)
    pages.start(site.on_demand, mode="paper")
    run = site.waiting()
    form = pages.form(run.id)
    assert [line[:8] for line in pages.lines_in_sight(form)[1:]] == ORDERS
    pages.answer(form, "approve", approver="Ann", account_suffix="567")
    state = site.ended(run)
    assert (state.type, state.name, state.message) == (StateType.COMPLETED, "Completed", "exit 0: done")
    result = site.result(run)
    assert (result["exit_code"], result["state"]) == (0, "Completed")
    assert {order["status"] for order in result["orders"]} == {"Filled"}
    pages.await_on_artifact(site.artifact(run, "plan").id, "SELL VTI")
    for each in (pages, opened(V1)):
        each.await_on_artifact(site.artifact(run, "chart").id, "bar = after")
        each.await_picture(each.page)
        each.await_on_artifact(site.artifact(run, "files").id, "report.html")
    assert {urlsplit(address).hostname for address in pages.asked} <= {"127.0.0.1", None}  # None is data in the page


def test_a_plan_rejected_on_the_page_sends_nothing(site, opened):
    pages = opened(V1)
    pages.start(site.on_demand, mode="paper")
    run = site.waiting()
    pages.answer(pages.form(run.id), "reject", approver="Ann", account_suffix="567")
    state = site.ended(run)
    assert (state.type, state.name) == (StateType.CANCELLED, "Rejected")
    assert state.message.startswith("exit 32: ")
    result = site.result(run)
    assert (result["exit_code"], result["state"], result["orders"]) == (32, "Rejected", [])


def test_the_orders_are_in_sight_at_once_in_both_interfaces_at_a_desk_and_on_a_phone(site, opened):
    site.start(mode="paper")
    run = site.waiting()
    for face, size in product((V2, V1), (DESKTOP, PHONE)):
        pages = opened(face, size)
        form = pages.form(run.id)
        assert len(pages.lines_in_sight(form)) == 1 + len(ORDERS), (face, size)
        pages.await_picture(form)


def test_a_wrong_suffix_is_reported_in_the_next_form_which_takes_the_right_one(site, opened):
    pages = opened(V1, PHONE)
    pages.start(site.on_demand, mode="paper")
    first = site.waiting()
    pages.answer(pages.form(first.id), "approve", approver="Ann", account_suffix="568")
    second = site.waiting(after=first)
    form = pages.form(second.id)
    form.get_by_text("Asked again (2 of 3): the answer named another account").wait_for()
    pages.answer(form, "approve", approver="Ann", account_suffix="567")
    assert site.ended(second).name == "Completed"


@pytest.mark.parametrize(("face", "size"), [(V1, DESKTOP), (V2, PHONE)])
def test_the_one_time_code_of_an_approver_is_typed_on_the_page(site, opened, face, size):
    settings = site.folder / "settings-approvers.ini"
    settings.write_text((DEMO / "settings.ini").read_text() + "\n[approval]\napprovers = ANN, BOB\n")
    site.start(mode="paper", ini=str(settings))
    first = site.waiting()
    pages = opened(face, size)
    pages.answer(pages.form(first.id), "approve", approver="ANN", account_suffix="567", code="000000")
    second = site.waiting(after=first)
    form = pages.form(second.id)
    form.get_by_text("Asked again (2 of 5): the code of ANN is wrong, or its time is over").wait_for()
    pages.answer(form, "approve", approver="ANN", account_suffix="567", code=SECRET.now())
    state = site.ended(second)
    assert state.message == "exit 0: done"
    assert [each["approver"] for each in site.result(second)["approvals"]][-1] == "ANN"


def test_a_household_is_approved_on_one_page_but_for_an_account_that_is_left_out(site, opened):
    pages = opened(V2)
    pages.start(site.household, mode="paper")
    run = site.household_waiting()
    for face, size in ((V2, PHONE), (V1, DESKTOP)):
        window = opened(face, size)
        lines = window.lines_in_sight(window.form(run.id))
        assert [line.split()[0] for line in lines] == ["account", *NAMES], (face, size)
    pages.answer(pages.form(run.id), "approve", approver="Ann", household="Example family", leave_out="Bob, Clea")
    again = site.household_waiting(after=run)
    form = pages.form(again.id)
    form.get_by_text("Asked again (2 of 3): no account Clea waits; did you mean Cleo?").wait_for()
    pages.answer(form, "approve", approver="Ann", household="example family", leave_out="Bob")
    state = site.ended(again)
    assert (state.type, state.message) == (StateType.COMPLETED, "exit 0: done: 2 accounts; rejected: Bob")
    found = json.loads((site.folder / "reports" / run_id_of(str(run.id)) / "household.json").read_text())
    ended = {row["name"]: (row["state"], row["orders"]) for row in found["accounts"]}
    assert ended == {"Ann": ("Completed", 10), "Bob": ("Rejected", 0), "Cleo": ("Completed", 10)}
    pages.await_on_artifact(site.artifact(run, "household").id, "Who needs a person first")


@pytest.mark.parametrize("face", [V1, V2])
def test_a_run_cancelled_on_the_page_during_its_sells_cancels_the_order_at_the_gateway(site, opened, face):
    pages = opened(face)
    with gateway_where_vti_rests(site.folder) as port:
        run = site.start(mode="paper", broker="ibkr", ini=str(settings_for(site.folder, port)))
        pages.answer(pages.form(site.waiting().id), "approve", approver="Ann", account_suffix="567")
        until(lambda: "VTI" in working_at(port), "the sale of VTI works at the gateway")
        pages.cancel(run.id)
        state = site.ended(run)
        assert working_at(port) == []
    assert (state.type, state.name) == (StateType.CANCELLED, "Cancelled")
    assert state.message.startswith("exit 32: ")
    result = site.result(run)
    assert (result["exit_code"], result["state"]) == (32, "Cancelled")
    assert {order["symbol"]: order["status"] for order in result["orders"]}["VTI"] == "Cancelled"
    assert not [order for order in result["orders"] if order["stage"] == "BUY"]


def test_an_answer_to_a_run_whose_process_was_killed_leaves_it_crashed(site, opened):
    pages = opened(V2)
    site.start(mode="paper")
    run = site.waiting()
    form = pages.form(run.id)
    pages.fill(form, "approve", approver="Ann", account_suffix="567")
    os.kill(process_of(run), signal.SIGKILL)
    pages.send(form)
    state = site.ended(run)
    assert (state.type, state.name) == (StateType.CRASHED, "Crashed")
    assert "process" in state.message
    assert not (site.folder / "reports" / run_id_of(str(run.id)) / "result.json").exists()


@contextmanager
def gateway_where_vti_rests(folder: Path) -> Iterator[int]:
    """The port of a simulated gateway on the wall's clock, which lets a sale of VTI wait for ten minutes."""
    market = folder / "slow.yaml"
    text = (DEMO / "market.yaml").read_text()
    market.write_text(
        text.replace("    QQQ: {delay_seconds", "    VTI: {delay_seconds: 600}\n    QQQ: {delay_seconds", 1)
    )
    arguments = (COMMAND, "gateway", "--port", "0", "--market", str(market))
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        ready = process.stdout.readline()
        assert ready.startswith("ready 127.0.0.1:"), ready
        yield int(ready.rpartition(":")[2])
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)


def settings_for(folder: Path, port: int) -> Path:
    """The demo's settings, for a gateway on this port."""
    settings = folder / f"settings-{port}.ini"
    settings.write_text((DEMO / "settings.ini").read_text().replace("port = 4002", f"port = {port}"))
    return settings


def working_at(port: int) -> list[str]:
    """The symbols of the orders that work at the gateway, whoever sent them."""

    async def ask() -> list[str]:
        ib = IB()
        await ib.connectAsync("127.0.0.1", port, clientId=99, readonly=True)
        try:
            return [trade.contract.symbol for trade in await ib.reqAllOpenOrdersAsync()]
        finally:
            ib.disconnect()

    # the browser's own loop runs in this thread
    with ThreadPoolExecutor(1) as other:
        return other.submit(lambda: asyncio.run(ask())).result()


def process_of(run: FlowRun) -> int:
    """The number of the process that executes the run."""
    found = Process.parse(run.labels[PROCESS_LABEL])
    assert found is not None
    return found.pid
