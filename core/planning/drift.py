"""How far each symbol is from its target, and which of them trade.

Comparisons at a band are made in dollars, |value − target value| against band / 10 000 × investable value, so
that a drift of exactly the band never trades because of a rounded weight.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from core.model import DriftLine, LimitedBy, Price, Symbol, Targets, TradeDirection, TriggerMode, Valuation
from core.money import BPS, HUNDRED, ZERO, plain
from core.settings import RebalanceSection

NO_TARGET = ZERO
# calling the class takes half as long again, and one is made for every symbol
new_line = DriftLine.__new__


def measure(targets: Targets, valuation: Valuation, rebalance: RebalanceSection) -> tuple[DriftLine, ...]:
    """A drift line for every symbol of the universe, alphabetical, with the verdict of the trigger.

    Of 100 000 USD investable, 61 000 in a symbol with target 0.60 is a drift of +100 bps and `wanted`
    −1 000 USD.
    """
    total = _total(targets, valuation) if rebalance.trigger_mode is TriggerMode.TOTAL_DRIFT else None
    triggers, prices, weights = _Triggers(rebalance, valuation.investable, total), valuation.prices, targets.weights
    return tuple(
        [_line(symbol, held, prices[symbol], weights.get(symbol), triggers) for symbol, held in valuation.held.items()]
    )


def _total(targets: Targets, valuation: Valuation) -> Decimal:
    """Σ|value − target value| in USD."""
    investable, prices, weights = valuation.investable, valuation.prices, targets.weights
    return sum(
        [
            abs(held * prices[symbol].value - weights.get(symbol, NO_TARGET) * investable)
            for symbol, held in valuation.held.items()
        ],
        ZERO,
    )


def _line(symbol: Symbol, held: Decimal, price: Price, weight: Decimal | None, triggers: _Triggers) -> DriftLine:
    target, investable = NO_TARGET if weight is None else weight, triggers.investable
    wanted = target * investable - held * price.value
    is_exit = weight is not None and not weight
    is_triggered, limited_by, rule = triggers.of_exit(wanted) if is_exit else triggers.of(wanted)
    return new_line(DriftLine, symbol, target, held, price, investable, wanted, is_triggered, limited_by, rule)


class Wants(NamedTuple):
    """Drift lines by what they want: to sell, to buy, or, not triggered, neither."""

    sells: list[DriftLine]
    buys: list[DriftLine]
    untouched: list[DriftLine]


def by_side(drifts: Iterable[DriftLine]) -> Wants:
    """The drift lines by what they want, each kind in the order of `drifts`."""
    wants = Wants([], [], [])
    for drift in drifts:
        if not drift.triggered:
            wants.untouched.append(drift)
        elif drift.wanted > ZERO:
            wants.buys.append(drift)
        else:
            wants.sells.append(drift)
    return wants


def invest_idle_cash(
    drifts: Iterable[DriftLine], idle: Decimal, valuation: Valuation, rebalance: RebalanceSection
) -> tuple[DriftLine, ...]:
    """`drifts` with underweight symbols triggered, where nothing else is bought and too much money lies idle.

    The largest drift comes first, of equal ones by symbol, until what they want uses up the money and what the planned
    sells bring: 2 000 USD for wants of 1 500, 1 000 and 800 trigger the first two. Where only sells are allowed
    nothing is. `idle` is what there is for buys without any sale, in USD; too much is more than idle_cash_pct of
    NetLiq.
    """
    drifts, most = tuple(drifts), rebalance.idle_cash_pct
    if most is None or idle * HUNDRED <= most * valuation.net_liq:
        return drifts
    wants = by_side(drifts)
    if wants.buys or rebalance.direction is TradeDirection.SELL_ONLY:
        return drifts
    # what is sold wants less than nothing
    money = idle - sum([drift.wanted for drift in wants.sells], ZERO)
    lacking = [each for each in wants.untouched if each.wanted > ZERO and each.limited_by is LimitedBy.BAND]
    bought = _first_to_get(lacking, money, rebalance)
    share = idle * HUNDRED / valuation.net_liq
    text = f"; but {share:.2f} % of NetLiq lies idle, above idle_cash_pct {plain(most)}: buy up to the target"
    changed = {
        drift.symbol: drift._replace(triggered=True, limited_by=None, rule=drift.rule + text)
        if drift.symbol in bought
        else drift._replace(rule=f"{drift.rule}; idle cash goes to larger drifts first")
        for drift in lacking
    }
    return tuple([changed.get(drift.symbol, drift) for drift in drifts])


def _first_to_get(lacking: Iterable[DriftLine], money: Decimal, rebalance: RebalanceSection) -> set[Symbol]:
    """The symbols whose wants use up the money, the largest first; the one that gets the last of it is among them."""
    first: set[Symbol] = set()
    for drift in sorted(lacking, key=lambda drift: (-drift.wanted, drift.symbol)):
        if money <= ZERO:
            break
        first.add(drift.symbol)
        money -= _takes(drift, rebalance)
    return first


def _takes(drift: DriftLine, rebalance: RebalanceSection) -> Decimal:
    """USD that a buy up to the target takes, at most max_order_usd; what is too little to be bought takes nothing."""
    if drift.wanted < rebalance.min_order_usd or 2 * drift.wanted <= drift.price.value:
        return ZERO
    return drift.wanted if rebalance.max_order_usd is None else min(drift.wanted, rebalance.max_order_usd)


class _Trigger(NamedTuple):
    """Whether a symbol trades, what keeps it from it, and the rule of its DriftLine."""

    is_triggered: bool
    limited_by: LimitedBy | None
    rule: str


ON_TARGET = _Trigger(is_triggered=False, limited_by=None, rule="on target")
OVERWEIGHT, UNDERWEIGHT = "overweight by {drift} bps", "underweight by {drift} bps"
NEVER = Decimal("Infinity")


class _Triggers:
    """The few answers there are, worked out once; `total` is Σ|drift| in USD where that has the band, else None."""

    def __init__(self, rebalance: RebalanceSection, investable: Decimal, total: Decimal | None) -> None:
        self.investable = investable
        band_bps = rebalance.per_holding_band_bps if total is None else rebalance.portfolio_total_band_bps
        band = f"{plain(band_bps)} bps"
        inside, outside = f"inside the band of {band}", f"band {band}"
        # exact: a division by a power of ten only moves the point
        self._most = band_bps * investable / BPS
        if total is not None:
            drift = f"total drift {total * BPS / investable:.2f} bps"
            inside, outside = f"but {drift} is inside its band of {band}", f"{drift}, {outside}"
            # all trade or none does, however small or large their own drifts
            self._most = NEVER if total <= self._most else ZERO
        self._least = -self._most
        self._over, self._under = (_barred(LimitedBy.BAND, f"{size}, {inside}") for size in (OVERWEIGHT, UNDERWEIGHT))
        against = f"but direction = {rebalance.direction.value}"
        self._buy = _trades(f"{UNDERWEIGHT}, {outside}: buy up to the target")
        self._sell = _trades(f"{OVERWEIGHT}, {outside}: sell down to the target")
        self._exit = _trades(f"{OVERWEIGHT}, target 0: sell all, whatever the band")
        if rebalance.direction is TradeDirection.SELL_ONLY:
            self._buy = _barred(LimitedBy.DIRECTION, f"{UNDERWEIGHT}, {against}")
        if rebalance.direction is TradeDirection.BUY_ONLY:
            self._sell = self._exit = _barred(LimitedBy.DIRECTION, f"{OVERWEIGHT}, {against}")

    def of(self, wanted: Decimal) -> _Trigger:
        """Whether a symbol trades that is so many USD below its target, or above it where that is negative."""
        if wanted < self._least:
            return self._sell
        if wanted > self._most:
            return self._buy
        if not wanted:
            return ON_TARGET
        return self._over if wanted < ZERO else self._under

    def of_exit(self, wanted: Decimal) -> _Trigger:
        """Whether a symbol trades whose target is written as 0: an instruction, which no band holds back."""
        return self._exit if wanted else ON_TARGET


def _barred(limited_by: LimitedBy, rule: str) -> _Trigger:
    return _Trigger(is_triggered=False, limited_by=limited_by, rule=rule)


def _trades(rule: str) -> _Trigger:
    return _Trigger(is_triggered=True, limited_by=None, rule=rule)
