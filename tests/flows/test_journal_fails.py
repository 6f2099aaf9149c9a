"""A journal that cannot be used, before a run or in the middle of it: 50, and nothing is sent that is not on record."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from flow_runs import Rehearsal, SaysYes
from sqlalchemy import create_engine, text

from core.errors import ExitCode
from core.journal import Journal
from core.journal.sql import SqlStore, database
from core.model import Mode, OrderRef


@dataclass
class Approves:
    """Says yes, after something has happened to the journal."""

    happens: object
    how: str = "test"

    async def ask(self, question):
        self.happens()
        return await SaysYes().ask(question)


@dataclass
class Kept:
    """An SQLite journal, and a run that is on record there."""

    folder: Path
    name: str = "journal.sqlite"

    @property
    def path(self) -> Path:
        return self.folder / "journal" / self.name

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    async def run(self, happens=lambda: None) -> Rehearsal:
        """A paper run that would sell and buy; `happens` comes after its plan, before its approval is on record."""
        with closing(Journal(SqlStore(self.url))) as journal:
            rehearsal = Rehearsal(self.folder, approver=Approves(happens), journal=journal)
            await rehearsal.run()
        return rehearsal

    def on_record(self) -> set[OrderRef]:
        with closing(Journal(SqlStore(self.url))) as journal:
            return {record.order.ref for run in journal.runs() for record in journal.orders(run.run_id)}

    def replace_folder_by_file(self) -> None:
        shutil.rmtree(self.path.parent)
        self.path.parent.write_text("a file")

    def execute(self, statement: str) -> None:
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(text(statement))
        engine.dispose()


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    return Kept(tmp_path)


def assert_nothing_sent(rehearsal: Rehearsal, why: str) -> None:
    outcome = rehearsal.outcomes[-1]
    assert (outcome.exit_code, rehearsal.sent()) == (ExitCode.OUTPUT, [])
    assert why in outcome.reason
    assert (rehearsal.folder / "reports" / outcome.run_id / "result.json").is_file()


async def test_a_run_on_a_sound_journal_has_every_order_on_record(kept):
    rehearsal = await kept.run()
    assert rehearsal.outcomes[-1].exit_code is ExitCode.DONE
    assert {order.ref for order in rehearsal.sent()} == kept.on_record() != set()


async def test_a_journal_that_another_program_locks_stops_the_run_before_anything_is_sent(kept):
    with closing(SqlStore(kept.url)), closing(sqlite3.connect(kept.path)) as other:
        rehearsal = await kept.run(lambda: other.execute("BEGIN IMMEDIATE"))
    assert_nothing_sent(rehearsal, "database is locked - end the program that holds the file open for writing")


async def test_a_journal_that_is_deleted_stops_the_run_before_anything_is_sent(kept):
    def delete() -> None:
        for path in kept.path.parent.glob("journal.sqlite*"):
            path.unlink()

    assert_nothing_sent(await kept.run(delete), "was removed or replaced while it was in use - restore it")


async def test_a_journal_that_is_replaced_by_an_old_copy_stops_the_run_before_anything_is_sent(kept):
    await kept.run()
    old = kept.path.read_bytes()

    def restore() -> None:
        kept.path.unlink()
        kept.path.write_bytes(old)

    assert_nothing_sent(await kept.run(restore), "was removed or replaced while it was in use - restore it")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda kept: kept.execute("UPDATE alembic_version SET version_num = '9999'"), "update this program"),
        (lambda kept: kept.path.write_bytes(b"no database, but as long as a header" * 100), "never was a journal"),
        (lambda kept: kept.replace_folder_by_file(), "see to it that it can be reached and written"),
        pytest.param(
            lambda kept: kept.path.chmod(0o400),
            "make the file and its folder writable",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: test as another user"),
        ),
    ],
    ids=["of a newer version", "no journal", "in a folder that cannot be made", "read-only"],
)
async def test_a_journal_that_cannot_be_opened_refuses_what_trades_and_lets_a_dry_run_warn(
    kept, monkeypatch, spoil, why
):
    monkeypatch.setenv("REBALANCER_HOME", str(kept.folder))
    rehearsal = Rehearsal(kept.folder, approver=SaysYes(), journal=None)
    kept.name = "rehearsals.sqlite"
    with closing(SqlStore(kept.url)):
        pass
    spoil(kept)
    await rehearsal.run()
    assert_nothing_sent(rehearsal, why)
    rehearsal.mode = Mode.DRY_RUN
    planned = await rehearsal.run()
    assert (planned.exit_code, rehearsal.sent()) == (ExitCode.DONE, [])
    assert planned.plan.trades
    assert any(why in warning for warning in planned.warnings)


async def test_a_journal_that_another_program_locks_is_only_a_warning_for_a_dry_run(kept):
    with closing(SqlStore(kept.url)) as store, closing(sqlite3.connect(kept.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        rehearsal = Rehearsal(kept.folder, mode=Mode.DRY_RUN, journal=Journal(store))
        planned = await rehearsal.run()
    assert (planned.exit_code, bool(planned.plan.trades)) == (ExitCode.DONE, True)
    assert any("database is locked" in warning for warning in planned.warnings)
