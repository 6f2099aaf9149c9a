"""`rebalance journal` copies a journal that is in use, and gives its free space back."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from journals import REF, RUN, approved_journal, run_record, sent
from prefect.settings import PREFECT_API_URL, temporary_settings

from core.errors import ConnectionLost, OutputFailed, UsageError
from core.journal import Journal
from core.journal.sql import SqlStore
from deployments.commands.journal import keep_up
from deployments.commands.status import journal_lines, open_on_record, show_status


@pytest.fixture
def ini(tmp_path) -> Path:
    path = tmp_path / "settings.ini"
    path.write_text("[ibkr]\naccount_id = DU1234567\n[models]\nONE = 1\n[journal]\nurl = sqlite:///journal.sqlite\n")
    return path


@pytest.fixture
def store(tmp_path):
    with closing(SqlStore(f"sqlite:///{tmp_path}/journal.sqlite")) as made:
        yield made


def test_a_backup_has_all_that_is_on_record_and_is_its_owners_alone(ini, store, tmp_path, capsys):
    target = tmp_path / "copies.sqlite"
    keep_up(ini, backup=target, vacuum=False)
    journal = approved_journal(Journal(store))
    keep_up(ini, backup=target, vacuum=False)  # in the place of the older one
    assert f"copied to {target}" in capsys.readouterr().out
    sent(journal)  # the journal was not let go of
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("*copies*")) == ["copies.sqlite"]
    with closing(SqlStore(f"sqlite:///{target}")) as copy:
        assert copy.load(RUN) == store.load(RUN)[: len(copy.load(RUN))]
        assert Journal(copy).state(RUN).lines == journal.state(RUN).lines


def test_vacuum_makes_the_file_smaller_and_keeps_what_is_in_it(ini, store, tmp_path, capsys):
    journal = approved_journal(Journal(store))
    with store._engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE waste AS SELECT randomblob(1000000) AS body")
        connection.exec_driver_sql("DROP TABLE waste")
    keep_up(ini, backup=None, vacuum=True)
    assert "given back" in capsys.readouterr().out
    assert (tmp_path / "journal.sqlite").stat().st_size < 500_000
    assert Journal(store).state(RUN) == journal.state(RUN)


def test_a_backup_over_the_journal_itself_is_refused(ini, store, tmp_path):
    with pytest.raises(UsageError, match="is the journal itself"):
        keep_up(ini, backup=tmp_path / "journal.sqlite", vacuum=False)


def other_journal(path: Path) -> None:
    """The backup of a journal with the same run, of which something else is on record."""
    with closing(SqlStore(f"sqlite:///{path.with_name('other.sqlite')}")) as other:
        Journal(other).start_run(run_record(flow_run_id="another"))
        other.backup(path)


def newer_backup(path: Path) -> None:
    """A backup that knows more than the journal does, which was restored since."""
    with closing(SqlStore(f"sqlite:///{path.with_name('other.sqlite')}")) as other:
        sent(approved_journal(Journal(other)))
        other.backup(path)


def database_of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE entries (run_id)")


def link_to_a_file(path: Path) -> None:
    path.with_name("linked").write_text("somebody's")
    path.symlink_to(path.with_name("linked"))


def journal_in_use(path: Path) -> None:
    with closing(SqlStore(f"sqlite:///{path}")):
        pass


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("[ibkr]\naccount_id = DU1234567\n"),
        lambda path: path.write_bytes(b""),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to(path.with_name("nowhere")),
        database_of_another_program,
        link_to_a_file,
        other_journal,
        newer_backup,
        journal_in_use,
    ],
)
def test_a_backup_replaces_nothing_but_an_older_backup_of_the_same_journal(ini, store, tmp_path, make):
    approved_journal(Journal(store))
    target = tmp_path / "copies.sqlite"
    make(target)
    before = target.read_bytes() if target.is_file() else target.lstat()
    with pytest.raises(UsageError, match="exists and is not a backup of this journal - choose another name"):
        keep_up(ini, backup=target, vacuum=False)
    assert (target.read_bytes() if target.is_file() else target.lstat()) == before
    assert list(tmp_path.glob(".copies*")) == []


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal", "-0123456789ab.lock"])
def test_a_backup_that_a_program_may_be_using_is_not_replaced(ini, store, tmp_path, end):
    target = tmp_path / "copies.sqlite"
    keep_up(ini, backup=target, vacuum=False)
    target.with_name(target.name + end).touch()
    with pytest.raises(UsageError, match="is not a backup of this journal"):
        keep_up(ini, backup=target, vacuum=False)


@pytest.mark.parametrize("name", ["journal.sqlite", "rehearsals.sqlite"])
def test_a_backup_never_goes_where_a_journal_is_kept(ini, store, tmp_path, monkeypatch, name):
    monkeypatch.setenv("REBALANCER_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "journal").mkdir(parents=True)
    with pytest.raises(UsageError, match="is where this program keeps a journal"):
        keep_up(ini, backup=tmp_path / "home" / "journal" / name, vacuum=False)
    assert list((tmp_path / "home" / "journal").iterdir()) == []


def test_a_backup_into_a_folder_that_is_not_there_is_refused(ini, store, tmp_path):
    with pytest.raises(OutputFailed, match="No such file or directory"):
        keep_up(ini, backup=tmp_path / "missing" / "copy.sqlite", vacuum=False)


def test_asking_for_nothing_is_refused(ini):
    with pytest.raises(UsageError, match="nothing was asked for"):
        keep_up(ini, backup=None, vacuum=False)


def test_status_names_the_runs_without_an_end_on_record(ini, store):
    assert open_on_record(ini) == []
    approved_journal(Journal(store))
    (row,) = open_on_record(ini)
    assert (row["run_id"], row["account"], row["needing_person"]) == (RUN, "******567", [])


def test_status_names_them_although_no_server_runs(ini, store, capsys):
    approved_journal(Journal(store))
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ConnectionLost, match="no Prefect server"),
    ):
        show_status(ini, as_json=False)
    assert (
        f"account ******567 has an open run; if its process died: rebalance recover --ini {ini} "
        in capsys.readouterr().out
    )


def test_status_does_not_send_anybody_to_recover_a_run_that_is_alive(ini, store):
    journal = approved_journal(Journal(store))
    assert list(journal_lines(open_on_record(ini), ini, {RUN})) == []
    assert len(list(journal_lines(open_on_record(ini), ini, {"OTHER"}))) == 1
    sent(journal)
    journal.unknown(REF, reason="nothing was reported")
    (line,) = journal_lines(open_on_record(ini), ini, {RUN})
    assert f"is quarantined for {REF}: rebalance resolve {REF} --found TEXT --ini {ini} " in line
