"""Runs whose process was killed: the next run recovers them first, and one that is started again ends as recovered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from deaths import DyingStore, Killed
from flow_runs import Rehearsal, SaysYes
from trading import FlakyBroker
from worlds import scripted

from core.errors import ExitCode
from core.journal import Journal
from core.journal.entries import Entry, LinesApproved, OrderReported, OrderSending, RunEnded, RunReported, StageStarted
from core.model import Fill, Finding, OrderState, RunId
from core.money import D
from core.sim.venue.exchange import Exchange
from core.sim.venue.script import FaultScript


class OneVenue:
    """Brokers that share an exchange, and are of no use to a process that was killed."""

    def __init__(self, store: DyingStore) -> None:
        self.store = store
        self.exchange: Exchange | None = None
        self.altered = FlakyBroker.altered

    def of(self, world, options):
        store, own = self.store, self.altered

        class Mortal(FlakyBroker):
            altered = staticmethod(own)

            def _require_connection(self) -> None:
                if store.is_dead:
                    raise Killed
                super()._require_connection()

        if self.exchange is None:
            made = Mortal.of(world, options)
            self.exchange = made.exchange
            return made
        return Mortal(self.exchange, FaultScript(self.exchange.world), options)


class Account:
    """An account that is rebalanced by one process after the other."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.store = DyingStore()
        self.venue = OneVenue(self.store)
        self.rehearsal = Rehearsal(folder, approver=SaysYes(), kind=self.venue, changes=changes)  # type: ignore[arg-type]

    async def run(self):
        self.rehearsal.journal = Journal(self.store)
        return await self.rehearsal.run()

    async def run_until_killed(self, dies_with, *, afterwards: bool = True) -> RunId:
        """The id of a run that is killed at the write that is chosen."""
        self.store.dies_with, self.store.afterwards = dies_with, afterwards
        with suppress(Killed):
            await self.run()
        assert self.store.is_dead
        self.store.live_on()
        (killed,) = [state.record.run_id for state in Journal(self.store).open_runs("DU1234567")]
        return killed

    def result_of(self, run_id: RunId) -> dict:
        return json.loads((self.rehearsal.folder / "reports" / run_id / "result.json").read_text())


@contextmanager
def same_flow_run(monkeypatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr("flows.rebalance.uuid4", lambda: "the same flow run")
        yield


def is_sending(entry: Entry) -> bool:
    return isinstance(entry, OrderSending)


async def test_the_next_run_recovers_a_killed_one_first_and_trades_what_is_still_needed(tmp_path):
    account = Account(tmp_path)
    killed = await account.run_until_killed(lambda entry: isinstance(entry, OrderReported))
    assert len(account.rehearsal.sent()) == 1
    outcome = await account.run()
    assert outcome.exit_code is ExitCode.DONE, outcome.reason
    assert any(
        text.startswith(f"run {killed}, whose process had ended early, was recovered") for text in outcome.warnings
    )
    refs = [order.ref for order in account.rehearsal.sent()]
    assert len(refs) == len(set(refs)) == 2
    report = account.result_of(killed)
    assert (report["exit_code"], report["status"]) == (28, "failed")
    assert [(order["symbol"], order["status"]) for order in report["orders"]] == [("VTI", "Filled")]
    assert "1 of 2 trades filled" in report["reason"]
    (gate,) = Journal(account.store).state(killed).result.gates
    assert (gate.table, gate.faults) == ("fills", ())
    assert Journal(account.store).run(killed).exit_code is ExitCode.INCOMPLETE


async def test_an_order_that_never_arrived_is_proved_absent_and_planned_again(tmp_path):
    account = Account(tmp_path)
    killed = await account.run_until_killed(is_sending)
    outcome = await account.run()
    assert outcome.exit_code is ExitCode.DONE, outcome.reason
    assert [order["status"] for order in account.result_of(killed)["orders"]] == ["Absent"]


async def test_a_run_that_was_approved_and_had_not_begun_is_closed(tmp_path):
    account = Account(tmp_path)
    killed = await account.run_until_killed(lambda entry: isinstance(entry, LinesApproved))
    outcome = await account.run()
    assert outcome.exit_code is ExitCode.DONE, outcome.reason
    report = account.result_of(killed)
    assert report["reason"].startswith("the process of the run ended before anything was sent")
    assert [line["symbol"] for line in report["plan"]] == ["VTI", "BND"]


async def test_a_flow_run_that_is_started_again_is_recovered_once_and_sends_nothing(tmp_path, monkeypatch):
    account = Account(tmp_path)
    with same_flow_run(monkeypatch):
        killed = await account.run_until_killed(lambda entry: isinstance(entry, OrderReported))
        again = await account.run()
    assert (again.run_id, again.exit_code) == (killed, ExitCode.INCOMPLETE)
    assert again.reason.startswith("the process of the run ended early: 1 of 2 trades filled")
    assert len(account.rehearsal.sent()) == 1
    assert [record.state for record in again.orders] == [OrderState.FILLED]
    assert [approval.approver for approval in again.approvals] == ["Ann"]
    report = account.result_of(killed)
    assert report["exit_code"] == 28
    assert not Journal(account.store).state(killed).is_open
    with same_flow_run(monkeypatch):
        third = await account.run()
    assert third.exit_code is ExitCode.BUSY
    assert account.result_of(killed) == report


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        pytest.param(RunReported, "the process of the run ended when 2 trades had filled", marks=pytest.mark.slow),
        (RunEnded, "done"),
    ],
)
async def test_a_flow_run_that_had_done_everything_ends_with_0_when_it_is_started_again(
    tmp_path, monkeypatch, kind, reason
):
    account = Account(tmp_path)
    with same_flow_run(monkeypatch):
        killed = await account.run_until_killed(lambda entry: isinstance(entry, kind), afterwards=False)
        again = await account.run()
    assert (again.exit_code, again.status, again.reason) == (ExitCode.DONE, "completed", reason)
    assert len(account.rehearsal.sent()) == 2
    report = account.result_of(killed)
    assert (report["exit_code"], [line["symbol"] for line in report["plan"]]) == (0, ["VTI", "BND"])


def for_nothing(event):
    """A fill as one at a price of 0."""
    return (replace(event, price=D(0)) if isinstance(event, Fill) else event,)


async def test_a_recovered_run_whose_fills_are_refused_by_their_gate_ends_with_12(tmp_path, monkeypatch):
    account = Account(tmp_path)
    account.venue.altered = for_nothing
    with same_flow_run(monkeypatch):
        killed = await account.run_until_killed(lambda entry: isinstance(entry, RunReported), afterwards=False)
        again = await account.run()
    assert again.exit_code is ExitCode.DATA
    assert "data gate fills: price not above 0: VTI, BND" in again.reason
    assert account.result_of(killed)["exit_code"] == 12
    assert Journal(account.store).run(killed).exit_code is ExitCode.DATA
    assert not Journal(account.store).state(killed).is_open


async def test_an_account_in_quarantine_is_not_traded_until_a_person_has_looked(tmp_path):
    account = Account(tmp_path)
    killed = await account.run_until_killed(is_sending)
    account.venue.exchange.advance_to(account.venue.exchange.now + timedelta(days=1))
    refused = await account.run()
    assert refused.exit_code is ExitCode.UNKNOWN
    assert "is not traded: what became of" in refused.reason
    assert account.result_of(killed)["exit_code"] == 41
    again = await account.run()
    assert again.exit_code is ExitCode.UNKNOWN
    assert account.rehearsal.sent() == []
    journal = Journal(account.store)
    (unknown,) = journal.state(killed).needing_person
    journal.resolve(unknown.order.ref, Finding("Ann", account.venue.exchange.now, "never existed", existed=False))
    assert (await account.run()).exit_code is ExitCode.DONE


@pytest.mark.slow
async def test_a_flow_run_in_quarantine_stays_there_when_it_is_started_again(tmp_path, monkeypatch):
    account = Account(tmp_path)
    with same_flow_run(monkeypatch):
        killed = await account.run_until_killed(is_sending)
        account.venue.exchange.advance_to(account.venue.exchange.now + timedelta(days=1))
        first = await account.run()
        before = account.result_of(killed)
        second = await account.run()
    assert (first.exit_code, second.exit_code) == (ExitCode.UNKNOWN, ExitCode.UNKNOWN)
    assert account.result_of(killed) == before


async def test_a_gateway_that_is_down_leaves_the_killed_run_open(tmp_path):
    account = Account(tmp_path)
    killed = await account.run_until_killed(is_sending)
    connect = account.rehearsal._connect

    def refusing(settings):
        broker = connect(settings)
        broker.refusals = 99
        return broker

    account.rehearsal._connect = refusing
    outcome = await account.run()
    assert outcome.exit_code is ExitCode.CONNECTION
    assert Journal(account.store).state(killed).is_open


# the moments that no test above has are the quick ones
MOMENTS = [
    (StageStarted, True),
    (OrderSending, False),
    *(
        pytest.param(kind, afterwards, marks=pytest.mark.slow)
        for kind, afterwards in product((LinesApproved, StageStarted, OrderSending, OrderReported), (False, True))
        if (kind, afterwards) not in ((StageStarted, True), (OrderSending, False))
    ),
]


@pytest.mark.parametrize(("kind", "afterwards"), MOMENTS)
async def test_whenever_a_run_is_killed_the_next_one_ends_at_the_targets(tmp_path, kind, afterwards):
    account = Account(tmp_path, fills=scripted(delay_seconds=5))
    await account.run_until_killed(lambda entry: isinstance(entry, kind), afterwards=afterwards)
    outcome = await account.run()
    assert outcome.exit_code is ExitCode.DONE, outcome.reason
    assert max(abs(drift) for drift in outcome.residual_drift_bps.values()) < 60
    refs = [order.ref for order in account.rehearsal.sent()]
    assert len(refs) == len(set(refs))
