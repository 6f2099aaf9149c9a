"""A run whose journal is on a server holds its account by a session there, and sends nothing without it."""

from __future__ import annotations

from contextlib import closing

import pytest
from flow_runs import ACCOUNT, Rehearsal, SaysYes
from postgres import Server, postgresql_server
from programs import needs
from sqlalchemy import create_engine, text

from core.broker.fake import FakeIB
from core.errors import ExitCode
from core.journal import Journal
from core.journal.sql import SqlStore
from core.model import OrderState, Side


@pytest.fixture(scope="module")
def server():
    with postgresql_server() as started:
        yield started


def on_server(server: Server, statement: str) -> None:
    engine = create_engine(f"postgresql+psycopg://{server.address}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def close_the_session(server: Server) -> None:
    on_server(server, "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory'")


@needs("postgresql")
@pytest.mark.parametrize("lose", [close_the_session, pytest.param(Server.crash_and_restart, marks=pytest.mark.slow)])
async def test_a_run_that_lost_the_account_on_the_server_sends_nothing_more(tmp_path, server, lose):
    on_server(server, f"CREATE DATABASE {lose.__name__}")
    url = f"postgresql://{server.address}/{lose.__name__}"

    class LosesTheAccount(FakeIB):
        async def place(self, order):
            await super().place(order)
            lose(server)

    with closing(Journal(SqlStore(url))) as journal:
        rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=LosesTheAccount, journal=journal)
        outcome = await rehearsal.run()
    assert (outcome.exit_code, [order.side for order in rehearsal.sent()]) == (ExitCode.OUTPUT, [Side.SELL])
    assert "cannot be used" in outcome.reason
    # whoever is next has the account at once, and the run there to recover
    with closing(SqlStore(url)) as store, store.lock(ACCOUNT, outcome.run_id):
        (left,) = Journal(store).open_runs(ACCOUNT)
    assert [record.state for record in left.orders.values()] == [OrderState.SENDING]
