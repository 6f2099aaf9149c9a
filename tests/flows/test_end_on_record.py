"""The end of a run is on record before its account is free, and a record that fails keeps no report from anybody."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from flow_runs import Rehearsal, SaysYes
from worlds import scripted

from core.broker.fake import FakeIB
from core.errors import AccountBusy, ExitCode, OutputFailed
from core.journal import Journal, MemoryStore
from core.journal.entries import RunEnded, RunReported, replayed
from core.model import OrderState
from tasks import lifecycle


class Watched(MemoryStore):
    """A store that keeps how its run stood on record when the account was let go."""

    left = None

    @contextmanager
    def lock(self, account_id, run_id):
        with super().lock(account_id, run_id):
            yield
            self.left = replayed(self.load(run_id))


class Refusing(MemoryStore):
    """A store that takes no entry of this kind, from the one of that number on."""

    def __init__(self, kind, error, first=1):
        super().__init__()
        self.kind, self.error, self.left = kind, error, first

    def append(self, run_id, position, entry):
        if isinstance(entry, self.kind):
            self.left -= 1
            if self.left <= 0:
                raise self.error
        super().append(run_id, position, entry)


class Clumsy(FakeIB):
    """A broker with a mistake in it that shows once the end of the run looks at what works."""

    async def cancel(self, ref):
        raise KeyError(ref)


@dataclass
class PutsAFolderInTheWay:
    """Says yes, after a file of the report can no more be written."""

    reports: Path
    how: str = "test"

    async def ask(self, question):
        (folder,) = self.reports.iterdir()
        (folder / "post_trade.csv" / "in the way").mkdir(parents=True)
        return await SaysYes().ask(question)


def rehearsal_on(store, folder, **changes):
    return Rehearsal(folder, approver=SaysYes(), journal=Journal(store), **changes)


@pytest.mark.parametrize(
    ("kind", "changes", "code"),
    [
        (FakeIB, {}, ExitCode.DONE),
        (FakeIB, {"fills": scripted(reject=201)}, ExitCode.REJECTED),
        (Clumsy, {"fills": scripted(fill_fraction=0)}, ExitCode.UNFORESEEN),
    ],
    ids=["a run that ends well", "a run that fails", "a run that cannot cancel"],
)
async def test_the_end_is_on_record_when_the_account_is_free(tmp_path, kind, changes, code):
    store = Watched()
    outcome = await rehearsal_on(store, tmp_path, kind=kind, changes=changes).run()
    assert outcome.exit_code is code
    assert (store.left.record.exit_code, store.left.record.reason) == (code, outcome.reason)
    assert store.left.result == outcome
    assert [type(entry) for entry in store.load(outcome.run_id)].count(RunReported) == 1


async def test_a_run_that_starts_once_the_account_is_free_recovers_nothing(tmp_path, monkeypatch):
    class AtOneExchange(FakeIB):
        first = None

        def __init__(self, exchange, script, options):
            AtOneExchange.first = AtOneExchange.first or exchange
            super().__init__(AtOneExchange.first, script, options)

    store, report_end, second = MemoryStore(), lifecycle._report_end, []
    (tmp_path / "second").mkdir()
    first = rehearsal_on(store, tmp_path, kind=AtOneExchange)
    after = rehearsal_on(store, tmp_path / "second", kind=AtOneExchange)

    async def once_another_run_has_ended(run):
        if not second:
            second.append(run)
            await after.run()
        await report_end(run)

    monkeypatch.setattr(lifecycle, "_report_end", once_another_run_has_ended)
    outcome = await first.run()
    assert (outcome.exit_code, outcome.reason) == (ExitCode.DONE, "done")
    assert [record.state for record in outcome.orders] == [OrderState.FILLED, OrderState.FILLED]
    assert json.loads(first.report("result.json"))["exit_code"] == 0
    assert (after.outcomes[-1].reason, after.outcomes[-1].warnings) == ("nothing needed trading", ())


@pytest.mark.parametrize("kind", [RunReported, RunEnded])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OutputFailed("the disk is full"), ExitCode.OUTPUT),
        (AccountBusy("another process writes to the journal"), ExitCode.BUSY),
        (ValueError("no such column"), ExitCode.UNFORESEEN),
    ],
    ids=["the journal cannot be written", "another process writes to it", "for an unexpected reason"],
)
async def test_an_end_that_cannot_be_recorded_is_reported_all_the_same(tmp_path, kind, error, code):
    rehearsal = rehearsal_on(Refusing(kind, error), tmp_path)
    outcome = await rehearsal.run()
    report = json.loads(rehearsal.report("result.json"))
    assert (outcome.exit_code, report["exit_code"], report["state"]) == (code, code, "Failed")
    assert str(error) in report["reason"]
    assert [order["status"] for order in report["orders"]] == ["Filled", "Filled"]
    assert "report.html" in [path.name for path in rehearsal.paths]


async def test_a_code_that_the_report_changes_and_that_cannot_be_recorded_any_more_is_reported(tmp_path):
    taken = AccountBusy("another process writes to the journal")
    rehearsal = rehearsal_on(Refusing(RunReported, taken, first=2), tmp_path)
    rehearsal.approver = PutsAFolderInTheWay(tmp_path / "reports")
    outcome = await rehearsal.run()
    report = json.loads(rehearsal.report("result.json"))
    assert (outcome.exit_code, report["exit_code"]) == (ExitCode.OUTPUT, ExitCode.OUTPUT)
    assert [type(each) for each in outcome.errors] == [OutputFailed, AccountBusy]
    assert rehearsal.journal.run(outcome.run_id).exit_code is ExitCode.DONE
