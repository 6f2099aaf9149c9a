"""A small account on the in-memory broker, the whole flow over it, and what a person does to a run that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterName,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from worlds import VTI, account, held, quoted, world

from core.broker.fake import FakeIB
from core.errors import RebalanceError
from core.journal import Journal, MemoryStore
from core.model import USD, BrokerKind, Mode, Order, RunResult, Symbol
from core.money import D
from core.settings.loading import settings_from
from core.targets import targets_from_weights
from flows.rebalance import rebalance
from tasks.app.approvers import Answer, Approver
from tasks.app.brokers import rehearsal_options
from tasks.app.request import Request
from tasks.app.wiring import AppSession, session

ACCOUNT = "DU1234567"
NO = {"answer": "reject", "approver": "Ann", "account_suffix": "567"}
YES = {"answer": "approve", "approver": "Ann", "account_suffix": "567"}
TARGETS = {Symbol("VTI"): D("0.4"), Symbol("BND"): D("0.6")}
THIRDS = {"smurf": "0.333333", "badass": "0.333333", "gltr": "0.333334"}
A_MOMENT = 0.05  # seconds between two looks at the server
LONGEST = 60.0


@dataclass(frozen=True)
class Given:
    """Settings (the defaults, with these changes) and final weights."""

    folder: Path
    changes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def settings(self):
        values = {"ibkr": {"account_id": ACCOUNT, "read_only": "false"}, "models": THIRDS}
        for section, changed in self.changes.items():
            values[section] = values.get(section, {}) | changed
        return settings_from(values, folder=self.folder)

    def rows(self, settings, now):
        return ()

    def targets(self, settings, rows):
        return targets_from_weights(TARGETS, settings.rebalance)


@dataclass(frozen=True)
class SaysYes:
    how: str = "test"

    async def ask(self, question):
        return Answer(approve=True, approver="Ann", account_suffix="567")


@dataclass
class Rehearsal:
    """One account: 300 VTI at 100 and 20 000 USD, to be 40 % VTI and 60 % BND: it sells and then buys.

    `brokers` and `outcomes` are those of its runs, in order; runs of one rehearsal share a journal. `shows` is what
    plan and result are shown with.
    """

    folder: Path
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    changes: Mapping[str, object] = field(default_factory=dict)
    approver: Approver | None = None
    kind: type[FakeIB] = FakeIB
    source: Given | None = None
    mode: Mode = Mode.PAPER
    journal: Journal = field(default_factory=lambda: Journal(MemoryStore()))
    brokers: list[FakeIB] = field(default_factory=list)
    outcomes: list[RunResult] = field(default_factory=list)
    paths: tuple[Path, ...] = ()
    shows: Callable[[object], object] = lambda _what: None

    @contextmanager
    def wired(self):
        """Runs that are started inside are this rehearsal's."""
        own = AppSession(
            approver=self.approver,
            source=self.source or Given(self.folder, self.settings),
            broker=self._connect,
            name="a rehearsal",
            journal=self.journal,
            on_question=self.shows,
            on_end=self._ended,
        )
        with session(own):
            yield

    async def run(self) -> RunResult:
        """How a run outside Prefect ended."""
        with self.wired():
            try:
                await rebalance.fn(**self.parameters())
            except RebalanceError as error:
                raise AssertionError(f"the body of the flow raised {error!r}") from error
        return self.outcomes[-1]

    def start(self) -> UnderWay:
        """A run on the Prefect server, under way."""
        name = f"rehearsal-{uuid4()}"
        with self.wired():
            flow = rebalance.with_options(flow_run_name=name)
            return UnderWay(name, asyncio.create_task(flow(**self.parameters(), return_state=True)))

    def parameters(self):
        return Request(Path("p.csv"), Path("s.ini"), self.mode, broker=BrokerKind.FAKE).parameters()

    def sent(self) -> list[Order]:
        """Every order that left in any run, in order."""
        logs = (entry for broker in self.brokers for entry in broker.log)
        return [entry.what for entry in logs if entry.is_sent and isinstance(entry.what, Order)]

    def report(self, name: str) -> str:
        """A file of the last run's report."""
        return (self.folder / "reports" / self.outcomes[-1].run_id / name).read_text()

    def _connect(self, settings) -> FakeIB:
        usual = {
            "account": account(cash={USD: D(20_000)}, positions=(held(quantity="300"),)),
            "quotes": {
                VTI: quoted("100.00", "100.01", "100.00"),
                Symbol("BND"): quoted("72.00", "72.01", "72.00"),
            },
        }
        self.brokers.append(self.kind.of(world(**(usual | dict(self.changes))), rehearsal_options(settings)))
        return self.brokers[-1]

    def _ended(self, outcome: RunResult, paths: tuple[Path, ...]) -> None:
        self.outcomes.append(outcome)
        self.paths = paths
        self.shows(outcome)


@dataclass
class UnderWay:
    """A run that was started on the server."""

    name: str
    task: asyncio.Task
    keys: list[str] = field(default_factory=list)

    async def question(self, client: PrefectClient) -> FlowRun:
        """The flow run, now that it waits with a question that was not answered yet."""
        async with asyncio.timeout(LONGEST):
            while True:
                await asyncio.wait([self.task], timeout=A_MOMENT)
                if self.task.done():
                    raise AssertionError(f"the run ended before it asked: {self.task.result()}")
                found = await self.flow_run(client)
                if found and found.state and found.state.is_paused() and await self._is_new(client, found):
                    return found

    async def answer(self, client: PrefectClient, **filled: object) -> None:
        """Fill in the form of the question that is open; the server must take it."""
        waiting = await self.question(client)
        answered = await client.resume_flow_run(waiting.id, run_input=filled)
        assert answered.status is SetStateStatus.ACCEPT, answered.details
        self.keys.append(waiting.state.state_details.pause_key)

    async def ended(self):
        """The state in which the run ended."""
        async with asyncio.timeout(LONGEST):
            return await self.task

    async def flow_run(self, client: PrefectClient) -> FlowRun | None:
        wanted = FlowRunFilter(name=FlowRunFilterName(any_=[self.name]))
        found = await client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=1)
        return found[0] if found else None

    async def _is_new(self, client: PrefectClient, found: FlowRun) -> bool:
        key = found.state.state_details.pause_key
        if key in self.keys:
            return False
        inputs = await client.filter_flow_run_input(found.id, key_prefix=f"paused-{key}", limit=10, exclude_keys=set())
        return any(each.key.endswith("-schema") for each in inputs)


async def artifacts_of(client: PrefectClient, run: FlowRun) -> dict[str, str]:
    """What the run left on the server, as text, by its key; of several the last."""
    # asked by hand: the client's own call sends nulls that this server refuses
    wanted = {"artifacts": {"flow_run_id": {"any_": [str(run.id)]}}, "limit": 100}
    found = (await client.request("POST", "/artifacts/filter", json=wanted)).json()
    return {each["key"]: str(each["data"]) for each in sorted(found, key=lambda each: each["created"])}


async def log_of(client: PrefectClient, run: FlowRun, wanted: Iterable[str] = ()) -> str:
    """The run's log on the server, once the `wanted` words are in it: lines come there in batches."""
    text = ""
    async with asyncio.timeout(LONGEST):
        while True:
            lines = await client.read_logs(
                LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])), limit=200, offset=0
            )
            text = "\n".join(line.message for line in lines)
            if all(word in text for word in wanted):
                return text
