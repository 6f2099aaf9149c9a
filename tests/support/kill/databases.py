"""An empty journal for each case: making its tables anew takes longer than a case, so one is made and copied."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Protocol, get_args

from postgres import Server
from sqlalchemy import NullPool, create_engine, text
from trading import RUN, approve

from core.journal import Journal
from core.journal.entries import Entry
from core.journal.sql import SqlStore
from core.journal.sql.store import _adapter
from kill.cases import ALL_ORDERS


class Databases(Protocol):
    """Where the journals of the cases are."""

    def new(self, folder: Path) -> str:
        """The URL of an empty journal for the case in this folder."""
        ...

    def drop(self, folder: Path) -> None:
        """Let go of the journal of the case in this folder."""
        ...

    def crash(self) -> None:
        """Let the server crash and start again."""
        ...


class SqliteFiles:
    """A file in the folder of its case."""

    def __init__(self, folder: Path) -> None:
        self._empty = folder / "empty.sqlite"
        SqlStore(f"sqlite:///{self._empty}").close()
        shutil.copy(self._empty, folder / "used.sqlite")
        use_once(f"sqlite:///{folder}/used.sqlite")

    def new(self, folder: Path) -> str:
        shutil.copy(self._empty, folder / "journal.sqlite")
        return f"sqlite:///{folder}/journal.sqlite"

    def drop(self, folder: Path) -> None:
        """Nothing: it goes with the folder."""

    def crash(self) -> None:
        """Nothing: there is no server."""


class PostgresDatabases:
    """A database of its own on this server, made after a template."""

    def __init__(self, server: Server) -> None:
        self.crash = server.crash_and_restart
        self._server = f"postgresql+psycopg://{server.address}"
        for name in ("template_journal", "used_journal"):
            self._do(f"CREATE DATABASE {name}")
        SqlStore(f"{self._server}/template_journal").close()
        use_once(f"{self._server}/used_journal")

    def new(self, folder: Path) -> str:
        self._do(f"CREATE DATABASE case_{folder.name} TEMPLATE template_journal")
        return f"{self._server}/case_{folder.name}"

    def drop(self, folder: Path) -> None:
        self._do(f"DROP DATABASE case_{folder.name} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        # no connection may be open when a case's processes are forked
        engine = create_engine(f"{self._server}/postgres", poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))


def use_once(url: str) -> None:
    """Write and read a journal, so that what is made at first use is not made again in every process."""
    with closing(SqlStore(url)) as store:
        approve(Journal(store), ALL_ORDERS)
        for kind in get_args(Entry):
            _adapter(kind.__name__)
        store.load(RUN)
