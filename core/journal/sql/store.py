"""The entries of all runs as rows: committed and on disk when `append` returns."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, get_args

import psutil
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from sqlalchemy import Connection, Insert, Row, Select, bindparam, delete, exists, func, insert, literal_column, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from core.errors import AccountBusy, OutputFailed, RebalanceError, SafetyRefused
from core.journal.entries import AccountQuarantined, Entry, OrderEntry, RunEnded, RunStarted, ref_of
from core.journal.sql import upkeep
from core.journal.sql.database import execute_on_sqlite, faults_of, name_of, open_database
from core.journal.sql.locks import advisory_lock, file_lock
from core.journal.sql.schema import CODES, ENTRIES, HOLDERS
from core.journal.store import LockTaken, TakenCode, account_is_held, code_is_used, position_is_taken
from core.model import AccountId, OrderRef, RunId, RunRecord

NAMED_WITHIN_SECONDS = 1.0

_KINDS: dict[str, type[Entry]] = {kind.__name__: kind for kind in get_args(Entry)}


def _append_statement() -> Insert:
    """An insert of one entry that does nothing unless its position is the run's next.

    One statement, so on SQLite nobody comes between the look and the insert; on PostgreSQL the key refuses them.
    """
    values = {column.name: bindparam(column.name, type_=column.type) for column in ENTRIES.c}
    last = func.max(ENTRIES.c.position)
    # literals, so that the row is all that the statement takes
    following = select(func.coalesce(last + literal_column("1"), literal_column("0")))
    following = following.where(ENTRIES.c.run_id == values["run_id"])
    row = select(*values.values()).where(following.scalar_subquery() == values["position"])
    return insert(ENTRIES).from_select(list(values), row).execution_options(preserve_rowcount=True)


# made once: making it takes longer than SQLite needs for the entry
_APPEND = _append_statement()
_APPEND_ON_SQLITE = str(_APPEND.compile(dialect=sqlite.dialect(paramstyle="named")))


class SqlStore:
    """A `Store` in an SQLite file or a PostgreSQL database: an entry is one row and one commit."""

    def __init__(self, url: str) -> None:
        """Open the database, and make it where there is none. Raises SettingsInvalid, OutputFailed."""
        self._engine = open_database(url)
        self._url = self._engine.url
        self._sessions: dict[RunId, Connection] = {}

    def close(self) -> None:
        """Close all connections that no run uses."""
        self._engine.dispose()

    def check_writable(self) -> None:
        """Commit a change and leave nothing of it, while runs may use the journal. Raises OutputFailed."""
        nobody = {"account_id": "", "run_id": "", "host": "", "process": 0, "since": ""}
        # one transaction that ends with a commit: a rollback would prove nothing about the disk
        with faults_of(self._url), self._engine.begin() as connection:
            connection.execute(insert(HOLDERS).values(nobody))
            connection.execute(delete(HOLDERS).where(HOLDERS.c.account_id == ""))

    def backup(self, target: Path) -> None:
        """Copy the journal to `target`, while runs may use it. Raises UsageError for PostgreSQL, OutputFailed."""
        with faults_of(self._url):
            upkeep.backup(self._engine, target)

    def vacuum(self) -> None:
        """Give free space back to the disk. Raises UsageError for PostgreSQL, OutputFailed."""
        with faults_of(self._url):
            upkeep.vacuum(self._engine)

    def append(self, run_id: RunId, position: int, entry: Entry) -> None:
        row = {
            "run_id": run_id,
            "position": position,
            "kind": type(entry).__name__,
            "order_ref": _ref_of(entry),
            "body": _body(run_id, entry),
        }
        with faults_of(self._url):
            try:
                count = self._insert(run_id, row)
            except (IntegrityError, sqlite3.IntegrityError) as error:
                raise _conflict(run_id, entry, error) from error
        if count != 1:
            raise position_is_taken(run_id)

    def take_code(self, code: TakenCode) -> None:
        row = {
            "approver": code.approver,
            "step": code.step,
            "run_id": code.run_id,
            "plan_hash": code.plan_hash,
            "at": code.at.isoformat(timespec="seconds"),
        }
        with faults_of(self._url):
            try:
                with self._writing(code.run_id) as connection:
                    connection.execute(insert(CODES).values(row))
            except IntegrityError:
                raise code_is_used(code) from None

    def load(self, run_id: RunId) -> Sequence[Entry]:
        query = select(ENTRIES).where(ENTRIES.c.run_id == run_id).order_by(ENTRIES.c.position)
        with faults_of(self._url), self._engine.begin() as connection:
            rows = connection.execute(query).all()
        if [row.position for row in rows] != list(range(len(rows))):
            raise self._unreadable(run_id, "entries are missing")
        return tuple(self._entry(run_id, row.kind, row.body) for row in rows)

    def open_runs(self, account_id: AccountId) -> Sequence[RunId]:
        started, ended, later = ENTRIES.alias(), ENTRIES.alias(), ENTRIES.alias()
        is_reopened = exists().where(
            later.c.run_id == ended.c.run_id,
            later.c.kind == AccountQuarantined.__name__,
            later.c.position > ended.c.position,
        )
        has_ended = exists().where(ended.c.run_id == started.c.run_id, ended.c.kind == RunEnded.__name__, ~is_reopened)
        query = select(started.c.run_id, started.c.body).where(started.c.kind == RunStarted.__name__, ~has_ended)
        return tuple(run.run_id for run in self._started(query) if run.account_id == account_id)

    def runs(self) -> Sequence[RunRecord]:
        query = select(ENTRIES.c.run_id, ENTRIES.c.body).where(ENTRIES.c.kind == RunStarted.__name__)
        return tuple(reversed(self._started(query)))

    def _started(self, query: Select[Any]) -> list[RunRecord]:
        """The runs whose starts the query finds, the oldest first."""
        with faults_of(self._url), self._engine.begin() as connection:
            rows = connection.execute(query).all()
        starts = (self._entry(row.run_id, RunStarted.__name__, row.body) for row in rows)
        runs = (each.run for each in starts if isinstance(each, RunStarted))
        return sorted(runs, key=lambda run: (run.started_at, run.run_id))

    @contextmanager
    def lock(self, account_id: AccountId, run_id: RunId) -> Iterator[None]:
        with ExitStack() as held:
            try:
                with faults_of(self._url):
                    self._take(held, account_id, run_id)
            except LockTaken:
                raise self._refusal(account_id) from None
            yield

    @contextmanager
    def client_lock(self, client: str) -> Iterator[None]:
        with ExitStack() as held:
            with faults_of(self._url):
                if self._engine.dialect.name == "sqlite":
                    held.enter_context(file_lock(Path(str(self._url.database)), client))
                else:
                    held.enter_context(advisory_lock(self._engine, client))
            yield

    def _take(self, held: ExitStack, account_id: AccountId, run_id: RunId) -> None:
        """Hold the account until `held` is closed, and note who holds it. Raises LockTaken."""
        if self._engine.dialect.name == "sqlite":
            held.enter_context(file_lock(Path(str(self._url.database)), account_id))
            session = held.enter_context(self._engine.connect())
        else:
            session = held.enter_context(advisory_lock(self._engine, account_id))
        self._sessions[run_id] = session
        held.callback(self._sessions.pop, run_id)
        holder: dict[str, Any] = {
            "account_id": account_id,
            "run_id": run_id,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with self._writing(run_id) as connection:
            # one who died has left its row
            connection.execute(delete(HOLDERS).where(HOLDERS.c.account_id == account_id))
            connection.execute(insert(HOLDERS).values(holder))
        held.callback(self._forget_holder, account_id, run_id)

    def _forget_holder(self, account_id: AccountId, run_id: RunId) -> None:
        # the row is for people alone, and a run that is over does not fail for it
        with suppress(OutputFailed), faults_of(self._url), self._writing(run_id) as connection:
            connection.execute(delete(HOLDERS).where(HOLDERS.c.account_id == account_id))

    def _refusal(self, account_id: AccountId) -> AccountBusy:
        # whoever has just taken the lock puts down its name next
        last = time.monotonic() + NAMED_WITHIN_SECONDS
        while (holder := self._holder(account_id)) is None and time.monotonic() < last:
            time.sleep(NAMED_WITHIN_SECONDS / 50)
        if holder is None:
            return account_is_held(account_id, None)
        return account_is_held(
            account_id, RunId(holder.run_id), f"since {holder.since}, process {holder.process} on {holder.host}"
        )

    def _holder(self, account_id: AccountId) -> Row[Any] | None:
        """Who put down its name last, unless that process died without taking it away."""
        with faults_of(self._url), self._engine.begin() as connection:
            found = connection.execute(select(HOLDERS).where(HOLDERS.c.account_id == account_id)).one_or_none()
        is_gone = found is not None and found.host == socket.gethostname() and not psutil.pid_exists(found.process)
        return None if is_gone else found

    def _insert(self, run_id: RunId, row: dict[str, object]) -> int:
        """Append the row unless its position is taken; how many rows that made."""
        if self._engine.dialect.name == "sqlite":
            with self._connected(run_id) as connection:
                return execute_on_sqlite(connection, _APPEND_ON_SQLITE, row)
        with self._writing(run_id) as connection:
            return connection.execute(_APPEND, row).rowcount

    @contextmanager
    def _writing(self, run_id: RunId) -> Iterator[Connection]:
        """A transaction."""
        with self._connected(run_id) as connection, connection.begin():
            yield connection

    @contextmanager
    def _connected(self, run_id: RunId) -> Iterator[Connection]:
        """The session that holds the run's account, if one does: whoever lost it writes no more."""
        session = self._sessions.get(run_id)
        if session is None:
            with self._engine.connect() as connection:
                yield connection
        elif session.invalidated:
            raise OutputFailed(
                f"the journal {name_of(self._url)} has closed the connection that held the account",
                next_step="nothing more was sent; see that the server runs, then start a new run",
            )
        else:
            yield session

    def _entry(self, run_id: RunId, kind: str, body: str) -> Entry:
        if kind not in _KINDS:
            raise self._unreadable(run_id, f"this version knows no entry {kind}")
        try:
            return _adapter(kind).validate_json(body)
        except ValidationError as error:
            raise self._unreadable(run_id, f"{kind}: {error.errors()[0]['msg']}") from error

    def _unreadable(self, run_id: RunId, why: str) -> OutputFailed:
        return OutputFailed(
            f"run {run_id} in the journal {name_of(self._url)} cannot be read: {why}",
            next_step="restore the journal from a backup, and look in TWS for orders sent since; nothing was sent",
        )


@cache
def _adapter(kind: str) -> TypeAdapter[Entry]:
    return TypeAdapter(_KINDS[kind])


def _body(run_id: RunId, entry: Entry) -> str:
    """The fields as JSON. Raises OutputFailed for a text that is not Unicode, as the name of a file may be."""
    try:
        return _adapter(type(entry).__name__).dump_json(entry).decode()
    except PydanticSerializationError as error:
        raise OutputFailed(
            f"run {run_id}: {type(entry).__name__} cannot be put on record: {error}",
            next_step="report this; nothing more was sent",
        ) from error


def _ref_of(entry: Entry) -> OrderRef | None:
    return ref_of(entry) if isinstance(entry, OrderEntry) else None


def _conflict(run_id: RunId, entry: Entry, error: IntegrityError | sqlite3.IntegrityError) -> RebalanceError:
    """What a constraint refused: a second intent under one reference, else a position that is taken."""
    if "order_ref" in str(error.orig if isinstance(error, IntegrityError) else error):
        return SafetyRefused(
            f"order reference {_ref_of(entry)} was used before",
            next_step="recover the run it belongs to; nothing is sent twice",
        )
    return position_is_taken(run_id)
