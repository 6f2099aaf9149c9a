"""How near the planned whole shares come to the proven optimum: Σ|drift| against HiGHS on the exact integer program.

The program has the same worst-price budget, commission of every line bought included. The start is all
cash, without a minimum order, which is where every dollar counts: the money is just about what is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

import numpy as np
from bench.figures import Figure
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import eye_array, hstack, vstack

from core.model import Symbol
from core.money import ONE, ZERO, D, nearest_to_low
from core.sizing import BuyWant, SizedBuy, size_buys

SYMBOLS = (10, 30, 100)
MONEY = (D(10_000), D(100_000), D(1_000_000))
COMMISSIONS = (ZERO, ONE)
SECONDS_TO_PROVE = 20
NOTHING = 1e-9
MOST_RATIO = 1.02


@dataclass(frozen=True, slots=True)
class Case:
    """Buys for `money` USD, which is about what they want together."""

    wants: tuple[BuyWant, ...]
    money: Decimal
    commission: Decimal


@dataclass(frozen=True, slots=True)
class Cell:
    """Some cases of one kind: the greatest and the mean ratio to the optimum, and the greatest overspend in USD.

    Where the optimum was not `proven` in time, the ratio is taken to the bound below it.
    """

    kind: str
    symbols: int
    money: Decimal
    cases: int
    proven: int
    max_ratio: float
    mean_ratio: float
    overspend: Decimal


def realistic_price(random: Random) -> Decimal:
    """USD 5 to 800, most of them below 200 as with real ETFs."""
    return D(str(round(5 * 160 ** random.random(), 2)))


def any_price(random: Random) -> Decimal:
    """USD 5 to 800, all alike."""
    return D(random.randint(500, 80_000)) / 100


def dear_or_cheap_price(random: Random) -> Decimal:
    """Either below 15 or above 400 USD: one dear share is as much as many cheap ones."""
    return D(random.choice((random.randint(500, 1_500), random.randint(40_000, 80_000)))) / 100


def random_case(random: Random, symbols: int, money: Decimal, price: Callable[[Random], Decimal]) -> Case:
    """Random target weights that sum to one, of `money`; limits up to 8 bps above the price."""
    sizes = [random.uniform(0.02, 1) for _ in range(symbols)]
    wants = [_want(random, line, money * D(str(size / sum(sizes))), price(random)) for line, size in enumerate(sizes)]
    return Case(tuple(wants), money, random.choice(COMMISSIONS))


def rounding_up_case(random: Random, symbols: int, money: Decimal, price: Callable[[Random], Decimal]) -> Case:
    """Every line wants more than half of its last share, so the nearest shares cost far more than the money."""
    wants = []
    for line in range(symbols):
        value = price(random)
        shares = int(money / symbols / value * D(str(random.uniform(0, 2)))) + D(
            str(round(random.uniform(0.5, 0.97), 4))
        )
        wants.append(_want(random, line, shares * value, value))
    return Case(tuple(wants), sum((want.wanted for want in wants), ZERO), random.choice(COMMISSIONS))


KINDS: dict[str, Callable[[Random, int, Decimal], Case]] = {
    "realistic": lambda random, symbols, money: random_case(random, symbols, money, realistic_price),
    "uniform": lambda random, symbols, money: random_case(random, symbols, money, any_price),
    "one price": lambda random, symbols, money: random_case(random, symbols, money, lambda _: D("123.45")),
    "dear or cheap": lambda random, symbols, money: rounding_up_case(random, symbols, money, dear_or_cheap_price),
    "rounding up": lambda random, symbols, money: rounding_up_case(random, symbols, money, any_price),
}


def _want(random: Random, line: int, wanted: Decimal, price: Decimal) -> BuyWant:
    worst = (price * (ONE + D(random.randint(0, 8)) / 10_000)).quantize(D("0.01"))
    return BuyWant(symbol=Symbol(f"S{line:04d}"), wanted=wanted, price=price, worst_price=worst)


def measure(cases_per_cell: int = 4) -> tuple[Figure, ...]:
    """The worst ratio of every cell and of all, and the greatest overspend; the same cases on every machine."""
    cells = measure_cells(cases_per_cell)
    return (
        *(Figure(f"{cell.kind}, {cell.symbols} symbols, {cell.money} USD", cell.max_ratio) for cell in cells),
        Figure("cases whose optimum was not proven", sum(cell.cases - cell.proven for cell in cells), 0),
        Figure("drift / proven optimum, at most", max(cell.max_ratio for cell in cells), MOST_RATIO),
        Figure("overspend, USD, at most", float(max(cell.overspend for cell in cells)), 0),
    )


def measure_cells(cases_per_cell: int) -> tuple[Cell, ...]:
    """One cell for every kind, number of symbols and amount of money."""
    return tuple(
        measure_cell(kind, symbols, money, range(cases_per_cell))
        for kind in KINDS
        for symbols in SYMBOLS
        for money in MONEY
    )


def measure_cell(kind: str, symbols: int, money: Decimal, seeds: Sequence[int]) -> Cell:
    """What the planner makes of one case per seed, beside the optimum."""
    ratios, proven, overspend = [], 0, ZERO
    for seed in seeds:
        case = KINDS[kind](Random(f"{kind} {symbols} {money} {seed}"), symbols, money)
        sized = size_buys(case.wants, case.money, min_order_usd=ZERO, commission=case.commission)
        optimum, is_proven = optimum_of(case)
        ratios.append(_ratio(float(drift_of(case, sized)), optimum))
        proven += is_proven
        overspend = max(overspend, cost_of(case, sized) - case.money)
    return Cell(kind, symbols, money, len(ratios), proven, max(ratios), sum(ratios) / len(ratios), overspend)


def drift_of(case: Case, sized: Sequence[SizedBuy]) -> Decimal:
    """Σ|wanted − quantity × price| in USD."""
    return sum((abs(want.wanted - buy.quantity * want.price) for want, buy in _pairs(case, sized)), ZERO)


def cost_of(case: Case, sized: Sequence[SizedBuy]) -> Decimal:
    """USD at worst prices, with the commission of every line bought."""
    return sum(
        (buy.quantity * want.worst_price + case.commission for want, buy in _pairs(case, sized) if buy.quantity), ZERO
    )


def _pairs(case: Case, sized: Sequence[SizedBuy]) -> zip[tuple[BuyWant, SizedBuy]]:
    return zip(sorted(case.wants, key=lambda want: want.symbol), sized, strict=True)


def optimum_of(case: Case) -> tuple[float, bool]:
    """The least Σ|drift| in USD and True, or the best bound below it and False.

    Variables are per line: shares, drift, and whether it is bought at all.
    """
    count = len(case.wants)
    prices, worst, wanted = (
        np.array([float(getattr(want, name)) for want in case.wants]) for name in ("price", "worst_price", "wanted")
    )
    caps = np.array([float(nearest_to_low(want.wanted / want.price, ONE)) for want in case.wants])
    one, none = eye_array(count), eye_array(count) * 0
    rows = vstack(
        [
            hstack([one * prices, one, none]),
            hstack([one * -prices, one, none]),
            hstack([one, none, one * -caps]),
            np.concatenate([worst, np.zeros(count), np.full(count, float(case.commission))])[None, :],
        ]
    ).tocsc()
    low = np.concatenate([wanted, -wanted, np.full(count + 1, -np.inf)])
    high = np.concatenate([np.full(2 * count, np.inf), np.zeros(count), [float(case.money)]])
    found = milp(
        np.concatenate([np.zeros(count), np.ones(count), np.zeros(count)]),
        constraints=LinearConstraint(rows, low, high),
        integrality=np.concatenate([np.ones(count), np.zeros(count), np.ones(count)]),
        bounds=Bounds(0, np.concatenate([caps, np.full(count, np.inf), np.ones(count)])),
        options={"mip_rel_gap": 0, "time_limit": SECONDS_TO_PROVE},
    )
    is_proven = found.status == 0
    return (found.fun, True) if is_proven else (found.mip_dual_bound, False)


def _ratio(drift: float, optimum: float) -> float:
    if optimum <= NOTHING:
        return 1.0 if drift <= NOTHING else float("inf")
    return drift / optimum
