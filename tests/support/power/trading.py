"""The program that is traced: an approved plan of five orders, traded over a real socket, with a new journal.

`python -m power.trading FILE [PRAGMA…]`: each PRAGMA is set last on every connection to the journal.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from typing import Any

from kill.cases import ALL_ORDERS, AT_ONCE, ORDERS
from trading import RUN, approve, execution_settings, four_funds
from worlds import ACCOUNT, account, held, weekdays

from core.broker.ib import LiveOptions
from core.broker.simulated import SimulatedIB
from core.execution import OrderExecutor
from core.journal import Journal
from core.journal.sql import SqlStore, database
from core.sim.gateway import GatewayOptions


def set_last(pragmas: list[str]) -> None:
    """Have these set on every connection, after the product's own."""
    own = database._set_pragmas

    def all_of_them(connection: sqlite3.Connection, record: Any) -> None:
        own(connection, record)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    database._set_pragmas = all_of_them


async def trade(path: str) -> None:
    """Trade all stages to their ends."""
    fills = {order.contract.symbol: AT_ONCE for order in ALL_ORDERS}
    positions = (held("VTI", "100", "80"), held("BIL", "100", "80"))
    broker = SimulatedIB.of(
        four_funds(account=account(positions=positions), fills=fills),
        LiveOptions("127.0.0.1", 0, 42, ACCOUNT),
        GatewayOptions(hours_around=lambda _: weekdays, trading_client=42),
    )
    journal = Journal(SqlStore(f"sqlite:///{path}"))
    with journal.lock(ACCOUNT, RUN):
        approve(journal, ALL_ORDERS)
        await broker.connect()
        executor = OrderExecutor(broker, journal, execution_settings(), lambda _order: None, lambda _event: None)
        for orders in ORDERS.values():
            result = await executor.run_stage(orders, None)
            assert not result.stops, result
        await broker.disconnect()
    journal.close()


if __name__ == "__main__":
    set_last(sys.argv[2:])
    asyncio.run(trade(sys.argv[1]))
