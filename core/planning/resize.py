"""The buy stage once more, from the cash that is really there."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from core.model import DriftLine, LimitedBy, Plan, PlanRules, TradeLine, Valuation
from core.money import ZERO
from core.planning.buys import WishList, size_wishes, wish_list
from core.planning.drift import measure
from core.planning.funding import Budget, Proceeds, budget_for, room
from core.planning.inputs import PlanInputs, fx_market_of, pricing_rules_for
from core.planning.lines import trade_line
from core.planning.valuation import value_account


def resize_buys(plan: Plan, fresh: PlanInputs, rules: PlanRules) -> tuple[TradeLine, ...]:
    """The approved buys sized again after the sells, by actual cash, positions and limits; in the plan's order.

    The targets are the plan's in dollars: what the sells lost of NetLiq is no reason to buy less. The approved
    quantity is each line's upper bound, and a line keeps its number, also when nothing is left of it (then it
    has no side). Nothing that was not approved is bought.
    `fresh.quotes` covers the universe, as for the plan. Raises what make_plan raises of the account and
    of the quotes of the buys.
    """
    approved = {line.symbol: line for line in plan.buys}
    if not approved:
        return ()
    valuation = value_account(fresh.snapshot, plan.targets, fresh.contracts, fresh.quotes, rules, fresh.now)
    drifts = measure(plan.targets, valuation, rules.trigger)
    investable = plan.valuation.investable
    wanted = [_now(drift, approved[drift.symbol], investable) for drift in drifts if drift.symbol in approved]
    bound = replace(rules.sizing, max_order_usd=None)
    listed = wish_list(
        wanted, pricing_rules_for(fresh, rules), {symbol: line.quantity for symbol, line in approved.items()}
    )
    bought = size_wishes(listed, _budget(plan, listed, valuation, fresh, rules), bound)
    drafts = {draft.drift.symbol: draft for draft in (*bought, *listed.dropped)}
    return tuple(trade_line(drafts[symbol], line.number, valuation) for symbol, line in approved.items())


def _now(drift: DriftLine, approved: TradeLine, investable: Decimal) -> DriftLine:
    """What an approved buy lacks of its target in the approved plan; the bands no longer keep it from trading."""
    size = f"{'over' if drift.wanted < 0 else 'under'}weight by {abs(drift.drift_bps):.2f} bps now"
    wanted = drift.target * investable - drift.value
    return replace(drift, wanted=wanted, limited_by=None, reason=f"approved for {approved.quantity:,f} shares, {size}")


def _budget(plan: Plan, listed: WishList, valuation: Valuation, fresh: PlanInputs, rules: PlanRules) -> Budget:
    """The money there is now: sells and conversion are done, their commissions paid."""
    if rules.sizing.allow_margin and room(valuation, Proceeds(), rules.sizing).is_broken:
        return Budget(ZERO, LimitedBy.LEVERAGE, ZERO)
    proceeds = Proceeds(worst_rate=fx_market_of(fresh, rules).worst)
    return budget_for(valuation, plan.targets, proceeds, listed.costs(rules.sizing), rules.sizing)
