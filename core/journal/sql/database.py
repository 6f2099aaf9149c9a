"""A database that is fit for a journal: durable at every commit, of our schema, and its faults as ours."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, column, create_engine, event, inspect, make_url, select, table
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from core.errors import OutputFailed, SettingsInvalid
from core.folders import make_folder

NEWEST = "0002"
"""The newest step of the schema, of `migrations/versions`."""
VERSION = table("alembic_version", column("version_num"))
BUSY_SECONDS = 5

BEGIN = "begin"
"""Execution option of SQLite: the statement that begins a transaction."""
CHECK = "check"
"""Execution option of SQLite: what is called before a transaction, and raises OutputFailed."""

_NEXT_STEPS = {
    sqlite3.SQLITE_FULL: "free space on its disk",
    sqlite3.SQLITE_BUSY: "end the program that holds the file open for writing",
    sqlite3.SQLITE_LOCKED: "end the program that holds the file open for writing",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for you",
    sqlite3.SQLITE_CANTOPEN: "make the folder writable for you, or set another [journal] url",
    sqlite3.SQLITE_CORRUPT: "restore it from a backup, and look in TWS for orders sent since",
    sqlite3.SQLITE_NOTADB: "restore it from a backup, and look in TWS for orders sent since; where the file never was a"
    " journal, set another [journal] url",
}


def open_database(text: str) -> Engine:
    """The database at this SQLAlchemy URL, made and brought to the newest schema where need be.

    Raises SettingsInvalid for a URL of another kind, OutputFailed for a database that cannot be used or that a newer
    version has written.
    """
    url = _checked(text)
    with faults_of(url):
        engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
        try:
            if revision_of(engine) != NEWEST:
                _upgrade(engine)
        except BaseException:
            engine.dispose()
            raise
    return engine


@contextmanager
def faults_of(url: URL) -> Iterator[None]:
    """What goes wrong with the database inside the block becomes OutputFailed: what is not on record is not sent."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest its details
        raise OutputFailed(
            f"the journal {name_of(url)} cannot be used: {' '.join(str(cause).split())}",
            next_step=f"{_NEXT_STEPS.get(code, 'see to it that it can be reached and written')}; nothing more was sent",
        ) from error


def name_of(url: URL) -> str:
    """How messages call the database: its file, or its address without user and password."""
    return str(url.database) if url.get_backend_name() == "sqlite" else f"{url.host or 'localhost'}/{url.database}"


def revision_of(engine: Engine) -> str | None:
    """The step that the schema is at; None for an empty database."""
    with engine.begin() as connection:
        if not inspect(connection).has_table(VERSION.name):
            return None
        return connection.execute(select(VERSION.c.version_num)).scalar()


def execute_on_sqlite(connection: Connection, statement: str, values: Mapping[str, object]) -> int:
    """Execute one statement, which is a transaction of its own; how many rows it changed.

    By the driver alone: SQLAlchemy takes several times as long for it as SQLite. Raises OutputFailed, sqlite3.Error.
    """
    connection.get_execution_options()[CHECK]()
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - for the type alone
    return driver.execute(statement, values).rowcount


def _checked(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise SettingsInvalid("[journal] url is not an SQLAlchemy URL", next_step=_EXAMPLES) from None
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    if not is_file and url.get_backend_name() != "postgresql":
        raise SettingsInvalid("[journal] url is neither an SQLite file nor PostgreSQL", next_step=_EXAMPLES)
    return url


_EXAMPLES = "write sqlite:////home/me/journal.sqlite or postgresql://user@host/database"


def _sqlite(url: URL) -> Engine:
    path = Path(str(url.database))
    make_folder(path.parent, 0o700)
    # whole account ids stand in it; SQLite gives its -wal and -shm files the mode of the database
    path.touch(mode=0o600)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        connect_args={"timeout": BUSY_SECONDS},
        execution_options={CHECK: _same_file_check(path)},
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _same_file_check(path: Path) -> Callable[[], None]:
    """What raises OutputFailed when another file, or none, is at the path: SQLite would write on into the old one."""
    opened = path.stat()

    def check() -> None:
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), opened):
                return
        raise OutputFailed(
            f"the journal {path} was removed or replaced while it was in use",
            next_step="restore it from a backup, and look in TWS for orders sent since; nothing more was sent",
        )

    return check


def _set_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    # the driver would begin transactions at statements of its own choice, and never for a change of the schema
    connection.isolation_level = None
    _use_wal(connection)
    # FULL syncs the log at every commit; NORMAL, SQLite's advice for WAL, loses commits when the power goes
    connection.execute("PRAGMA synchronous = FULL")
    # on macOS fsync leaves data in the drive's cache, F_FULLFSYNC does not; elsewhere this changes nothing
    connection.execute("PRAGMA fullfsync = ON")


def _is_busy(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


# of two that open a new file at once SQLite refuses one immediately, whatever the connection's timeout
@retry(retry=retry_if_exception(_is_busy), wait=wait_fixed(0.02), stop=stop_after_delay(BUSY_SECONDS), reraise=True)
def _use_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    options[CHECK]()
    connection.exec_driver_sql(options.get(BEGIN, "BEGIN"))


def _postgresql(url: URL) -> Engine:
    # a journal in a file needs no driver of PostgreSQL
    from core.journal.sql.postgresql import bound_answers, session_options  # noqa: PLC0415

    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": BUSY_SECONDS, "options": session_options()},
        pool_pre_ping=True,
    )
    bound_answers(engine)
    return engine


def _upgrade(engine: Engine) -> None:
    # alembic takes longer to import than a journal to open, and is needed once per schema
    from core.journal.sql.upgrading import upgrade  # noqa: PLC0415

    # at once for writing: two that both read first could not both go on to write
    newer = upgrade(engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"}))
    if newer is not None:
        raise OutputFailed(
            f"the journal {name_of(engine.url)} was written by a newer version of this program (schema {newer})",
            next_step="update this program; nothing was sent",
        )
