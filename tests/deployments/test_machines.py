"""Several machines, as machines.md sets them up: PostgreSQL, a server with a password, a pool, and two workers."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from lasting import BIN, until
from postgres import postgresql
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from programs import free_port, needs
from served import served
from worlds import ACCOUNT, VTI, held, quoted, world

from core.model import USD, AccountId, Symbol
from core.money import D
from core.sim.venue.world import FillScript, SimAccount

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900), needs("postgresql")]

ROOT = Path(__file__).parent.parent.parent
LONGEST = 300.0
OTHER = AccountId("DU7654321")
BND = Symbol("BND")
QUOTES = {VTI: quoted("100.00", "100.01", "100.00"), BND: quoted("72.00", "72.01", "72.00")}
TRADED = {(VTI, D(102)), (BND, D(412))}
MODELS = "portfolio,symbol,target_pct\nmain,VTI,40\nmain,BND,60\n"
SETTINGS = """
[ibkr]
account_id = DU1234567
port = {port}
read_only = false
[models]
main = 1
[safety]
require_confirm = false
"""
NO = {"answer": "reject", "approver": "Ann", "account_suffix": "567"}


def world_of(account_id):
    """300 VTI and 20 000 USD, to be 40 % VTI and 60 % BND; orders fill at once."""
    own = SimAccount(account_id, cash={USD: D(20_000)}, positions=(held(quantity="300"),))
    return world(account=own, quotes=QUOTES, fills={VTI: FillScript(), BND: FillScript()})


@dataclass
class Machines:
    """A server with its database, and what is typed at its machine; `workers` are the folders of the two others."""

    folder: Path
    database: str
    port: int
    stack: ExitStack

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def workers(self):
        return self.folder / "one", self.folder / "two"

    def environment(self, home, **more):
        """What a process of that machine finds."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        client = {"PREFECT_API_URL": self.url, "PREFECT_API_AUTH_STRING": "me:secret"}
        return kept | client | {"PREFECT_HOME": str(home / "prefect"), "REBALANCER_HOME": str(home)} | more

    def type(self, *words):
        """A command of Prefect's, typed in the folder of the program."""
        home = self.folder / "server"
        done = subprocess.run(
            [BIN / "prefect", "--no-prompt", *words],
            cwd=ROOT,
            env=self.environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def begin(self, home, *words, **more):
        """A program of Prefect's that runs until the test ends; it is ended by its id."""
        home.mkdir(exist_ok=True)
        log = self.stack.enter_context((home / "log").open("w"))
        process = subprocess.Popen(
            [BIN / "prefect", *words],
            cwd=home,
            env=self.environment(home, **more),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.stack.callback(process.wait, 60)
        # a worker turns SIGTERM into the SIGINT that a background process ignores
        self.stack.callback(process.kill)

    def begin_server(self):
        more = {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{self.database}/prefect",
            "PREFECT_SERVER_API_AUTH_STRING": "me:secret",
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }
        words = ("server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        self.begin(self.folder / "server", *words, **more)
        until(self._is_healthy, LONGEST)

    def begin_worker(self, home):
        more = {
            "REBALANCER__JOURNAL__URL": f"postgresql://{self.database}/journal",
            "REBALANCER__IO__REPORT_DIR": str(home / "reports"),
        }
        self.begin(home, "worker", "start", "--pool", "rebalance", "--type", "process", "--limit", "1", **more)

    @contextmanager
    def client(self):
        settings = {PREFECT_API_URL: self.url, PREFECT_API_AUTH_STRING: "me:secret"}
        with temporary_settings(settings), get_client(sync_client=True) as client:
            yield client

    def start(self, client, files, **parameters):
        """A paper run of the deployment on-demand."""
        found = client.read_deployment_by_name("rebalance/on-demand")
        return client.create_flow_run_from_deployment(found.id, parameters=files | {"mode": "paper"} | parameters)

    def _is_healthy(self):
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


@pytest.fixture
def machines(tmp_path):
    with postgresql() as address, ExitStack() as stack:
        with psycopg.connect(f"postgresql://{address}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE prefect")
            connection.execute("CREATE DATABASE journal")
        made = Machines(tmp_path, address, free_port(), stack)
        made.begin_server()
        yield made


def states_of(client, runs: list[FlowRun]):
    return [client.read_flow_run(run.id).state for run in runs]


def ended(client, runs: list[FlowRun]) -> list[str]:
    """The names and messages of the runs' final states, once all have ended."""
    until(lambda: all(state.is_final() for state in states_of(client, runs)), LONGEST)
    return [f"{state.name}: {state.message}" for state in states_of(client, runs)]


def test_two_workers_trade_two_accounts_of_one_gateway_once_and_never_the_same_account_at_once(machines, tmp_path):
    with served(world_of(ACCOUNT), others=[world_of(OTHER)]) as running, machines.client() as client:
        assert httpx.get(f"{machines.url}/version").status_code == httpx.codes.UNAUTHORIZED
        (tmp_path / "portfolios.csv").write_text(MODELS)
        (tmp_path / "settings.ini").write_text(SETTINGS.format(port=running.port))
        files = {"csv": str(tmp_path / "portfolios.csv"), "ini": str(tmp_path / "settings.ini")}
        machines.type("work-pool", "create", "rebalance", "--type", "process")
        machines.type("deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
        for home in machines.workers:
            machines.begin_worker(home)

        asks = {"safety.require_confirm": "true"}
        pair = [machines.start(client, files, overrides=asks) for _ in range(2)]
        until(lambda: sorted(state.type.value for state in states_of(client, pair)) == ["CANCELLED", "PAUSED"], LONGEST)
        waiting = next(run for run, state in zip(pair, states_of(client, pair), strict=True) if state.is_paused())
        client.resume_flow_run(waiting.id, run_input=NO)
        skipped, rejected = sorted(ended(client, pair), reverse=True)
        assert skipped.startswith("Skipped: exit 40: account ******567 is busy with run ")
        assert rejected.startswith("Rejected: exit 32: ")

        both = [machines.start(client, files, account=account) for account in (ACCOUNT, OTHER)]
        assert all(state.startswith("Completed: exit 0: ") for state in ended(client, both))
        for account in (ACCOUNT, OTHER):
            fills = running.call(running.gateway.exchanges[account].executions)
            assert {(fill.symbol, fill.shares) for fill in fills} == TRADED
            assert len(fills) == len(TRADED)
        assert all(list((home / "reports").iterdir()) for home in machines.workers)
