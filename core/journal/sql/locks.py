"""Holding an account or a client for one process: by the kernel for a file, by the server for PostgreSQL.

Both locks are freed when their owner dies, however it dies, so none is ever left behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from core.journal.store import LockTaken


@contextmanager
def file_lock(database: Path, name: str) -> Iterator[None]:
    """Hold what has this name by a file beside the database, which is on a local disk. Raises LockTaken, OSError."""
    # the name of a file can be read by anybody who may list its folder, so it does not name the account
    digest = sha256(name.encode()).hexdigest()[:12]
    lock = FileLock(f"{database}-{digest}.lock", timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise LockTaken from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def advisory_lock(engine: Engine, name: str) -> Iterator[Connection]:
    """Hold what has this name by a session of the server, which is yielded: as long as it lives, so does the lock.

    Raises LockTaken, SQLAlchemyError.
    """
    key = int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)
    with engine.connect() as session:
        is_free = session.execute(select(func.pg_try_advisory_lock(key))).scalar_one()
        session.commit()
        if not is_free:
            raise LockTaken
        session.detach()  # closed for good at the end, not kept in the pool with its lock
        try:
            yield session
        finally:
            # the end of the session frees it too, but only when the server has noticed; one that is gone holds nothing
            with suppress(SQLAlchemyError):
                session.execute(select(func.pg_advisory_unlock(key)))
                session.commit()
