"""How long blend, plan and limits take for 10 000 symbols, beside a bare loop of decimal arithmetic.

The bare loop multiplies, divides and quantizes once per symbol: what no plan can do without.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from bench.figures import Figure
from planning_builders import account, at, case, held, plan_settings

from core.model import USD, ModelName, ModelWeight, Plan, Symbol
from core.money import D
from core.planning import PlanInputs, make_plan
from core.targets import blend

REPEATS = 5
MOST_TIMES_BARE = 5
MOST_GROWTH = 12
MODELS = tuple(map(ModelName, ("SMURF", "BADASS", "GLTR")))
MIX = dict(zip(MODELS, (D("0.5"), D("0.3"), D("0.2")), strict=True))
SETTINGS = plan_settings(per_holding_band_bps=D("0.01"))


def measure() -> tuple[Figure, ...]:
    """The figures of planning speed, each the best of five runs on this machine."""
    small, large = _planning_seconds(1_000), _planning_seconds(10_000)
    values = [D(number) + D("1000.37") for number in range(10_000)]
    bare = _best(lambda: _bare_loop(values))
    return (
        Figure("bare loop, 10 000 symbols, ms", bare * 1000),
        Figure("blend + plan + limits, 10 000 symbols, ms", large * 1000),
        Figure("blend + plan + limits / bare loop", large / bare, MOST_TIMES_BARE),
        Figure("10 000 symbols / 1 000 symbols", large / small, MOST_GROWTH),
    )


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
    return make_plan(replace(inputs, targets=blend(rows, MIX, SETTINGS.rebalance)), SETTINGS)


def _bare_loop(values: list[Decimal]) -> None:
    weight, price, share = D("0.123"), D("101.37"), D(1)
    for value in values:
        (value * weight / price).quantize(share)


def _best(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best
