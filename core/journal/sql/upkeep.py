"""What is done to the file of a journal while runs may use it: a copy, and giving back its free space."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from glob import escape
from pathlib import Path

from sqlalchemy import Engine

from core.errors import OutputFailed, UsageError
from core.folders import sync_folder

# what stands beside a database that a program uses, or that was left by one that died
IN_USE = ("-wal", "-shm", "-journal", "-*.lock")
LACKING = """
SELECT 1 FROM main.entries AS old LEFT JOIN newer.entries AS own USING (run_id, position)
WHERE own.body IS NOT old.body OR own.kind IS NOT old.kind LIMIT 1
"""


def backup(engine: Engine, target: Path) -> None:
    """Copy the journal as it is at one moment to `target`, which is replaced whole or not at all, its owner's alone.

    Raises UsageError for PostgreSQL, and for a file that is there and is no older backup of this journal, OutputFailed
    for a copy that is not sound, OSError.
    """
    with _file_of(engine, "pg_dump") as source:
        if target.exists() and target.samefile(str(engine.url.database)):
            raise UsageError(f"{target} is the journal itself", next_step="name another file")
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.absolute().parent)  # mode 0600
        os.close(handle)
        copy = Path(name)
        try:
            _copy(source, copy)
            if os.path.lexists(target) and not _is_backup(target, copy):
                raise UsageError(
                    f"{target} exists and is not a backup of this journal", next_step="choose another name"
                )
            copy.replace(target)
            sync_folder(target.parent)
        finally:
            copy.unlink(missing_ok=True)


def vacuum(engine: Engine) -> None:
    """Give the free space in the file back to the disk. Raises UsageError for PostgreSQL."""
    with _file_of(engine, "VACUUM in psql") as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _is_backup(target: Path, copy: Path) -> bool:
    """Whether `target` is an older backup of what `copy` is one of: nothing is on record in it that `copy` lacks."""
    beside = (each for end in IN_USE for each in target.parent.glob(escape(target.name) + end))
    if target.is_symlink() or not target.is_file() or any(beside):
        return False
    # the file format version: 2 is WAL, the mode of a journal that was opened, and never of a copy
    with target.open("rb") as file:
        if file.read(19)[18:] == b"\x02":
            return False
    try:
        # immutable: looking at a file that is not ours must leave nothing beside it
        with closing(sqlite3.connect(f"{target.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as older:
            older.execute("ATTACH ? AS newer", (str(copy),))
            return older.execute(LACKING).fetchone() is None
    except sqlite3.DatabaseError:
        return False


def _copy(source: sqlite3.Connection, copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        # one file: a copy with a log beside it would be half a copy
        target.execute("PRAGMA journal_mode = DELETE")
        (found,) = target.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise OutputFailed(f"the copy of the journal is not sound: {found}", next_step="restore the last good backup")
    with copy.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _file_of(engine: Engine, instead: str) -> Iterator[sqlite3.Connection]:
    if engine.dialect.name != "sqlite":
        raise UsageError("this journal is in PostgreSQL", next_step=f"use PostgreSQL's own means: {instead}")
    with closing(engine.raw_connection()) as pooled:
        connection = pooled.driver_connection
        assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - for the type alone
        yield connection
