"""`rebalance up` with the server's database on a real PostgreSQL, named by the environment."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from lasting import lasting
from postgres import postgresql
from programs import needs

pytestmark = [pytest.mark.server, pytest.mark.slow, needs("postgresql")]

FILES = ("--csv", "portfolios.csv", "--ini", "settings.ini", "--broker", "simulated")


def test_a_run_is_kept_in_the_database_that_the_environment_names(tmp_path):
    with postgresql() as address, lasting(tmp_path) as own:
        own.environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = f"postgresql+asyncpg://{address}/postgres"
        own.up()
        own.rebalance("run", *FILES, "--paper", "--yes")
        own.rebalance("down")
        assert asyncio.run(flow_runs(address)) == ["Completed"]


async def flow_runs(address: str) -> list[str]:
    """The names of the states of the flow runs in the database."""
    connection = await asyncpg.connect(f"postgresql://{address}/postgres")
    try:
        return [row["state_name"] for row in await connection.fetch("select state_name from flow_run")]
    finally:
        await connection.close()
