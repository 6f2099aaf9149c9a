"""How long `rebalance plan` takes, beside what Python needs to import the libraries it cannot do without."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.figures import Figure

REPEATS = 5
MOST_TIMES_IMPORTS = 1.6
ROOT = Path(__file__).parents[3]
DEMO = ROOT / "deployments" / "demo"
IMPORTS = (sys.executable, "-c", "import ib_async, pydantic, pandas")
PLAN = (
    str(Path(sys.executable).with_name("rebalance")),
    *("plan", "--csv", str(DEMO / "portfolios.csv"), "--ini", str(DEMO / "settings.ini"), "--broker"),
)


def measure() -> tuple[Figure, ...]:
    """The figures of the quick look at ten symbols, each the best of five runs, taken in turns."""
    imports, fake, simulated = [], [], []
    for _ in range(REPEATS):
        imports.append(_seconds(IMPORTS))
        fake.append(_seconds((*PLAN, "fake")))
        simulated.append(_seconds((*PLAN, "simulated")))
    return (
        Figure("importing ib_async, pydantic and pandas, ms", min(imports) * 1000),
        Figure("rebalance plan, 10 symbols, in-memory broker, ms", min(fake) * 1000),
        Figure("rebalance plan, 10 symbols, simulated gateway, ms", min(simulated) * 1000),
        Figure("rebalance plan, in-memory broker / the imports", min(fake) / min(imports), MOST_TIMES_IMPORTS),
        Figure("rebalance plan, simulated gateway / the imports", min(simulated) / min(imports), MOST_TIMES_IMPORTS),
    )


def _seconds(command: tuple[str, ...]) -> float:
    # with it our modules would be compiled anew each time
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment)
    return time.perf_counter() - started
