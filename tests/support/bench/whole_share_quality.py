"""How near the planned whole shares come to the proven optimum: Σ|drift| against HiGHS on the exact integer program.

The program has the same worst-price budget, commission of every line bought included. The start is all
cash, without a minimum order, which is where every dollar counts: the money is just about what is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

import numpy as np
from bench.figures import Figure
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import eye_array, hstack, vstack
from sizing_cases import BuyWant, SizedBuy, size_buys

from core.model import Symbol
from core.money import ONE, ZERO, D, nearest_to_low

SYMBOLS = (10, 30, 100)
MONEY = (D(10_000), D(100_000), D(1_000_000))
COMMISSIONS = (ZERO, ONE)
SECONDS_TO_PROVE = 20
NOTHING = 1e-9
NARROW, WIDE, VERY_WIDE = 8, 300, 1000
MOST_RATIO = {NARROW: 1.02, WIDE: 1.02, VERY_WIDE: 1.05}
"""What is promised, by how far worst prices lie from prices at most (bps)."""


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


@dataclass(frozen=True, slots=True)
class Kind:
    """How cases are made; worst prices lie up to `spread_bps` above the prices, that of one line only if `alone`."""

    price: Callable[[Random], Decimal]
    spread_bps: int = NARROW
    rounds_up: bool = False
    alone: bool = False

    def case(self, random: Random, symbols: int, money: Decimal) -> Case:
        """A random case of about so much money."""
        prices = [self.price(random) for _ in range(symbols)]
        wanted = _rounding_up(random, prices, money) if self.rounds_up else _weighted(random, prices, money)
        wants = tuple(self._want(random, line, *pair) for line, pair in enumerate(zip(wanted, prices, strict=True)))
        return Case(wants, sum(wanted, ZERO) if self.rounds_up else money, random.choice(COMMISSIONS))

    def _want(self, random: Random, line: int, wanted: Decimal, price: Decimal) -> BuyWant:
        spread = self.spread_bps if not self.alone or line == 1 else NARROW
        worst = (price * (ONE + D(random.randint(0, spread)) / 10_000)).quantize(D("0.01"))
        return BuyWant(symbol=Symbol(f"S{line:04d}"), wanted=wanted, price=price, worst_price=worst)


def _weighted(random: Random, prices: Sequence[Decimal], money: Decimal) -> list[Decimal]:
    """By random target weights that sum to one."""
    sizes = [random.uniform(0.02, 1) for _ in prices]
    return [money * D(str(size / sum(sizes))) for size in sizes]


def _rounding_up(random: Random, prices: Sequence[Decimal], money: Decimal) -> list[Decimal]:
    """More than half of the last share of every line, so that the nearest shares cost far more than the money."""
    part = money / len(prices)
    return [
        (int(part / price * D(str(random.uniform(0, 2)))) + D(str(round(random.uniform(0.5, 0.97), 4)))) * price
        for price in prices
    ]


KINDS = {
    "realistic": Kind(realistic_price),
    "uniform": Kind(any_price),
    "one price": Kind(lambda _: D("123.45")),
    "dear or cheap": Kind(dear_or_cheap_price, rounds_up=True),
    "rounding up": Kind(any_price, rounds_up=True),
    "wide": Kind(realistic_price, WIDE),
    "very wide": Kind(realistic_price, VERY_WIDE),
    "one wide line": Kind(realistic_price, VERY_WIDE, alone=True),
}


def measure(cases_per_cell: int = 4) -> tuple[Figure, ...]:
    """The worst ratio of every cell and of all, and the greatest overspend; the same cases on every machine."""
    cells = measure_cells(cases_per_cell)
    return (
        *(Figure(f"{cell.kind}, {cell.symbols} symbols, {cell.money} USD", cell.max_ratio) for cell in cells),
        *(
            Figure(f"drift / proven optimum, worst prices to {spread} bps, at most", _worst(cells, spread), most)
            for spread, most in MOST_RATIO.items()
        ),
        Figure("cases whose optimum was not proven", sum(cell.cases - cell.proven for cell in cells), 0),
        Figure("overspend, USD, at most", float(max(cell.overspend for cell in cells)), 0),
    )


def _worst(cells: Iterable[Cell], spread_bps: int) -> float:
    return max(cell.max_ratio for cell in cells if KINDS[cell.kind].spread_bps == spread_bps)


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
        case = KINDS[kind].case(Random(f"{kind} {symbols} {money} {seed}"), symbols, money)
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

    def solved(*, presolve: bool) -> OptimizeResult:
        return milp(
            np.concatenate([np.zeros(count), np.ones(count), np.zeros(count)]),
            constraints=LinearConstraint(rows, low, high),
            integrality=np.concatenate([np.ones(count), np.zeros(count), np.ones(count)]),
            bounds=Bounds(0, np.concatenate([caps, np.full(count, np.inf), np.ones(count)])),
            options={"mip_rel_gap": 0, "time_limit": SECONDS_TO_PROVE, "presolve": presolve},
        )

    found = solved(presolve=True)
    if found.mip_dual_bound is None:  # HiGHS fails now and then on what its own presolve made
        found = solved(presolve=False)
    is_proven = found.status == 0
    return (found.fun, True) if is_proven else (found.mip_dual_bound, False)


def _ratio(drift: float, optimum: float) -> float:
    if optimum <= NOTHING:
        return 1.0 if drift <= NOTHING else float("inf")
    return drift / optimum
