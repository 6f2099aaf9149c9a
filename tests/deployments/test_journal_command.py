"""`rebalance journal` copies a journal that is in use, and gives its free space back."""

from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path

import pytest
from journals import RUN, approved_journal, sent
from prefect.settings import PREFECT_API_URL, temporary_settings

from core.errors import ConnectionLost, OutputFailed, UsageError
from core.journal import Journal
from core.journal.sql import SqlStore
from deployments.commands.journal import keep_up
from deployments.commands.status import open_on_record, show_status


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
    target.write_text("an older backup")
    journal = approved_journal(Journal(store))
    keep_up(ini, backup=target, vacuum=False)
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
    assert "account ******567 has an open run: rebalance recover" in capsys.readouterr().out
