"""How long blend, plan and limits take per symbol, how that grows, and what part of a run it is.

From the rows of the models to the plan with its limits and its hash; no file, no gate and no report is in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure
from planning_builders import account, at, case, held, plan_settings

from core.model import USD, ModelName, ModelWeight, Plan, Symbol
from core.money import D
from core.planning import PlanInputs
from core.targets import blend
from tasks.app.planner import plan_from

REPEATS = 5
COUNTS = (100, 1_000, 10_000)
MOST_GROWTH = 11
MOST_SHARE_PCT = 1
DEMO_SYMBOLS = 10
DEMO = Path(__file__).parents[3] / "deployments" / "demo"
MODELS = tuple(map(ModelName, ("SMURF", "BADASS", "GLTR")))
MIX = dict(zip(MODELS, (D("0.5"), D("0.3"), D("0.2")), strict=True))
SETTINGS = plan_settings(per_holding_band_bps=D("0.01"))


def measure() -> tuple[Figure, ...]:
    """The figures of planning speed, each the best of five on this machine; the run is timed once."""
    seconds = {count: _planning_seconds(count) for count in COUNTS}
    run, planning = _run_seconds(), _planning_seconds(DEMO_SYMBOLS)
    return (
        *(
            Figure(f"blend + plan + limits, {count:,} symbols, µs per symbol", seconds[count] / count * 1e6)
            for count in COUNTS
        ),
        Figure("10 000 symbols / 1 000 symbols", seconds[10_000] / seconds[1_000], MOST_GROWTH),
        Figure(f"a paper run of {DEMO_SYMBOLS} symbols, in-memory broker, s", run),
        Figure("planning, % of that run's wall time", planning / run * 100, MOST_SHARE_PCT),
    )


def _run_seconds() -> float:
    """One whole paper run of the demo with the in-memory broker, from the command to its report."""
    command = (
        str(Path(sys.executable).with_name("rebalance")),
        *("run", "--csv", "portfolios.csv", "--ini", "settings.ini", "--paper", "--yes", "--broker", "fake"),
    )
    with TemporaryDirectory() as folder:
        for name in ("portfolios.csv", "settings.ini"):
            shutil.copy(DEMO / name, folder)
        environment = {**os.environ, "PREFECT_HOME": str(Path(folder) / "prefect")}
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
        return time.perf_counter() - started


def _planning_seconds(count: int) -> float:
    """Every symbol is in one model, and almost every one is off its target and trades; only planning is timed."""
    names = [Symbol(f"S{number:05d}") for number in range(count)]
    rows = _model_rows(names)
    positions = [held(name, str(50 + number * 37 % 101)) for number, name in enumerate(names)]
    own = account(*positions, cash={USD: str(10 * count)})
    inputs = case(dict.fromkeys(names, "0"), own, *(at(name, "100.00", "0.01") for name in names))
    plan = _blend_and_plan(rows, inputs)
    if len(plan.sells) + len(plan.buys) < count // 2:
        raise AssertionError("the case is meant to trade most symbols")
    return _best(lambda: _blend_and_plan(rows, inputs))


def _model_rows(names: list[Symbol]) -> list[ModelWeight]:
    sizes = {model: len(names[at::3]) for at, model in enumerate(MODELS)}
    return [
        ModelWeight(MODELS[number % 3], name, Decimal(1) / sizes[MODELS[number % 3]], number + 2)
        for number, name in enumerate(names)
    ]


def _blend_and_plan(rows: list[ModelWeight], inputs: PlanInputs) -> Plan:
    return plan_from(replace(inputs, targets=blend(rows, MIX, SETTINGS.rebalance)), SETTINGS)


def _best(work: Callable[[], object]) -> float:
    """Seconds of this process's own time, so that what else runs on the machine counts little."""
    return min(timeit.repeat(work, timer=time.process_time, number=1, repeat=REPEATS))
