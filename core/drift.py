"""How far each symbol is from its target, and which of them trade.

Comparisons at a band are made without division, |value − target value| × 10 000 against band × investable
value, so that a drift of exactly the band never trades because of a rounded weight.
"""

from __future__ import annotations

from decimal import Decimal

from core.model import Cut, Direction, DriftLine, Symbol, Targets, TriggerMode, TriggerRules, Valuation
from core.money import BPS, ZERO

NO_TARGET = ZERO


def measure(targets: Targets, valuation: Valuation, rules: TriggerRules) -> tuple[DriftLine, ...]:
    """A drift line for every symbol of the universe, alphabetical, with the verdict of the trigger.

    Of 100 000 USD investable, 61 000 in a symbol with target 0.60 is a drift of +100 bps and `wanted`
    −1 000 USD.
    """
    investable = valuation.investable
    gaps = [
        (symbol, held * valuation.prices[symbol].value, targets.weights.get(symbol, NO_TARGET))
        for symbol, held in valuation.held.items()
    ]
    verdict = _Verdict(rules, investable, sum((abs(value - weight * investable) for _, value, weight in gaps), ZERO))
    return tuple(_line(symbol, value, weight, valuation, verdict) for symbol, value, weight in gaps)


def _line(symbol: Symbol, value: Decimal, weight: Decimal, valuation: Valuation, verdict: _Verdict) -> DriftLine:
    wanted = weight * valuation.investable - value
    drift_bps = -wanted * BPS / valuation.investable
    is_triggered, cut, reason = verdict.of(wanted, drift_bps)
    return DriftLine(
        symbol,
        weight,
        valuation.held[symbol],
        valuation.prices[symbol],
        value,
        wanted,
        drift_bps,
        is_triggered,
        cut,
        reason,
    )


class _Verdict:
    """What the trigger says of one symbol, with all that is the same for every symbol worked out once."""

    def __init__(self, rules: TriggerRules, investable: Decimal, total: Decimal) -> None:
        self._is_total = rules.mode is TriggerMode.TOTAL_DRIFT
        self._direction = rules.direction
        band = rules.portfolio_total_band_bps if self._is_total else rules.per_holding_band_bps
        self._threshold = band * investable
        self._is_total_over = total * BPS > self._threshold
        self._band = f"{band.normalize():f}"
        self._total = f"{total * BPS / investable:.2f}"

    def of(self, wanted: Decimal, drift_bps: Decimal) -> tuple[bool, Cut | None, str]:
        """Whether the symbol trades, what keeps it from it, and both in words."""
        if not wanted:
            return False, None, "on target"
        size = f"{'overweight' if wanted < 0 else 'underweight'} by {abs(drift_bps):.2f} bps"
        is_over = self._is_total_over if self._is_total else abs(wanted) * BPS > self._threshold
        if not is_over:
            return False, Cut.BAND, self._inside(size)
        side = "sell down" if wanted < 0 else "buy up"
        if self._removes(wanted):
            return False, Cut.DIRECTION, f"{size}, but direction = {self._direction.value}"
        band = f"total drift {self._total} bps, band {self._band}" if self._is_total else f"band {self._band}"
        return True, None, f"{size}, {band} bps: {side} to the target"

    def _inside(self, size: str) -> str:
        if self._is_total:
            return f"{size}, but total drift {self._total} bps is inside its band of {self._band} bps"
        return f"{size}, inside the band of {self._band} bps"

    def _removes(self, wanted: Decimal) -> bool:
        return self._direction is (Direction.BUY_ONLY if wanted < 0 else Direction.SELL_ONLY)
