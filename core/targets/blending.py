"""Model weights and their mix to one set of target weights, all as exact fractions of the investable value.

`ModelWeight(model, symbol, weight, line)` × `mix[model]` → `Targets(weights, gross, cash, net)`; CASH is negative, and
is what is borrowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter

from core.errors import PortfoliosInvalid
from core.model.planning import ModelWeight, Targets
from core.model.types import CASH, ModelName, Symbol
from core.money import HUNDRED, ONE, ZERO
from core.settings import RebalanceSection
from core.text import CORRECT_FILE

SUM_TOLERANCE = Decimal("0.01")  # percentage points by which the rows of a model may miss 100
NO_MARGIN = "CSV contains CASH but margin is disabled; [rebalance] allow_margin = true would allow it"
ROUNDING = Decimal("0.000001")  # far above the error of a division, far below any difference that could be intended


def refused(name: str, faults: Sequence[str], next_step: str = CORRECT_FILE) -> PortfoliosInvalid:
    """The error with all `faults`; its message is the single fault, or how many `name` has."""
    message = faults[0] if len(faults) == 1 else f"{name}: {len(faults)} faults in the portfolios"
    return PortfoliosInvalid(message, next_step=next_step, faults=faults)


def blend(weights: Iterable[ModelWeight], mix: Mapping[ModelName, Decimal], rebalance: RebalanceSection) -> Targets:
    """The target weights: Σ over models of mix × weight, each model and the mix scaled to sum to exactly 1.

    The tolerances of file and mix let a model sum to 99.995 % and the mix to 1.001; without the scaling the
    account would be over- or uninvested by that. A model whose mix weight is 0 takes no part: its rows might
    as well be missing. Half of a model with 60 % VTI and half of one with 20 %: 0.5 × 0.6 + 0.5 × 0.2 = 0.4.
    Raises PortfoliosInvalid when a model with a mix weight has no rows, or the blend borrows too much.
    """
    # sorted first: inexact quotients would let the order of rows decide the last digit
    mix = {model: mix[model] for model in sorted(mix)}
    rows = sorted((row for row in weights if mix.get(row.model)), key=attrgetter("symbol", "model"))
    nets = _net_exposures(rows, mix)
    mixed: dict[Symbol, Decimal] = {}
    for row in rows:
        mixed[row.symbol] = mixed.get(row.symbol, ZERO) + mix[row.model] * row.weight / nets[row.model]
    return _targets(mixed, sum(mix.values(), ZERO), rebalance)


def targets_from_weights(weights: Mapping[Symbol, Decimal], rebalance: RebalanceSection) -> Targets:
    """Targets from final weights (fractions): assets ≥ 0, CASH ≤ 0; what is missing from 1 stays in cash.

    Sums up to 0.0001 above 1 are scaled to 1. Raises PortfoliosInvalid for larger ones.
    """
    net = sum((weights[symbol] for symbol in sorted(weights)), ZERO)
    faults = [*_sign_faults(weights)]
    if net > 1 + SUM_TOLERANCE / HUNDRED:
        faults.append(f"the targets sum to {net}: must be at most 1")
    if faults:
        raise refused("targets", faults)
    return _targets(weights, max(net, ONE), rebalance)


def _net_exposures(rows: Iterable[ModelWeight], mix: Mapping[ModelName, Decimal]) -> dict[ModelName, Decimal]:
    nets = {model: ZERO for model, share in mix.items() if share}
    for row in rows:
        nets[row.model] += row.weight
    faults = [
        f"{model} sums to {net}: a model with a mix weight must sum to 1" for model, net in nets.items() if net <= 0
    ]
    if faults:
        raise refused("blend", faults)
    return nets


def _targets(weights: Mapping[Symbol, Decimal], total: Decimal, rebalance: RebalanceSection) -> Targets:
    """The weights divided by `total`, alphabetical, checked, and written one way: 60 and 60.00 give one plan."""
    assets = {symbol: (weights[symbol] / total).normalize() for symbol in sorted(weights) if symbol != CASH}
    cash = (weights.get(CASH, ZERO) / total).normalize()
    gross = sum(assets.values(), ZERO)
    faults = [*_sign_faults({**assets, CASH: cash})]
    faults += [
        f"{symbol} has a target and is in [rebalance] hold_symbols, which are never traded: take it out of one of them"
        for symbol in assets
        if symbol in rebalance.hold_symbols
    ]
    if cash < 0 and not rebalance.allow_margin:
        faults.append(NO_MARGIN)
    if gross > rebalance.max_leverage + ROUNDING:
        faults.append(
            f"the blend's gross exposure is {gross:.4f}: must be at most max_leverage ({rebalance.max_leverage})"
        )
    if faults:
        raise refused("blend", faults)
    return Targets(weights=assets, gross=gross.normalize(), cash=cash, net=(gross + cash).normalize())


def _sign_faults(weights: Mapping[Symbol, Decimal]) -> Iterator[str]:
    wrong = [symbol for symbol, weight in weights.items() if (weight > ZERO if symbol == CASH else weight < ZERO)]
    for symbol in sorted(wrong):
        if symbol == CASH:
            yield f"target CASH = {weights[symbol]}: must be <= 0; lower the asset weights instead"
        else:
            yield f"target {symbol} = {weights[symbol]}: must be >= 0 (0 means: sell it)"
