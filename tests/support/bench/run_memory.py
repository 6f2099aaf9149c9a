"""How much memory a run of 1 000 symbols takes, beside the imports it cannot do without and a flow of nothing.

A server is up for both.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from bench.figures import Figure
from bench.run_time import EMPTY, LEFT_OUT, server, task_runs

SYMBOLS = tuple(f"S{number:04d}" for number in range(1_000))
MOST_TIMES_IMPORTS = 1.3
KB_PER_MB = 1024
RUN = (
    str(Path(sys.executable).with_name("rebalance")),
    *("run", "--csv", "portfolios.csv", "--ini", "settings.ini", "--market", "market.yaml"),
    *("--dry-run", "--broker", "fake"),
)
SETTINGS = """
[ibkr]
account_id = DU1234567
port = 4002
[models]
all = 1
[rebalance]
per_holding_band_bps = 1
min_order_usd = 0
"""


def measure() -> tuple[Figure, ...]:
    """The most resident memory of each, in MB."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        own = {"PREFECT_HOME": str(folder / "prefect"), "REBALANCER_HOME": str(folder / "home")}
        alone = {key: value for key, value in os.environ.items() if not key.startswith(LEFT_OUT)} | own
        with server(folder, alone) as url:
            served = {**alone, "PREFECT_API_URL": url}
            run = _most_mb(RUN, folder, served)
            bare = _most_mb((sys.executable, "-c", EMPTY.format(tasks=task_runs(url))), folder, served)
    return (
        Figure("imports of Prefect and Great Expectations, empty flow, MB", bare),
        Figure("a dry run of 1 000 symbols, MB", run),
        Figure("memory of that run / imports and empty flow", run / bare, MOST_TIMES_IMPORTS),
    )


def write_files(folder: Path) -> None:
    """The files of RUN: 1 000 symbols in one model, half of them held, and the market."""
    rows = "".join(f"all,{symbol},{100 / len(SYMBOLS)}\n" for symbol in SYMBOLS)
    (folder / "portfolios.csv").write_text(f"portfolio,symbol,target_pct\n{rows}")
    (folder / "settings.ini").write_text(SETTINGS)
    market = {
        "as_of": "2026-03-02T10:30:00-05:00",
        "account": {
            "id": "DU1234567",
            "cash": {"USD": 1_000_000},
            "positions": [{"symbol": symbol, "quantity": 100, "average_cost": 100} for symbol in SYMBOLS[::2]],
        },
        "quotes": {symbol: {"bid": 100.00, "ask": 100.01, "last": 100.00} for symbol in SYMBOLS},
    }
    (folder / "market.yaml").write_text(yaml.safe_dump(market))


def _most_mb(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> float:
    """The most memory that this process had resident at once, or any that it started and waited for."""
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError((folder / "output").read_text())
    return usage.ru_maxrss / KB_PER_MB
