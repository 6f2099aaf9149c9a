"""What it costs to put every order on record, beside SQLite alone with as many synced commits of the same bytes.

All of it is one run of 200 orders over the in-memory broker, whose clock jumps, so that the journal is what it waits
for. Each entry is written to both databases in turn: what else the disk has to do meets both alike.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles

from bench.figures import Figure
from trading import RUN, buy, trading
from worlds import ACCOUNT, quoted

from core.journal import Journal
from core.journal.entries import Entry, OrderEntry
from core.journal.sql import SqlStore
from core.journal.sql.store import _body, _ref_of
from core.model import OrderRef, OrderState, RunId, Symbol
from core.money import D

ORDERS = 200
MOST_TIMES_BARE = 1.5


class BesideBareSqlite(SqlStore):
    """A store that also writes each entry with SQLite alone, and times both: seconds by order, None for the others."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"sqlite:///{folder}/journal.sqlite")
        self.ours: defaultdict[OrderRef | None, float] = defaultdict(float)
        self.bare: defaultdict[OrderRef | None, float] = defaultdict(float)
        self.commits: Counter[OrderRef | None] = Counter()
        self._bare = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "CREATE TABLE entries (run_id, position, kind, order_ref, body, PRIMARY KEY (run_id, position))",
        ):
            self._bare.execute(statement)

    def close(self) -> None:
        super().close()
        self._bare.close()

    def append(self, run_id: RunId, position: int, entry: Entry) -> None:
        ref = _ref_of(entry)
        row = (run_id, position, type(entry).__name__, ref, _body(run_id, entry))
        both: list[tuple[defaultdict[OrderRef | None, float], Callable[[], object]]] = [
            (self.ours, lambda: super(BesideBareSqlite, self).append(run_id, position, entry)),
            (self.bare, lambda: self._bare.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row)),
        ]
        # whoever comes second may find the disk warm
        for spent, write in both if position % 2 else reversed(both):
            started = time.perf_counter()
            write()
            spent[ref] += time.perf_counter() - started
        self.commits[ref] += isinstance(entry, OrderEntry)


def measure() -> tuple[Figure, ...]:
    """Commits and milliseconds per order, and the whole run, beside the same with SQLite alone."""
    with tempfile.TemporaryDirectory() as folder, closing(BesideBareSqlite(Path(folder))) as store:
        seconds = asyncio.run(run_seconds(store))
    refs = [ref for ref in store.commits if ref]
    # the first quartile: on a busy machine what others do to the slower ones says nothing of the journal
    ours, bare = (quantiles((spent[ref] for ref in refs), n=4)[0] for spent in (store.ours, store.bare))
    return (
        Figure("commits per order", median(store.commits[ref] for ref in refs)),
        Figure("journal, ms per order", ours * 1000),
        Figure("SQLite alone, ms per order", bare * 1000),
        Figure("journal / SQLite alone", ours / bare, MOST_TIMES_BARE),
        Figure(
            f"a run of {ORDERS} orders, journal / SQLite alone",
            (seconds - sum(store.bare.values())) / (seconds - sum(store.ours.values())),
            MOST_TIMES_BARE,
        ),
    )


async def run_seconds(store: SqlStore, orders: int = ORDERS) -> float:
    """How long a stage of so many orders takes, each of which fills at once; raises unless all have filled."""
    symbols = [Symbol(f"S{number:03d}") for number in range(orders)]
    wanted = [buy(symbol, line, quantity=D(1)) for line, symbol in enumerate(symbols, start=1)]
    quotes = {symbol: quoted("100.00", "100.02", "100.01") for symbol in symbols}
    journal = Journal(store)
    with journal.lock(ACCOUNT, RUN):
        at_work = await trading(*wanted, journal=journal, quotes=quotes, commission=D(1))
        started = time.perf_counter()
        await at_work.run(*wanted)
        seconds = time.perf_counter() - started
    if any(record.state is not OrderState.FILLED for record in journal.orders(RUN)):
        raise AssertionError("every order has filled")
    return seconds
