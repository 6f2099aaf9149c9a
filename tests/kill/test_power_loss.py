"""The power goes while a run trades: an order that has left is on record, whatever the disk has lost.

The run's own system calls are logged by strace, and its journal is made again from what was synced at the moment that
each order left; see `tests/support/power`. Leaving out a sync that this rests on is noticed.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from kill.cases import ALL_ORDERS
from power.disk import Chance, Disk, nothing
from power.trace import Send, Step, Sync, may_trace, steps, traced
from programs import needs

from core.errors import RebalanceError
from core.journal.entries import Entry, LinesApproved, OrderIntended, OrderSending, RunStarted
from core.journal.sql import SqlStore
from core.model import OrderRef
from core.model.refs import parse_ref
from core.sim.wire.frames import Unframer
from core.sim.wire.parsing import parse_request
from core.sim.wire.placing import PlaceOrder

REPOSITORY = Path(__file__).parents[2]
LOSSES = min(int(os.environ.get("REBALANCER_KILL_CASES", "12")), 200)
OFTEN = "wal_autocheckpoint = 20"  # pages after which SQLite moves its log into the database: many times in a run
PLACE_ORDER, LENGTH = b"3\0", 4  # the message's number, behind the length of its frame

pytestmark = [needs("strace"), may_trace(), pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Trial:
    """What a traced program did, and the journal as it was at its end."""

    steps: tuple[Step, ...]
    journal: Path

    def without(self, *left_out: int) -> Trial:
        """The same, had the program not done the steps of these numbers."""
        return Trial(tuple(step for number, step in enumerate(self.steps) if number not in left_out), self.journal)


def trial(folder: Path, *pragmas: str) -> Trial:
    """Five orders traded, with a new journal in a folder that is new as well, as are those above it."""
    journal = folder / "state" / "rebalancer" / "journal.sqlite"
    command = [sys.executable, "-m", "power.trading", str(journal), *pragmas]
    path = os.pathsep.join([str(REPOSITORY / "tests" / "support"), str(REPOSITORY)])
    traced(command, folder / "calls", os.environ | {"PYTHONPATH": path})
    return Trial(tuple(steps(folder / "calls", journal.parent)), journal)


@pytest.fixture(scope="module")
def traded(tmp_path_factory) -> Trial:
    return trial(tmp_path_factory.mktemp("traded"), OFTEN)


def leaving(step: Step) -> Iterator[OrderRef]:
    """The orders that leave with this step; one that came behind another message would be missed, and so noticed."""
    if not isinstance(step, Send) or not step.data.startswith(PLACE_ORDER, LENGTH):
        return
    for fields in Unframer().feed(step.data):
        # the gateway, in the same process, sends the status of an order under the same number
        if not any(parse_ref(field) for field in fields):
            continue
        request = parse_request(fields)
        assert isinstance(request, PlaceOrder)
        if not request.terms.what_if:
            yield OrderRef(request.terms.order_ref)


def on_record(lost: Path, name: str) -> Sequence[Entry] | str:
    """What the product reads in a journal after power loss; why it cannot."""
    if not (lost / name).exists():
        return "the journal is gone"
    try:
        with closing(SqlStore(f"sqlite:///{lost / name}")) as store:
            return [entry for run in store.runs() for entry in store.load(run.run_id)]
    except RebalanceError as error:
        return error.in_full


def why_not_safe(ref: OrderRef, found: Sequence[Entry] | str) -> str | None:
    """What is not on record of an order that has left; None where all of it is."""
    if isinstance(found, str):
        return f"{ref}: {found}"
    has = {type(entry).__name__ for entry in found if isinstance(entry, RunStarted | LinesApproved)}
    has |= {"INTENT" for entry in found if isinstance(entry, OrderIntended) and entry.order.ref == ref}
    has |= {"SENDING" for entry in found if isinstance(entry, OrderSending) and entry.ref == ref}
    lacking = {"RunStarted", "LinesApproved", "INTENT", "SENDING"} - has
    return f"{ref}: {sorted(lacking)} not on record" if lacking else None


def unsafe_orders(of: Trial, folder: Path, chance: Chance = nothing) -> tuple[list[OrderRef], list[str]]:
    """The orders that left, and what of them would be on no record had the power gone at that moment."""
    disk, left, problems = Disk(), [], []
    for step in of.steps:
        for ref in leaving(step):
            left.append(ref)
            found = after_power_loss(disk, of, folder, chance)
            problems += [why] if (why := why_not_safe(ref, found)) else []
        disk.apply(step)
    return left, problems


def after_power_loss(disk: Disk, of: Trial, folder: Path, chance: Chance) -> Sequence[Entry] | str:
    """What the product reads after power loss at this moment."""
    lost = folder / "lost"
    lost.mkdir()
    disk.lose_power(lost, of.journal.parent, chance)
    try:
        return on_record(lost, of.journal.name)
    finally:
        shutil.rmtree(lost)


def test_an_order_that_leaves_is_on_record_though_nothing_survives_but_what_was_synced(traded, tmp_path):
    left, problems = unsafe_orders(traded, tmp_path)
    assert left == [order.ref for order in ALL_ORDERS]
    assert problems == []


@pytest.mark.long
def test_whatever_part_survives_of_what_was_not_synced_the_journal_opens_and_has_all_orders_that_left(traded, tmp_path):
    whole = on_record(traded.journal.parent, traded.journal.name)
    for seed in range(LOSSES):
        moment = random.Random(seed)
        disk, left = Disk(), []
        for step in traded.steps[: moment.randrange(len(traded.steps))]:
            left += leaving(step)
            disk.apply(step)
        found = after_power_loss(disk, traded, tmp_path, lambda moment=moment: moment.random() < 0.5)
        assert [why for ref in left if (why := why_not_safe(ref, found))] == [], f"seed {seed}"
        if not isinstance(found, str):
            assert found == whole[: len(found)], f"seed {seed}"


def test_leaving_out_the_last_sync_before_an_order_is_noticed(traded, tmp_path):
    number = next(number for number, step in enumerate(traded.steps) if ALL_ORDERS[2].ref in leaving(step))
    last = max(at for at, step in enumerate(traded.steps[:number]) if isinstance(step, Sync))
    _, problems = unsafe_orders(traded.without(last), tmp_path)
    assert problems == [f"{ALL_ORDERS[2].ref}: ['SENDING'] not on record"]


def test_leaving_out_the_sync_of_a_folder_is_noticed(traded, tmp_path):
    folders = {str(each) for each in traded.journal.parents}
    for path in {step.path for step in traded.steps if isinstance(step, Sync)} & folders:
        syncs = [at for at, step in enumerate(traded.steps) if isinstance(step, Sync) and step.path == path]
        _, problems = unsafe_orders(traded.without(*syncs), tmp_path)
        assert problems == [f"{order.ref}: the journal is gone" for order in ALL_ORDERS], path


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_a_journal_that_is_not_synced_at_each_commit_is_noticed(synchronous, tmp_path):
    _, problems = unsafe_orders(trial(tmp_path, f"synchronous = {synchronous}"), tmp_path)
    assert len(problems) == len(ALL_ORDERS)


@pytest.mark.slow
def test_every_order_of_a_whole_run_is_on_record_when_it_leaves(tmp_path):
    for name in ("portfolios.csv", "settings.ini"):
        shutil.copy(REPOSITORY / "deployments" / "demo" / name, tmp_path)
    journal = tmp_path / "state" / "journal" / "rehearsals.sqlite"
    command = [sys.executable, "-m", "deployments", "run", "--csv", "portfolios.csv", "--ini", "settings.ini"]
    homes = {"REBALANCER_HOME": str(tmp_path / "state"), "PREFECT_HOME": str(tmp_path / "prefect")}
    environment = os.environ | homes | {"PYTHONPATH": str(REPOSITORY)}
    traced([*command, "--paper", "--yes", "--broker", "simulated"], tmp_path / "calls", environment, cwd=tmp_path)
    rebalance = Trial(tuple(steps(tmp_path / "calls", journal.parent)), journal)
    left, problems = unsafe_orders(rebalance, tmp_path)
    intended = [
        entry.order.ref for entry in on_record(journal.parent, journal.name) if isinstance(entry, OrderIntended)
    ]
    assert left == intended
    assert len(left) > 3
    assert problems == []
