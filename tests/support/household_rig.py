"""A household of many accounts over simulated gateways, each a process of its own, and what became of it.

What was traded is read from the gateways' own logs, which know nothing of the product's journal and reports.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import psycopg
import yaml
from lasting import BIN, DEMO, Lasting, lasting, until
from postgres import postgresql
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.responses import SetStateStatus

from core.model.refs import run_id_of
from flows.account_runs import household_tag

ROOT = Path(__file__).parents[2]
GATEWAYS = 5
POOL = "household"
ENDED_WITHIN = 1200.0
# Prefect's own 10 s would leave a worker idle between two accounts
WORKER_SECONDS = "2"
PLACES = {"account": 23, "reference": 26, "what-if": 84}
"""Where these stand in the fields of a placeOrder."""
CHANGES = {
    "require_confirm = true": "require_confirm = false",
    "[fx]\nenabled = true": "[execution]\nabsent_confirm_seconds = 2\n\n[fx]\nenabled = false",
}


@dataclass(frozen=True, slots=True)
class Member:
    """An account of the household: its number names it, and ends its id."""

    number: int

    @property
    def name(self) -> str:
        return f"Account {self.number}"

    @property
    def account_id(self) -> str:
        return f"DU9900{self.number:03d}"

    @property
    def gateway(self) -> int:
        return self.number % GATEWAYS

    def entry(self, port: int) -> dict[str, object]:
        """Its part of accounts.yaml; two clients share the accounts of a gateway."""
        client_id = 42 + 10 * (self.number // GATEWAYS % 2)
        return {
            "id": self.account_id,
            "name": self.name,
            "settings": {"ibkr.port": port, "ibkr.client_id": client_id},
        }

    def market(self) -> dict[str, object]:
        """The demo's market with the holdings of this account: it sells VTI and IWM, and buys the rest."""
        found: dict[str, object] = yaml.safe_load((DEMO / "market.yaml").read_text())
        found["account"] = {
            "id": self.account_id,
            "cash": {"USD": 20_000 + 1_000 * self.number},
            "positions": [
                {"symbol": "VTI", "quantity": 260, "average_cost": 262.4},
                {"symbol": "BND", "quantity": 300, "average_cost": 73.15},
                {"symbol": "IWM", "quantity": 25, "average_cost": 214.3},
            ],
        }
        symbols = ("VTI", "IWM", "QQQ", "GLD", "TIP", "VNQ")
        found["behaviour"] = {"fills": {symbol: {"delay_seconds": 1} for symbol in symbols}}
        return found


@dataclass(frozen=True, slots=True)
class Gateway:
    """A simulated gateway, and its log of what passed its socket."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def placed(self) -> list[tuple[str, str]]:
        """Of each order that arrived, the end of its account's id and its reference."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        # what is being written now is not a whole line yet
        entries = [json.loads(line) for line in lines if "placeOrder" in line and line.endswith("}")]
        orders = [each["fields"] for each in entries if each["dir"] == "in"]
        return [
            (fields[PLACES["account"]][-3:], fields[PLACES["reference"]])
            for fields in orders
            if fields[PLACES["what-if"]] != "1"
        ]


@dataclass(frozen=True, slots=True)
class Rig:
    """A household's files, its gateways, and a Prefect server that is up."""

    own: Lasting
    folder: Path
    members: tuple[Member, ...]
    gateways: tuple[Gateway, ...]

    @property
    def household_name(self) -> str:
        return f"Household {self.members[0].number}"

    @property
    def accounts(self) -> Path:
        return self.folder / "accounts.yaml"

    def start(self, **given: object) -> UUID:
        """A paper run of the household, started as on its page; `given` are other parameters."""
        usual = {"accounts": str(self.accounts), "mode": "paper", "broker": "ibkr"}
        return self.own.start("household/household", **usual | given)

    def asked(self, run_id: UUID) -> list[UUID]:
        """The runs that wait for an answer, once all is asked: the household's own, or one for each account."""
        if self.own.state(run_id).is_paused():
            return [run_id]
        with self.own.client() as client:
            tags = FlowRunFilterTags(all_=[household_tag(run_id_of(str(run_id)))])
            found = client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=tags))
        is_per_account = yaml.safe_load(self.accounts.read_text())["approval"] == "per_account"
        waiting = [each.id for each in found if each.state.is_paused()]
        return waiting if is_per_account and len(waiting) == len(self.members) else []

    def approve(self, run_id: UUID) -> None:
        """Fill in the form of a run that waits, as on its page."""
        with self.own.client() as client:
            parameters = client.read_flow_run(run_id).parameters
            end = str(parameters.get("account", "")).rpartition(" ")[2]
            answer = {
                "answer": "approve",
                "approver": "Ann",
                "account_suffix": end,
                "household": self.household_name,
            }
            assert client.resume_flow_run(run_id, run_input=answer).status is SetStateStatus.ACCEPT

    def ended(self, run_id: UUID) -> dict:
        """household.json of this run, once it has ended."""
        self.own.ended(run_id, ENDED_WITHIN)
        return json.loads((self.folder / "reports" / run_id_of(str(run_id)) / "household.json").read_text())

    def placed(self) -> list[tuple[str, str]]:
        """Of every order that reached a gateway, the end of its account's id and its reference."""
        return [order for gateway in self.gateways for order in gateway.placed()]

    def placed_twice(self) -> list[str]:
        """References that reached a gateway more than once."""
        return [ref for ref, count in Counter(ref for _, ref in self.placed()).items() if count > 1]

    def runs_that_traded(self) -> dict[str, set[str]]:
        """The run ids in the references of each account's orders, by the account's name."""
        found: dict[str, set[str]] = {}
        for end, ref in self.placed():
            found.setdefault(f"Account {int(end)}", set()).add(ref.split("-")[1])
        return found


@contextmanager
def on_postgresql(folder: Path) -> Iterator[Lasting]:
    """A home for `up` whose server and journal are databases of one PostgreSQL."""
    with postgresql() as address, lasting(folder) as own:
        with psycopg.connect(f"postgresql://{address}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE journal")
        own.environment |= {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{address}/postgres",
            "REBALANCER__JOURNAL__URL": f"postgresql://{address}/journal",
        }
        yield own


@contextmanager
def household(own: Lasting, folder: Path, first: int, size: int, **more: object) -> Iterator[Rig]:
    """So many accounts from this number on, over `GATEWAYS` gateways; `more` stands in accounts.yaml.

    Orders in most symbols take a second to fill, so that some work at any moment.
    """
    members = tuple(Member(number) for number in range(first, first + size))
    with _gateways(folder, members) as gateways:
        rig = Rig(own, folder, members, gateways)
        _write_files(rig, more)
        yield rig


def _write_files(rig: Rig, more: Mapping[str, object]) -> None:
    for name in ("portfolios.csv", "settings.ini"):
        shutil.copy(DEMO / name, rig.folder)
    settings = rig.folder / "settings.ini"
    text = settings.read_text()
    for before, after in CHANGES.items():
        assert before in text
        text = text.replace(before, after)
    settings.write_text(text)
    found = {
        "name": rig.household_name,
        "settings": settings.name,
        "portfolios": "portfolios.csv",
        **more,
        "accounts": [each.entry(rig.gateways[each.gateway].port) for each in rig.members],
    }
    rig.accounts.write_text(yaml.safe_dump(found, sort_keys=False))


@contextmanager
def _gateways(folder: Path, members: Sequence[Member]) -> Iterator[tuple[Gateway, ...]]:
    started = [
        (_start_gateway(folder, number, [each for each in members if each.gateway == number]), number)
        for number in range(GATEWAYS)
    ]
    try:
        yield tuple(Gateway(process, _port(process), _log(folder, number)) for process, number in started)
    finally:
        for process, _ in started:
            process.kill()
            process.communicate()


def _start_gateway(folder: Path, number: int, members: Sequence[Member]) -> subprocess.Popen[str]:
    arguments = ["gateway", "--port", "0", "--log", str(_log(folder, number))]
    for each in members:
        market = folder / f"market-{each.number}.yaml"
        market.write_text(yaml.safe_dump(each.market()))
        arguments += ["--market", str(market)]
    return subprocess.Popen(
        [BIN / "rebalance", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _port(gateway: subprocess.Popen[str]) -> int:
    line = gateway.stdout.readline()
    assert line.startswith("ready 127.0.0.1:"), line
    return int(line.rpartition(":")[2])


def _log(folder: Path, number: int) -> Path:
    return folder / f"gateway-{number}.jsonl"


@contextmanager
def work_pool(own: Lasting) -> Iterator[None]:
    """The deployments of prefect.yaml on a process work pool, instead of those that `up` executes."""
    own.half("executor").terminate()
    until(lambda: not own.has("executor"))
    own.program("prefect", "work-pool", "create", POOL, "--type", "process", "--overwrite")
    text = (ROOT / "deployments" / "prefect.yaml").read_text()
    (own.folder / "prefect.yaml").write_text(text.replace("name: rebalance\n", f"name: {POOL}\n"))
    command = [BIN / "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(own.folder / "prefect.yaml")]
    # entrypoints start in the repository
    done = subprocess.run(command, cwd=ROOT, env=own.client_environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    yield
    with own.client() as client:
        for found in client.read_deployments():
            client.delete_deployment(found.id)


@contextmanager
def workers(own: Lasting, folder: Path, limit: int) -> Iterator[tuple[psutil.Process, psutil.Process]]:
    """Two workers of the pool with folders of their own, each with so many runs at once."""
    with _worker(own, folder / "first", limit) as first, _worker(own, folder / "second", limit) as second:
        yield first, second


@contextmanager
def _worker(own: Lasting, folder: Path, limit: int) -> Iterator[psutil.Process]:
    folder.mkdir()
    environment = {
        **own.client_environment,
        "REBALANCER_HOME": str(folder / "home"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": WORKER_SECONDS,
    }
    command = [BIN / "prefect", "worker", "start", "--pool", POOL, "--name", folder.name, "--limit", str(limit)]
    with (folder / "worker.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        found = psutil.Process(process.pid)
        try:
            yield found
        finally:
            kill_with_runs(found)
            process.wait()


def kill_with_runs(worker: psutil.Process) -> None:
    """End a worker and the processes of its runs, as when its machine fails."""
    try:
        processes = [worker, *worker.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for each in processes:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue


def executing(worker: psutil.Process) -> dict[str, psutil.Process]:
    """The processes of the flow runs that this worker executes now, by their run ids."""
    found = {}
    for each in worker.children(recursive=True):
        try:
            flow_run_id = each.environ().get("PREFECT__FLOW_RUN_ID")
        except psutil.Error:
            continue
        if flow_run_id:
            found[run_id_of(str(UUID(flow_run_id)))] = each
    return found
