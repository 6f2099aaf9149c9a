"""How long blend, plan and limits take per symbol, how that grows, and what part of a run it is."""

from __future__ import annotations

import os
import subprocess
import time
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure
from bench.run_memory import RUN, write_files
from large_portfolio import LargePortfolio, large_portfolio

from core.money import BPS

ROUNDS = 15
COUNTS = (100, 1_000, 10_000)
MOST_GROWTH = 11
MOST_SHARE_PCT = 1


def measure() -> tuple[Figure, ...]:
    """The figures of planning speed, each the best of fifteen rounds on this machine; the run is timed once."""
    portfolios = {count: large_portfolio(count) for count in COUNTS}
    for count, portfolio in portfolios.items():
        if len(portfolio.plan().traded) < count // 2:
            raise AssertionError("the case is meant to trade most symbols")
    seconds = _best({count: portfolio.plan for count, portfolio in portfolios.items()})
    bare = _best({count: _bare_loop(portfolio) for count, portfolio in portfolios.items()})
    run = _run_seconds()
    return (
        *(
            Figure(f"blend + plan + limits, {count:,} symbols, µs per symbol", seconds[count] / count * 1e6)
            for count in COUNTS
        ),
        Figure("10 000 symbols / 1 000 symbols", seconds[10_000] / seconds[1_000], MOST_GROWTH),
        # what the memory of the machine makes of ten times as many values, whatever is done with them
        Figure("the same of a bare loop over such values", bare[10_000] / bare[1_000]),
        Figure("a dry run of 1 000 symbols, in-memory broker, s", run),
        Figure("planning, % of that run's wall time", seconds[1_000] / run * 100, MOST_SHARE_PCT),
    )


def _run_seconds() -> float:
    """One whole dry run of 1 000 symbols with the in-memory broker, from the command to its report."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect"), "REBALANCER_HOME": str(folder / "home")}
        started = time.perf_counter()
        subprocess.run(RUN, check=True, capture_output=True, cwd=folder, env=environment)
        return time.perf_counter() - started


def _bare_loop(portfolio: LargePortfolio) -> Callable[[], object]:
    """Per symbol the arithmetic of a drift and a limit on a price, a holding and a target, the results kept."""
    inputs = portfolio.inputs
    shares = {each.contract.symbol: each.quantity for each in inputs.snapshot.positions}
    rows = [
        (quote.last, quote.bid, quote.ask, shares[row.symbol], row.weight)
        for row in portfolio.rows
        if (quote := inputs.quotes[row.symbol])
    ]

    def loop() -> object:
        total = sum([last * held for last, _, _, held, _ in rows])
        kept = []
        for last, bid, ask, held, weight in rows:
            wanted = weight * total - last * held
            worst = (bid + ask) / 2 + (ask - bid) / 4
            kept.append((wanted, wanted / last, worst, abs(wanted) * BPS / total))
        return kept

    return loop


def _best(works: Mapping[int, Callable[[], object]]) -> dict[int, float]:
    """Seconds of this process's own time, so that what else runs on the machine counts little.

    All are timed in each round: what slows the machine for a while slows them alike.
    """
    rounds = [
        {count: timeit.timeit(work, timer=time.process_time, number=1) for count, work in works.items()}
        for _ in range(ROUNDS)
    ]
    return {count: min(each[count] for each in rounds) for count in works}
