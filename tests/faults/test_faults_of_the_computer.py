"""Disk, files and clock of the computer go wrong under whole runs: whatever the gateway received is on record."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from campaign.playing import Case, play_out
from fault_cases import AGG, BND, IJR, VTI, usual
from fault_runs import PlayedOverGateway, Scene, Spoil, nothing, reaching, when
from served import Served, served

from core.broker.ib import LiveIB, LiveOptions
from core.errors import ExitCode
from core.journal import Journal
from core.journal.sql import SqlStore, database
from core.model import USD_CAD, Order, OrderRef, RunResult
from core.report import write_reports
from core.settings import Settings
from core.sim.gateway import GatewayOptions
from core.sim.gateway.faults import Subject
from core.sim.gateway.log import Direction
from core.sim.venue.sessions import xnys_hours
from core.sim.venue.world import FillScript
from core.sim.wire.parsing import parse_request
from core.sim.wire.placing import PlaceOrder


@dataclass(slots=True)
class Reported(PlayedOverGateway):
    """A run over the gateway whose report only the product writes."""

    paths: tuple[Path, ...] = ()

    def ended(self, outcome: RunResult, paths: tuple[Path, ...]) -> None:
        self.outcomes.append(outcome)
        self.paths = paths


def usual_with(**sections: Mapping[str, str]) -> Case:
    """The usual account, with these sections of settings."""
    scenario = usual().scenario
    return Case(replace(scenario, settings={**scenario.settings, **sections}))


# no time-out ends, and no quote grows stale, however slow this machine is
PATIENT = {
    "ibkr": {**usual().scenario.settings["ibkr"], "connect_timeout_seconds": "300", "request_timeout_seconds": "300"},
    "execution": {"order_timeout_seconds": "300"},
    "fx": {"enabled": "true", "wait_for_fill_seconds": "300"},
    "limits": {"stale_quote_seconds": "86400"},
}


@dataclass
class Computer:
    """A computer with a journal in an SQLite file, a report folder, and what is done to them during a run.

    `aside` is where the files of the journal are put that a fault takes away.
    """

    folder: Path
    held: list[sqlite3.Connection] = field(default_factory=list)
    reports: Path | None = None

    @property
    def files(self) -> Path:
        return self.folder / "journal"

    @property
    def aside(self) -> Path:
        return self.folder / "aside"

    @property
    def journal(self) -> Path:
        return self.files / "journal.sqlite"

    async def run(self, spoil: Spoil = nothing) -> Reported:
        with closing(Journal(SqlStore(f"sqlite:///{self.journal}"))) as journal:
            case = usual_with(safety={"kill_switch_file": str(self.folder / "KILL_SWITCH")})
            played = Reported(case, self.reports or self.folder / "reports", journal, [], spoil=spoil)
            await play_out(played)
            for scene in played.scenes:
                await scene.gateway.stop()
        return played

    # --- what goes wrong ---

    def fill_its_disk(self) -> None:
        """No file grows any more, not even the log of the journal, until `repaired`."""
        size = self.journal.with_name("journal.sqlite-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    def delete_its_journal(self) -> None:
        self.aside.mkdir()
        for path in self.files.glob("journal.sqlite*"):
            path.rename(self.aside / path.name)

    def restore_an_old_journal(self) -> None:
        self.delete_its_journal()
        SqlStore(f"sqlite:///{self.journal}").close()

    def lock_its_journal(self) -> None:
        self.held.append(sqlite3.connect(self.journal))
        self.held[0].execute("BEGIN IMMEDIATE")

    def put_a_file_for_the_reports(self) -> None:
        reports = self.folder / "reports"
        shutil.rmtree(reports, ignore_errors=True)
        reports.write_text("a file")

    # --- afterwards ---

    def repaired(self) -> None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        for each in self.held:
            each.close()

    def on_record(self) -> set[OrderRef]:
        """The orders of which SENDING is on the disk."""
        path = self.aside / "journal.sqlite" if self.aside.exists() else self.journal
        with closing(Journal(SqlStore(f"sqlite:///{path}"))) as journal:
            orders = [record for run in journal.runs() for record in journal.orders(run.run_id)]
        return {record.order.ref for record in orders if record.sent_at}


@pytest.fixture
def computer(tmp_path, monkeypatch) -> Iterator[Computer]:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    own = Computer(tmp_path)
    yield own
    own.repaired()


def assert_ended(computer: Computer, played: Reported, *texts: str) -> None:
    """With 50 and these texts, everything that was sent on record, and nothing left working."""
    computer.repaired()
    outcome = played.outcome
    assert outcome.exit_code is ExitCode.OUTPUT, outcome.reason
    assert all(text in outcome.reason for text in texts), outcome.reason
    assert {order.ref for _, order in played.sent} <= computer.on_record()
    assert not played.scenes or not played.venue.working()


FAULTS: dict[str, tuple[Callable[[Computer], None], str]] = {
    "the disk is full": (Computer.fill_its_disk, "cannot be used"),
    "the journal is deleted": (Computer.delete_its_journal, "was removed or replaced while it was in use"),
    "an old copy is restored": (Computer.restore_an_old_journal, "was removed or replaced while it was in use"),
    "another program locks the journal": (Computer.lock_its_journal, "database is locked"),
}
MOMENTS: dict[str, Callable[[Callable[[Scene, Subject], None]], Spoil]] = {
    "before the sells": lambda what: reaching("before_sells", what),
    "when a sell is on its way": lambda what: when("placeOrder", what, "VTI"),
    "when a sell fills": lambda what: when("execDetails", what, "VTI"),
    "before the buys": lambda what: reaching("before_buys", what),
}


ALL = list(product(FAULTS, MOMENTS))
SOME = list(zip(FAULTS, reversed(MOMENTS), strict=True))


@pytest.mark.long
@pytest.mark.parametrize(("fault", "moment"), ALL if os.environ.get("REBALANCER_ALL_SCENARIOS") else SOME)
async def test_nothing_is_sent_that_is_not_on_record_when(computer, fault, moment):
    cause, text = FAULTS[fault]
    played = await computer.run(MOMENTS[moment](lambda _scene, _subject: cause(computer)))
    assert_ended(computer, played, text)
    assert played.sent, "the fault came too early"
    assert (played.folder / "result.json").is_file()


# --- a disk that is really full ---


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own in this folder. Skips the test where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system is for root alone: run this test as root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607 - as mount, where root has it


@pytest.fixture
def small_disk(computer) -> Iterator[Path]:
    """The folder of the journal, on a disk of a megabyte."""
    with mounted(computer.files, "size=1m,mode=0700"):
        yield computer.files


@pytest.mark.parametrize("moment", ["before the sells", "when a sell is on its way"])
async def test_a_disk_without_a_free_byte_ends_the_run_with_what_to_do(computer, small_disk, moment):
    def fill(_scene: Scene, _subject: Subject) -> None:
        with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as file:
            for size in (4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    played = await computer.run(MOMENTS[moment](fill))
    (small_disk / "filler").unlink()
    assert_ended(computer, played, "database or disk is full", "free space on its disk")


# --- the folder of the reports ---


async def test_a_report_folder_that_cannot_be_made_ends_the_run_before_anything_is_sent(computer):
    (computer.folder / "file").write_text("no folder")
    computer.reports = computer.folder / "file" / "reports"
    played = await computer.run()
    assert_ended(computer, played, "cannot write", "file/reports")
    assert not played.scenes[0].gateway.log


async def test_a_report_folder_that_is_read_only_ends_the_run_before_anything_is_sent(computer):
    with mounted(computer.folder / "mine", "ro"):
        computer.reports = computer.folder / "mine" / "reports"
        played = await computer.run()
    assert_ended(computer, played, "cannot write", "Read-only file system")
    assert not played.scenes[0].gateway.log


async def test_a_report_folder_that_everybody_may_write_to_ends_the_run_before_anything_is_sent(computer):
    computer.reports = computer.folder / "open" / "run"
    computer.reports.parent.mkdir()
    computer.reports.parent.chmod(0o777)
    played = await computer.run()
    assert_ended(computer, played, "everybody may write to", "/open", "chmod o-w")
    assert not played.scenes[0].gateway.log


async def test_a_report_folder_that_is_lost_while_orders_work_ends_a_run_that_traded_with_50(computer):
    played = await computer.run(when("execDetails", lambda _scene, _: computer.put_a_file_for_the_reports(), "VTI"))
    assert_ended(computer, played, "cannot write")
    assert [order.contract.symbol for _, order in played.sent] == [USD_CAD, IJR, VTI, AGG, BND]
    # the report can be made again from what is on record
    with closing(Journal(SqlStore(f"sqlite:///{computer.journal}"))) as journal:
        result = journal.state(played.outcome.run_id).result
    assert result is not None
    assert {record.order.ref for record in result.orders} == computer.on_record()
    assert write_reports(result, computer.folder / "again")


# --- between two runs, and the clock: the real client at a gateway that goes on ---


@dataclass(slots=True)
class AtGateway(PlayedOverGateway):
    """A run of the real client, with a clock of its own, at a gateway that was there before and will be afterwards."""

    served: Served | None = None
    ahead: timedelta = timedelta(0)
    jump: tuple[int, timedelta] = (0, timedelta(0))

    def make_broker(self, settings: Settings) -> LiveIB:
        ibkr = settings.ibkr
        own = LiveOptions(
            "127.0.0.1",
            self.served.port,
            ibkr.client_id,
            ibkr.account_id,
            connect_timeout_seconds=ibkr.connect_timeout_seconds,
            request_timeout_seconds=ibkr.request_timeout_seconds,
        )
        broker = JumpingIB(own, self.jump)
        # as if somebody had set the computer's clock
        broker._clock.set(broker.now() + self.ahead)
        self.brokers.append(broker)
        return broker


class JumpingIB(LiveIB):
    """The computer's clock jumps when an order is about to be sent: the number of the order, and how far."""

    def __init__(self, options: LiveOptions, jump: tuple[int, timedelta]) -> None:
        super().__init__(options)
        self._countdown, self._how_far = jump

    async def place(self, order: Order) -> None:
        self._countdown -= 1
        if self._countdown == 0:
            self._clock.set(self.now() + self._how_far)
        await super().place(order)


@dataclass
class Days:
    """Runs of one account, one after the other, on one computer, at one gateway."""

    computer: Computer
    served: Served

    async def run(self, **clock) -> RunResult:
        with closing(Journal(SqlStore(f"sqlite:///{self.computer.journal}"))) as journal:
            folder = self.computer.folder / "reports"
            played = AtGateway(usual_with(**PATIENT), folder, journal, [], served=self.served, **clock)
            await play_out(played)
        return played.outcome

    def sent(self) -> list[OrderRef]:
        """What the gateway received, of all runs, in order."""
        log = self.served.call(lambda: list(self.served.gateway.log))
        received = [each for each in log if each.direction is Direction.IN and each.message == "placeOrder"]
        requests = [parse_request(each.fields) for each in received]
        return [each.terms.order_ref for each in requests if isinstance(each, PlaceOrder) and not each.terms.what_if]


@pytest.fixture
def days(computer) -> Iterator[Days]:
    world = usual().scenario.world
    at_once = dict.fromkeys(world.fills, FillScript())
    with served(replace(world, fills=at_once), GatewayOptions(trading_client=42, hours_around=xnys_hours)) as running:
        yield Days(computer, running)


@pytest.mark.slow
async def test_an_old_copy_of_the_journal_that_is_restored_between_two_runs_is_noticed(days):
    SqlStore(f"sqlite:///{days.computer.journal}").close()
    old = days.computer.journal.read_bytes()
    assert (await days.run()).exit_code is ExitCode.DONE
    before = days.sent()
    assert len(before) == 5
    days.computer.delete_its_journal()
    days.computer.journal.write_bytes(old)
    refused = await days.run()
    assert refused.exit_code is ExitCode.OUTPUT
    assert refused.reason.startswith(
        "the journal is an old copy, or not the one of this account: the broker shows today 5 orders of ours that it "
        f"does not have, such as {min(before)} - restore the newest journal"
    )
    assert days.sent() == before
    shutil.rmtree(days.computer.files)
    days.computer.aside.rename(days.computer.files)
    again = await days.run()
    assert (again.exit_code, again.orders, days.sent()) == (ExitCode.DONE, (), before)


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [timedelta(days=3), timedelta(days=-3)], ids=["forward", "back"])
async def test_a_clock_that_is_set_between_two_runs_changes_nothing(days, ahead):
    first = await days.run()
    before = days.sent()
    second = await days.run(ahead=ahead)
    assert (first.exit_code, second.exit_code, second.orders) == (ExitCode.DONE, ExitCode.DONE, ())
    # both in the gateway's time
    assert timedelta(0) < second.started_at - first.started_at < timedelta(hours=1)
    assert set(before) == set(days.sent()) == days.computer.on_record()


@pytest.mark.slow
@pytest.mark.parametrize("how_far", [timedelta(minutes=20), timedelta(minutes=-20)], ids=["forward", "back"])
async def test_a_clock_that_is_set_while_orders_are_sent_leaves_nothing_off_the_record(days, how_far):
    outcome = await days.run(jump=(3, how_far))
    assert set(days.sent()) <= days.computer.on_record() <= {record.order.ref for record in outcome.orders}
    assert len(days.sent()) == len(set(days.sent()))
    assert all(record.state.is_final for record in outcome.orders)
    assert outcome.exit_code in {ExitCode.DONE, ExitCode.CONNECTION, ExitCode.INCOMPLETE}, outcome.reason
