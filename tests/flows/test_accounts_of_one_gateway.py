"""Runs of several accounts at one gateway: each in its own account, and one at a time by a client id."""

from __future__ import annotations

import asyncio
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flow_runs import Given
from gateway_clients import HANDSHAKE
from served import served
from worlds import ACCOUNT, VTI, held, quoted, world

from core.broker.ib import LiveOptions
from core.errors import ExitCode
from core.journal import Journal
from core.journal.sql import SqlStore
from core.journal.store import LockTaken
from core.model import USD, AccountId, Mode, RunResult, Symbol
from core.money import D
from core.safety import write_kill_switch
from core.sim.gateway.log import Direction
from core.sim.venue.world import FillScript, SimAccount
from core.sim.wire.frames import frame
from flows.rebalance import rebalance
from tasks.app.approvers import Answer
from tasks.app.clients import lock_name
from tasks.app.request import Request
from tasks.app.wiring import AppSession, session

OTHER = AccountId("DU7654321")
BND = Symbol("BND")
QUOTES = {VTI: quoted("100.00", "100.01", "100.00"), BND: quoted("72.00", "72.01", "72.00")}
WAITING = "for client 42 of 127.0.0.1:{port}, which another run uses"

pytestmark = pytest.mark.timeout(120)


def world_of(account_id):
    """300 VTI and 20 000 USD, to be 40 % VTI and 60 % BND; orders fill at once."""
    own = SimAccount(account_id, cash={USD: D(20_000)}, positions=(held(quantity="300"),))
    return world(account=own, quotes=QUOTES, fills={VTI: FillScript(), BND: FillScript()})


@dataclass
class Person:
    """An approver who says yes or no, once `may` is set."""

    account_id: str
    says_yes: bool = True
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    may: asyncio.Event = field(default_factory=asyncio.Event)
    how: str = "test"

    async def ask(self, question):
        self.asked.set()
        await self.may.wait()
        return Answer(approve=self.says_yes, approver="Ann", account_suffix=self.account_id[-3:])


def says_no(account_id=ACCOUNT):
    person = Person(account_id, says_yes=False)
    person.may.set()
    return person


class WatchedStore(SqlStore):
    """Sets `was_taken` when somebody finds a client in use."""

    was_taken: asyncio.Event

    @contextmanager
    def client_lock(self, client):
        try:
            with super().client_lock(client):
                yield
        except LockTaken:
            self.was_taken.set()
            raise


@dataclass
class Household:
    """Two accounts of one gateway with one journal, each with runs of its own."""

    folder: Path
    running: object
    was_taken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def journal_url(self):
        return f"sqlite:///{self.folder}/journal.sqlite"

    async def run(self, account_id=ACCOUNT, approver=None, client_id=42, **changes) -> RunResult:
        """How a paper run of the account ended."""
        ended: list[RunResult] = []
        if approver is None:
            approver = Person(account_id)
            approver.may.set()
        ibkr = {"account_id": account_id, "port": str(self.running.port), "client_id": str(client_id)}
        settings = {"ibkr": ibkr, "safety": {"kill_switch_file": f"{account_id}.stop"}} | changes
        store = WatchedStore(self.journal_url)
        store.was_taken = self.was_taken
        with closing(Journal(store)) as journal:
            own = AppSession(
                approver=approver,
                source=Given(self.folder, settings),
                journal=journal,
                on_end=lambda result, _paths: ended.append(result),
            )
            with session(own):
                await rebalance.fn(**Request(Path("p.csv"), Path("s.ini"), Mode.PAPER).parameters())
        return ended[0]

    @contextmanager
    def client_in_use(self):
        """Another run, of a process of its own, is connected as client 42."""
        options = LiveOptions("127.0.0.1", self.running.port, 42, ACCOUNT)
        with closing(SqlStore(self.journal_url)) as store, store.client_lock(lock_name(options)):
            yield

    def traded(self, account_id):
        """Shares sold and bought in the account, by symbol."""
        fills = self.running.call(self.running.gateway.exchanges[account_id].executions)
        return {fill.symbol: fill.shares for fill in fills}

    def refusals(self):
        """How often the gateway refused a client id (326)."""
        entries = self.running.call(lambda: list(self.running.gateway.log))
        return sum(each.direction is Direction.OUT and each.fields[:4][-1] == "326" for each in entries)


@pytest.fixture
def household(tmp_path):
    with served(world_of(ACCOUNT), others=[world_of(OTHER)]) as running:
        yield Household(tmp_path, running)


def has_waited(household, result):
    return WAITING.format(port=household.running.port) in [each.detail for each in result.events]


TRADED = {VTI: 102, BND: 412}


@pytest.mark.slow
async def test_runs_with_client_ids_of_their_own_trade_at_once_each_in_its_account(household):
    one, two = await asyncio.gather(household.run(), household.run(OTHER, client_id=7))
    assert (one.exit_code, two.exit_code) == (ExitCode.DONE, ExitCode.DONE)
    assert not has_waited(household, one)
    assert not has_waited(household, two)
    assert household.traded(ACCOUNT) == household.traded(OTHER) == TRADED


@pytest.mark.slow
async def test_runs_of_one_client_id_trade_in_turns(household):
    one, two = await asyncio.gather(household.run(), household.run(OTHER))
    assert (one.exit_code, two.exit_code) == (ExitCode.DONE, ExitCode.DONE)
    assert has_waited(household, one) or has_waited(household, two)
    assert household.refusals() == 0
    assert household.traded(ACCOUNT) == household.traded(OTHER) == TRADED


@pytest.mark.slow
async def test_runs_of_one_client_id_read_in_turns(household):
    one, two = await asyncio.gather(household.run(approver=says_no()), household.run(OTHER, says_no(OTHER)))
    assert (one.exit_code, two.exit_code) == (ExitCode.APPROVAL_REJECTED, ExitCode.APPROVAL_REJECTED)
    assert has_waited(household, one) is not has_waited(household, two)
    assert household.refusals() == 0


async def test_a_run_that_waits_for_approval_leaves_the_client_to_others(household):
    thinks = Person(ACCOUNT, says_yes=False)
    first = asyncio.create_task(household.run(approver=thinks))
    async with asyncio.timeout(60):
        await thinks.asked.wait()
    second = await household.run(OTHER, says_no(OTHER))
    assert (second.exit_code, has_waited(household, second)) == (ExitCode.APPROVAL_REJECTED, False)
    thinks.may.set()
    assert (await first).exit_code is ExitCode.APPROVAL_REJECTED
    assert household.refusals() == 0


async def test_whoever_waits_too_long_ends_with_40(household):
    with household.client_in_use():
        ended = await household.run(approval={"timeout_seconds": "1"})
    assert ended.exit_code is ExitCode.BUSY
    assert ended.reason == (
        f"another run has used client 42 of 127.0.0.1:{household.running.port} for longer than this one waits (1 s) - "
        "run again when it has ended, or give the accounts of this gateway other [ibkr] client_ids"
    )


async def test_the_kill_switch_ends_the_wait(household):
    with household.client_in_use():
        waiting = asyncio.create_task(household.run())
        await household.was_taken.wait()
        write_kill_switch(household.folder / f"{ACCOUNT}.stop", by="Ann", at=datetime.now(UTC))
        assert (await waiting).exit_code is ExitCode.KILL_SWITCH


async def test_a_cancel_ends_the_wait(household):
    with household.client_in_use():
        waiting = asyncio.create_task(household.run())
        await household.was_taken.wait()
        waiting.cancel()
        assert (await waiting).exit_code is ExitCode.APPROVAL_REJECTED


async def test_a_client_id_that_another_program_uses_is_reported_in_one_line(household):
    reader, writer = await asyncio.open_connection("127.0.0.1", household.running.port)
    writer.write(HANDSHAKE + frame(["71", "2", "42", ""]))
    await reader.read(1)
    ended = await household.run(ibkr={"account_id": ACCOUNT, "port": str(household.running.port), "read_attempts": "1"})
    writer.close()
    assert ended.exit_code is ExitCode.CONNECTION
    assert "the gateway already has a client 42: another run may be alive" in ended.reason
    assert ended.reason.endswith(" - wait for its end, or choose another [ibkr] client_id")


@pytest.mark.parametrize(
    ("host", "other", "is_same"),
    [
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "::1", True),
        ("Gateway.lan", "gateway.lan", True),
        ("gateway.lan", "127.0.0.1", False),
        ("10.0.0.7", "10.0.0.8", False),
    ],
)
def test_a_client_of_this_computers_gateway_has_one_name(host, other, is_same):
    names = {lock_name(LiveOptions(each, 4002, 42, ACCOUNT)) for each in (host, other)}
    assert (len(names) == 1) is is_same
