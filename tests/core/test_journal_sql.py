"""The durable store: what is on record stays, what cannot be recorded is not sent, one process at a time."""

from __future__ import annotations

import pickle
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from builders import NOW, plan
from hypothesis import given
from hypothesis import strategies as st
from journals import ACCOUNT, EVENTS, REF, RUN, approve, approved_journal, order, play, run_record, sent
from programs import needs
from silent_line import silent_line
from sqlalchemy import create_engine, event, make_url, select, text

from core.errors import AccountBusy, ExitCode, OutputFailed, RebalanceError, SafetyRefused, SettingsInvalid
from core.journal import Journal, MemoryStore
from core.journal.entries import OrderIntended, PlanAsked, RunStarted
from core.journal.sql import SqlStore, database, postgresql
from core.journal.sql.schema import HOLDERS, METADATA
from core.journal.sql.store import _adapter
from core.journal.sql.upgrading import MIGRATIONS
from core.journal.store import CodeUsed, TakenCode
from core.model import AccountId, RunId

OTHER = RunId("OTHERRUN2345")


@pytest.fixture
def sql_store(journal_url: str) -> Iterator[SqlStore]:
    with closing(SqlStore(journal_url)) as made:
        yield made


@pytest.fixture
def sqlite_url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/journal.sqlite"


def changed(url: str, statement: str) -> None:
    """Do to the database what this program never does."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


@contextmanager
def child(url: str, lines: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has run these lines with the store at `url`, and lives until the block ends."""
    program = f"""
import pickle, sys
sys.path[:0] = {sys.path!r}
from core.journal.sql import SqlStore
store = SqlStore({url!r})
{lines}
print("ready", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


# --- the schema ---


def test_the_migrations_make_the_tables_that_the_store_uses(journal_url, sql_store):
    engine = create_engine(journal_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_a_journal_at_the_newest_step_is_opened_as_it_is(journal_url, sql_store):
    steps = ScriptDirectory(str(MIGRATIONS))
    assert database.revision_of(sql_store._engine) == steps.get_current_head() == database.NEWEST


def test_many_processes_may_open_an_empty_database_at_once(journal_url):
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(SqlStore, [journal_url] * 4))
    approved_journal(Journal(stores[0]))
    assert [Journal(store).run(RUN).run_id for store in stores] == [RUN] * 4
    for store in stores:
        store.close()


def test_a_journal_of_the_first_version_keeps_its_entries_and_learns_of_codes(journal_url, sql_store):
    recorded = approved_journal(Journal(sql_store)).run(RUN)
    changed(journal_url, "DROP TABLE codes")
    changed(journal_url, "UPDATE alembic_version SET version_num = '0001'")
    with closing(SqlStore(journal_url)) as upgraded:
        assert Journal(upgraded).run(RUN) == recorded
        upgraded.take_code(TakenCode("ANN", 1, RUN, "one", NOW))
        with pytest.raises(CodeUsed):
            upgraded.take_code(TakenCode("ANN", 1, RUN, "one", NOW))


def test_of_many_that_take_one_code_at_once_one_succeeds(journal_url, sql_store):
    with ThreadPoolExecutor(4) as pool:
        taking = [pool.submit(sql_store.take_code, TakenCode("ANN", 1, RUN, "one", NOW)) for _ in range(4)]
    assert sum(each.exception() is None for each in taking) == 1
    assert {type(each.exception()) for each in taking} == {type(None), CodeUsed}


def test_a_journal_of_a_newer_version_is_left_alone(journal_url, sql_store):
    approved_journal(Journal(sql_store))
    changed(journal_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(OutputFailed, match=r"written by a newer version .*\(schema 9999\) - update this program"):
        SqlStore(journal_url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "not an SQLAlchemy URL"),
        ("/home/ann/journal.sqlite", "not an SQLAlchemy URL"),
        ("sqlite://", "neither an SQLite file nor PostgreSQL"),
        ("sqlite:///:memory:", "neither an SQLite file nor PostgreSQL"),
        ("mysql://ann:secret@host/journal", "neither an SQLite file nor PostgreSQL"),
    ],
)
def test_only_files_and_postgresql_are_journals(url, why):
    with pytest.raises(SettingsInvalid, match=why) as raised:
        SqlStore(url)
    assert "secret" not in str(raised.value)


# --- durability ---


def test_sqlite_syncs_its_log_at_every_commit(sqlite_url):
    with closing(SqlStore(sqlite_url)) as store, store._engine.connect() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert found == ["wal", 2]


@needs("postgresql")
def test_postgresql_answers_when_the_commit_is_on_disk(postgresql_url):
    changed(postgresql_url, "ALTER ROLE CURRENT_USER SET synchronous_commit = off")
    try:
        with closing(SqlStore(postgresql_url)) as store, store._engine.connect() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
    finally:
        changed(postgresql_url, "ALTER ROLE CURRENT_USER RESET synchronous_commit")


@needs("postgresql")
def test_postgresql_soon_gives_up_the_session_of_a_client_that_is_gone(postgresql_url):
    with closing(SqlStore(postgresql_url)) as store, store._engine.connect() as connection:
        found = [
            int(connection.execute(text(f"SHOW tcp_keepalives_{name}")).scalar_one())
            for name in ("idle", "interval", "count")
        ]
    assert found == [30, 10, 3]


@pytest.fixture
def line_to_postgresql(postgresql_url, monkeypatch):
    """A line to the server that can go silent, and the URL of the journal over it."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 2)  # the least that the driver takes
    url = make_url(postgresql_url)
    with silent_line(url.host, url.port) as line:
        yield line, url.set(host="127.0.0.1", port=line.port).render_as_string(hide_password=False)


@needs("postgresql")
def test_a_network_that_goes_silent_fails_the_journal_instead_of_hanging(
    line_to_postgresql, postgresql_url, monkeypatch
):
    line, url = line_to_postgresql
    with closing(SqlStore(url)) as store:
        journal = Journal(store)
        with journal.lock(ACCOUNT, RUN):
            approved_journal(journal)
            monkeypatch.setattr(postgresql, "ANSWER_SECONDS", 0.5)
            line.is_silent = True
            began = time.monotonic()
            with pytest.raises(OutputFailed, match=r"the server has not answered for 0\.5 s.*nothing more was sent"):
                journal.intend(order(), at=NOW)
            with pytest.raises(OutputFailed):
                journal.intend(order(), at=NOW)
            assert time.monotonic() - began < 60
    with closing(SqlStore(postgresql_url)) as second:
        assert Journal(second).orders(RUN) == ()


@pytest.mark.slow
@needs("postgresql")
def test_a_journal_that_cannot_be_opened_over_a_silent_network_is_refused(line_to_postgresql):
    line, url = line_to_postgresql
    line.is_silent = True
    with pytest.raises(OutputFailed, match="cannot be used"):
        SqlStore(url)


def test_what_was_appended_survives_a_kill(journal_url):
    memory = MemoryStore()
    sent(approved_journal(Journal(memory)))
    appends = f"""
for position, entry in enumerate(pickle.loads({pickle.dumps(memory.load(RUN))!r})):
    store.append({RUN!r}, position, entry)
"""
    with child(journal_url, appends) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with closing(SqlStore(journal_url)) as store:
        assert store.load(RUN) == memory.load(RUN)


def test_only_its_owner_may_read_a_journal(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/state/journal.sqlite")
    with closing(store), store.lock(ACCOUNT, RUN):
        approved_journal(Journal(store))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert list(modes.values()) == [0o600] * 4  # the database, its log, the log's index, the lock
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert not [name for name in modes if ACCOUNT in name]


# --- entries ---


@given(events=st.lists(EVENTS, max_size=12))
def test_every_entry_is_read_as_it_was_written(events):
    store = MemoryStore()
    journal = approved_journal(Journal(store))
    sent(journal)
    for each in events:
        play(journal, each)
    for entry in store.load(RUN):
        adapter = _adapter(type(entry).__name__)
        assert adapter.validate_json(adapter.dump_json(entry)) == entry


def test_a_second_intent_under_one_reference_is_refused_whatever_the_rules_say(sql_store):
    sql_store.append(RUN, 0, OrderIntended(order(), NOW))
    with pytest.raises(SafetyRefused, match=f"order reference {REF} was used before"):
        sql_store.append(RUN, 1, OrderIntended(order(), NOW))
    with pytest.raises(SafetyRefused, match="nothing is sent twice"):
        sql_store.append(OTHER, 0, OrderIntended(order(), NOW))


def test_of_many_that_append_at_one_position_one_succeeds(journal_url):
    stores = [SqlStore(journal_url) for _ in range(4)]
    stores[0].append(RUN, 0, RunStarted(run_record()))

    def append(number: int) -> bool:
        try:
            stores[number].append(RUN, 1, PlanAsked(str(number), NOW))
        except AccountBusy:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(append, range(4)))
    assert won.count(True) == 1
    assert stores[0].load(RUN)[1:] == (PlanAsked(str(won.index(True)), NOW),)
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE entries SET kind = 'Nonsense' WHERE position = 1", "this version knows no entry Nonsense"),
        ("UPDATE entries SET body = '{}' WHERE position = 1", "PlanAsked: Field required"),
        ("UPDATE entries SET body = 'x' WHERE position = 1", "PlanAsked: Invalid JSON"),
        ("DELETE FROM entries WHERE position = 1", "entries are missing"),
    ],
)
def test_a_run_whose_entries_were_tampered_with_is_not_read(journal_url, sql_store, statement, why):
    approved_journal(Journal(sql_store))
    changed(journal_url, statement)
    with pytest.raises(OutputFailed, match=rf"run {RUN} in the journal .* cannot be read: {why}"):
        sql_store.load(RUN)


# --- databases that fail ---


def refused(url: str) -> RebalanceError:
    with pytest.raises(OutputFailed, match=r"the journal .* cannot be used: ") as raised:
        SqlStore(url).close()
    assert raised.value.exit_code == 50
    return raised.value


def test_a_file_that_is_no_database_is_named(tmp_path, sqlite_url):
    (tmp_path / "journal.sqlite").write_bytes(b"not a database, though long enough to have a header" * 100)
    error = refused(sqlite_url)
    assert f"{tmp_path}/journal.sqlite" in error.message
    assert error.next_step == (
        "restore it from a backup, and look in TWS for orders sent since; where the file never was a journal, set "
        "another [journal] url; nothing more was sent"
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "state").write_text("a file")
    assert "state" in refused(f"sqlite:///{tmp_path}/state/journal.sqlite").message


def test_a_server_that_is_not_there_is_named_without_its_password():
    error = refused("postgresql://ann:secret@127.0.0.1:1/journal")
    assert "the journal 127.0.0.1/journal cannot be used" in error.message
    assert "secret" not in str(error)


def test_a_journal_is_tried_without_leaving_a_trace(tmp_path, sqlite_url):
    with closing(SqlStore(sqlite_url)) as store, closing(sqlite3.connect(tmp_path / "journal.sqlite")) as other:
        store.check_writable()
        store.check_writable()
        assert other.execute("SELECT * FROM holders").fetchall() == []
        with store.lock(AccountId("DU1234567"), RUN):
            store.check_writable()
            assert len(other.execute("SELECT * FROM holders").fetchall()) == 1


def test_a_database_that_another_program_writes_to_is_refused_after_a_wait(monkeypatch, tmp_path, sqlite_url):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with closing(SqlStore(sqlite_url)) as store, closing(sqlite3.connect(tmp_path / "journal.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputFailed, match="database is locked - end the program"):
            Journal(store).start_run(run_record())
        other.rollback()
        Journal(store).start_run(run_record())


def test_a_new_file_that_another_program_is_about_to_make_a_journal_of_is_opened_after_it(tmp_path, sqlite_url):
    with closing(sqlite3.connect(tmp_path / "journal.sqlite", check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, other.rollback)
        release.start()
        with closing(SqlStore(sqlite_url)) as store:
            Journal(store).start_run(run_record())
        release.join()


def test_a_full_disk_is_named_and_what_was_recorded_before_stays(sqlite_url):
    with closing(SqlStore(sqlite_url)) as store:
        journal = approved_journal(Journal(store))
        event.listen(store._engine, "checkout", lambda driver, *_: driver.execute("PRAGMA max_page_count = 1"))
        with pytest.raises(OutputFailed, match="is full - free space on its disk; nothing more was sent"):
            fill_up(journal)
    with closing(SqlStore(sqlite_url)) as store:
        again = Journal(store)
        assert again.run(RUN) == journal.run(RUN)
        approve(again, plan(hash="one more"))


def fill_up(journal: Journal) -> None:
    for number in range(100):
        journal.ask(RUN, f"{number:064}", at=NOW)


# --- one process at a time ---

HOLD = f"held = store.lock({ACCOUNT!r}, {RUN!r})\nheld.__enter__()"


def test_the_refusal_names_the_run_its_process_and_its_start(journal_url, sql_store):
    with child(journal_url, HOLD) as process:
        expected = rf"\*{{6}}567 is busy with run {RUN} \(since 20\S+\+00:00, process {process.pid} on \S+\)"
        with pytest.raises(AccountBusy, match=expected), sql_store.lock(ACCOUNT, OTHER):
            pytest.fail("the account was held twice")
        with sql_store.lock(AccountId("DU7654321"), OTHER):
            pass


def test_a_lock_whose_owner_was_killed_is_free(journal_url, sql_store):
    with child(journal_url, HOLD) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        until_free(sql_store)


def until_free(store: SqlStore) -> None:
    """A server notices after a moment that a client has gone."""
    for _ in range(100):
        try:
            with store.lock(ACCOUNT, OTHER):
                return
        except AccountBusy:
            time.sleep(0.05)
    pytest.fail("the account is still held")


def test_an_account_is_free_for_everybody_after_every_run(journal_url, sql_store):
    with closing(SqlStore(journal_url)) as second:
        for store, run_id in ((sql_store, RUN), (second, OTHER), (sql_store, RUN)):
            with store.lock(ACCOUNT, run_id):
                pass
    with sql_store._engine.connect() as connection:
        assert connection.execute(select(HOLDERS)).all() == []


def test_a_run_may_write_before_and_after_it_holds_the_account(sql_store):
    journal = Journal(sql_store)
    journal.start_run(run_record())
    with journal.lock(ACCOUNT, RUN):
        approve(journal, plan())
    journal.end_run(RUN, at=NOW, exit_code=ExitCode.DONE, reason="done")
    assert len(sql_store.load(RUN)) == 5


@needs("postgresql")
def test_whoever_lost_the_account_writes_no_more(postgresql_url):
    """The server was restarted, or has closed the session: another process may hold the account by now."""
    with closing(SqlStore(postgresql_url)) as store, closing(SqlStore(postgresql_url)) as second:
        journal = Journal(store)
        with journal.lock(ACCOUNT, RUN):
            approved_journal(journal)
            changed(postgresql_url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            until_free(second)
            for _ in range(2):
                with pytest.raises(OutputFailed):
                    journal.intend(order(), at=NOW)
            assert journal.orders(RUN) == ()
        with second.lock(ACCOUNT, OTHER):
            assert Journal(second).orders(RUN) == ()
