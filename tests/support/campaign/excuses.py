"""The plan made right after a run, and why a line of it may trade although the run has just traded."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from campaign.checks import ours
from campaign.playing import Played
from core.model import (
    USD,
    USD_CAD,
    FxLeg,
    LimitedBy,
    Plan,
    SecurityType,
    Side,
    Symbol,
    TradeLine,
    TriggerMode,
    Valuation,
)
from core.money import BPS, CENT, FRACTION_OF_SHARE, ONE, ZERO, D
from core.planning import PlanInputs, make_plan
from core.planning.valuation import value_account
from core.settings import Settings
from core.settings.loading import settings_from
from core.targets import targets_from_weights

HALF = D("0.5")


def plan_again(played: Played) -> Plan:
    """A plan for what the exchange has now, by the settings of the case; its turnover does not matter."""
    inputs, settings = _now(played)
    return make_plan(inputs, settings)


def value_again(played: Played) -> Valuation:
    """What the account is worth now, whether or not it keeps its limits."""
    seen, settings = _now(played)
    return value_account(seen.snapshot, seen.targets, seen.contracts, seen.judge(settings), settings)


def _now(played: Played) -> tuple[PlanInputs, Settings]:
    scenario, venue = played.case.scenario, played.venue
    settings = settings_from(scenario.settings, folder=played.folder, overrides={"rebalance.max_turnover_pct": "none"})
    snapshot = venue.snapshot()
    targets = targets_from_weights(scenario.targets or {}, settings.rebalance)
    held = [position.contract for position in snapshot.positions]
    etfs = {each.symbol for each in held if each.security_type is SecurityType.ETF and each.currency == USD}
    symbols = sorted({*targets.weights, *etfs, USD_CAD})
    inputs = PlanInputs(
        run_id=played.outcome.run_id,
        mode=scenario.mode,
        targets=targets,
        snapshot=snapshot,
        contracts={symbol: venue.contracts[symbol] for symbol in symbols},
        quotes={symbol: venue.quote(symbol) for symbol in symbols},
        now=venue.now,
    )
    return inputs, settings


def cost_of(played: Played, plan: Plan) -> Decimal:
    """USD of NetLiq that the run may have taken or given: fills away from the plan's prices, and commissions."""
    cost = ZERO
    for placed in ours(played):
        for fill in placed.fills:
            if fill.symbol == USD_CAD:
                lost = fill.shares * (ONE - fill.price * (plan.valuation.usd_per_funding or ZERO))
            else:
                lost = fill.shares * (fill.price - plan.valuation.prices[fill.symbol].value)
            cost += abs(lost) + (fill.commission or ZERO)
    return cost


@dataclass(frozen=True, slots=True)
class Excuses:
    """Why a line may trade in a plan made right after the run. `cost` is the NetLiq that the run took, in USD."""

    played: Played
    plan: Plan
    cost: Decimal

    @property
    def first(self) -> dict[Symbol, TradeLine]:
        return {line.symbol: line for line in self.plan.lines}

    def of(self, again: TradeLine) -> str | None:
        first = self.first[again.symbol]
        moved = self._moved(first)
        if first.limited_by is LimitedBy.MAXIMUM:
            return "the first order was as large as one may be"
        if (first.side or first.limited_by is LimitedBy.ROUNDING) and abs(again.wanted) <= self._rounding(
            first
        ) + moved:
            return "the costs of trading moved the target past a rounding"
        if self._was_at_its_band(first):
            return "the costs of trading moved it over its band"
        if (
            first.limited_by is LimitedBy.MINIMUM
            and abs(abs(first.wanted) - self._minimum) <= moved + first.price.value
        ):
            return "the costs of trading moved it over the minimum"
        if again.side is Side.BUY and first.wanted > 0 and self._was_short_of_money(first):
            return "money was short at worst prices, and the fills were better"
        return None

    def of_conversion(self, again: FxLeg) -> str | None:
        fx = self.plan.fx
        assert fx is not None
        if "limited" in fx.reason:
            return "the first conversion was as large as it might be"
        if fx.shortfall < self.played.settings.fx.min_fx_order_usd:
            return "the first shortfall was too small to convert"
        charged = sum((fill.commission or ZERO for fill in self.played.venue.executions()), ZERO)
        if again.shortfall <= charged + self.cost * self.plan.valuation.buffer / self.plan.valuation.net_liq:
            return "a conversion leaves commissions, and what moves the cash buffer, to its own buffer, which may be 0"
        return None

    @property
    def _minimum(self) -> Decimal:
        return self.played.settings.rebalance.min_order_usd

    def _rounding(self, first: TradeLine) -> Decimal:
        """USD that a line traded in full may still lack: half a share, a whole one where a debt rounds sells up."""
        takes_fractions = self.plan.contracts[first.symbol].fractional
        if takes_fractions and self.played.settings.rebalance.allow_fractional:
            return first.price.value * FRACTION_OF_SHARE
        rounds_up = first.side is Side.SELL and self.plan.valuation.cash[USD] < 0
        return first.price.value * (ONE if rounds_up else HALF)

    def _moved(self, line: TradeLine) -> Decimal:
        return line.target * self.cost + CENT

    def _was_at_its_band(self, first: TradeLine) -> bool:
        """What a line drifts by itself when investable value shrinks by the cost; for a total, all lines together."""
        rebalance = self.played.settings.rebalance
        if first.limited_by is not LimitedBy.BAND:
            return False
        total = self.plan.totals.drift_before_bps
        if rebalance.trigger_mode is TriggerMode.PER_HOLDING:
            drift, weight, band = abs(first.drift_bps), first.current, rebalance.per_holding_band_bps
        else:
            drift, weight, band = total, self.plan.targets.gross + total / BPS, rebalance.portfolio_total_band_bps
        return abs(drift - band) <= weight * self.cost * BPS / (self.plan.valuation.investable - self.cost)

    def _was_short_of_money(self, first: TradeLine) -> bool:
        """This line, or one whose share of the money it may now have."""
        short = (LimitedBy.MONEY, LimitedBy.LEVERAGE)
        if first.limited_by in short:
            return True
        return first.limited_by is LimitedBy.MINIMUM and any(line.limited_by in short for line in self.plan.lines)
