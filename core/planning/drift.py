"""How far each symbol is from its target, and which of them trade.

Comparisons at a band are made without division, |value − target value| × 10 000 against band × investable
value, so that a drift of exactly the band never trades because of a rounded weight.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from core.model import DriftLine, LimitedBy, Symbol, Targets, TradeDirection, TriggerMode, Valuation
from core.money import BPS, HUNDRED, ZERO, plain
from core.settings import RebalanceSection

NO_TARGET = ZERO


def measure(targets: Targets, valuation: Valuation, rebalance: RebalanceSection) -> tuple[DriftLine, ...]:
    """A drift line for every symbol of the universe, alphabetical, with the verdict of the trigger.

    Of 100 000 USD investable, 61 000 in a symbol with target 0.60 is a drift of +100 bps and `wanted`
    −1 000 USD.
    """
    total = _total(targets, valuation) if rebalance.trigger_mode is TriggerMode.TOTAL_DRIFT else None
    triggers = _Triggers(rebalance, valuation.investable, total)
    return tuple([_line(symbol, held, targets, valuation, triggers) for symbol, held in valuation.held.items()])


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


def _line(symbol: Symbol, held: Decimal, targets: Targets, valuation: Valuation, triggers: _Triggers) -> DriftLine:
    price, investable, target = valuation.prices[symbol], valuation.investable, targets.weights.get(symbol)
    is_exit = target is not None and not target
    target = NO_TARGET if target is None else target
    value = held * price.value
    wanted = target * investable - value
    # times 10 000 once, for the comparison with the band and for the drift itself
    scaled = -wanted * BPS
    drift_bps = scaled / investable
    is_triggered, limited_by, text = triggers.of_exit(scaled) if is_exit else triggers.of(scaled)
    if scaled:
        text = (
            f"overweight by {drift_bps:.2f} bps{text}"
            if scaled > ZERO
            else f"underweight by {-drift_bps:.2f} bps{text}"
        )
    return DriftLine(symbol, target, held, price, value, wanted, drift_bps, is_triggered, limited_by, text)


def invest_idle_cash(
    drifts: Iterable[DriftLine], money: Decimal, valuation: Valuation, rebalance: RebalanceSection
) -> tuple[DriftLine, ...]:
    """`drifts` with every underweight symbol triggered, where nothing else is bought and too much money lies idle.

    `money` is what there is for buys without any sale, in USD; too much is more than idle_cash_pct of NetLiq.
    """
    drifts = tuple(drifts)
    most = rebalance.idle_cash_pct
    is_bought = any(drift.triggered and drift.wanted > ZERO for drift in drifts)
    if most is None or is_bought or money * HUNDRED <= most * valuation.net_liq:
        return drifts
    share = money * HUNDRED / valuation.net_liq
    text = f"; but {share:.2f} % of NetLiq lies idle, above idle_cash_pct {plain(most)}: buy up to the target"
    return tuple([_invested(drift, text) for drift in drifts])


def _invested(drift: DriftLine, text: str) -> DriftLine:
    if drift.wanted <= ZERO or drift.limited_by is not LimitedBy.BAND:
        return drift
    return drift._replace(triggered=True, limited_by=None, reason=drift.reason + text)


class _Trigger(NamedTuple):
    """Whether a symbol trades, what keeps it from it, and the text that follow the size of its drift."""

    is_triggered: bool
    limited_by: LimitedBy | None
    text: str


ON_TARGET = _Trigger(is_triggered=False, limited_by=None, text="on target")


class _Triggers:
    """The few answers there are, worked out once; `total` is Σ|drift| in USD where that has the band, else None."""

    def __init__(self, rebalance: RebalanceSection, investable: Decimal, total: Decimal | None) -> None:
        band_bps = rebalance.per_holding_band_bps if total is None else rebalance.portfolio_total_band_bps
        self._threshold = band_bps * investable
        self._total = None if total is None else total * BPS
        band = f"{plain(band_bps)} bps"
        inside, outside = f"inside the band of {band}", f"band {band}"
        if self._total is not None:
            drift = f"total drift {self._total / investable:.2f} bps"
            inside, outside = f"but {drift} is inside its band of {band}", f"{drift}, {outside}"
        self._inside = _barred(LimitedBy.BAND, inside)
        barred = _barred(LimitedBy.DIRECTION, f"but direction = {rebalance.direction.value}")
        may_buy = rebalance.direction is not TradeDirection.SELL_ONLY
        may_sell = rebalance.direction is not TradeDirection.BUY_ONLY
        self._buy = _trades(f"{outside}: buy up to the target") if may_buy else barred
        self._sell = _trades(f"{outside}: sell down to the target") if may_sell else barred
        self._exit = _trades("target 0: sell all, whatever the band") if may_sell else barred

    def of(self, scaled: Decimal) -> _Trigger:
        """Whether a symbol trades with a drift of so many USD × 10 000, positive where it is overweight."""
        if not scaled:
            return ON_TARGET
        if (abs(scaled) if self._total is None else self._total) <= self._threshold:
            return self._inside
        return self._sell if scaled > ZERO else self._buy

    def of_exit(self, scaled: Decimal) -> _Trigger:
        """Whether a symbol trades whose target is written as 0: an instruction, which no band holds back."""
        return self._exit if scaled else ON_TARGET


def _barred(limited_by: LimitedBy, text: str) -> _Trigger:
    return _Trigger(is_triggered=False, limited_by=limited_by, text=f", {text}")


def _trades(text: str) -> _Trigger:
    return _Trigger(is_triggered=True, limited_by=None, text=f", {text}")
