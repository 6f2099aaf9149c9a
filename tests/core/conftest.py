"""Fixtures of the core tests: every store that a journal can have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from postgres import postgresql
from programs import needs
from sqlalchemy import create_engine, text

from core.journal import Journal, MemoryStore, Store
from core.journal.sql import SqlStore


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The address of a database of a real server."""
    with postgresql() as address:
        yield f"postgresql+psycopg://{address}/postgres"


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The address of an empty database of a real server."""
    yield postgresql_server
    engine = create_engine(postgresql_server)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs("postgresql"))])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.sqlite"
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=needs("postgresql"))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "sqlite":
        with closing(SqlStore(f"sqlite:///{tmp_path}/journal.sqlite")) as made:
            yield made
    else:
        with closing(SqlStore(request.getfixturevalue("postgresql_url"))) as made:
            yield made


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store)
