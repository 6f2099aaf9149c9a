"""A portfolio of as many symbols as wanted, nearly all of which trade: for what may only grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from planning_builders import account, at, case, held, plan_settings

from core.model import USD, ModelName, ModelWeight, Plan, Symbol
from core.money import D
from core.planning import PlanInputs
from core.targets import blend
from tasks.app.planner import plan_from

MODELS = tuple(map(ModelName, ("SMURF", "BADASS", "GLTR")))
MIX = dict(zip(MODELS, (D("0.5"), D("0.3"), D("0.2")), strict=True))
SETTINGS = plan_settings(per_holding_band_bps=D("0.01"))


@dataclass(frozen=True, slots=True)
class LargePortfolio:
    """The rows of its models, every symbol in one of them, and the account with its quotes."""

    rows: Sequence[ModelWeight]
    inputs: PlanInputs

    def plan(self) -> Plan:
        """From the rows of the models to the plan with its limits and its hash: no file, no gate and no report."""
        return plan_from(replace(self.inputs, targets=blend(self.rows, MIX, SETTINGS.rebalance)), SETTINGS)


def large_portfolio(symbols: int, usd_of_each: str = "10") -> LargePortfolio:
    """So many symbols at 100.00, of each 50 to 150 shares, and cash of `usd_of_each` times their number."""
    names = [Symbol(f"S{number:05d}") for number in range(symbols)]
    sizes = {model: len(names[first::3]) for first, model in enumerate(MODELS)}
    rows = [
        ModelWeight(MODELS[number % 3], name, Decimal(1) / sizes[MODELS[number % 3]], number + 2)
        for number, name in enumerate(names)
    ]
    positions = [held(name, str(50 + number * 37 % 101)) for number, name in enumerate(names)]
    own = account(*positions, cash={USD: str(D(usd_of_each) * symbols)})
    inputs = case(dict.fromkeys(names, "0"), own, *(at(name, "100.00", "0.01") for name in names))
    return LargePortfolio(rows, inputs)
