"""Stage 0: convert CAD to USD, as far as the buys need it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from core.errors import MarketDataMissing, PlanKeptChanging
from core.model import CAD, USD_CAD, FxLeg, Order, Plan, Side, Stage
from core.model.refs import order_ref
from core.money import ZERO
from core.planning import PlanInputs
from core.planning.funding import FxMarket, affordable, fx_limit
from core.planning.inputs import fx_market_of
from core.planning.invalidation import worse_than_approved
from tasks.app.run import Run
from tasks.app.step import step
from tasks.quotes import take_quotes
from tasks.stage import begin, send


@step("Convert CAD to USD")
async def convert_currency(run: Run, plan: Plan, now: PlanInputs) -> None:
    """Buy the plan's USD.CAD, at most what the CAD cash pays for at the worst rate of this moment.

    A rate that has become worse than the approved one by more than an approval bears is not traded at: the run goes
    on with the USD that are there. Raises what `begin` and `send` raise, and MarketDataMissing without a rate.
    """
    if plan.fx is None:
        return
    begin(run, Stage.FX)
    if not plan.fx.quantity:
        run.log_step("fx", plan.fx.reason)
        return
    if now.fx_closed:
        run.warn(f"nothing was converted: {now.fx_closed}")
        run.unsent[USD_CAD] = now.fx_closed
        return
    fresh = replace(now, quotes=await take_quotes(run, {USD_CAD: plan.contracts[USD_CAD]}), now=run.broker.now())
    market = fx_market_of(fresh, run.rules)
    if market.worst is None:
        raise MarketDataMissing(f"USD.CAD: {market.why_not}", next_step="run again when USD.CAD is quoted")
    quantity = _quantity(run, plan.fx, market, now.snapshot.cash.get(CAD, ZERO))
    if quantity:
        await send(run, Stage.FX, [conversion(run, plan, quantity, market)])


def _quantity(run: Run, leg: FxLeg, market: FxMarket, cad_cash: Decimal) -> Decimal:
    """USD to buy now; whatever is less than was approved is said."""
    worst, was = market.worst or ZERO, leg.worst_rate or ZERO
    gone = worse_than_approved(Side.BUY, was, worst, run.settings.approval.max_price_move_bps)
    if gone:
        run.unsent[USD_CAD] = gone
        run.fail(PlanKeptChanging(f"USD.CAD: nothing was converted: {gone}", next_step="run again for a new plan"))
        return ZERO
    quantity = affordable(leg.quantity, cad_cash, market)
    if quantity < leg.quantity:
        less = f"{quantity:,f} of {leg.quantity:,f} USD, for the rate is now {worst:f} at worst"
        (run.reduced if quantity else run.unsent)[USD_CAD] = less
        run.warn(f"USD.CAD: {less}")
    return quantity


def conversion(run: Run, plan: Plan, quantity: Decimal, market: FxMarket) -> Order:
    """The order for so many USD, whose limit where it has one is the worst rate."""
    return Order(
        ref=order_ref(run.id, Stage.FX, 1, 1),
        account_id=plan.account_id,
        contract=replace(plan.contracts[USD_CAD], exchange=run.settings.fx.route),
        stage=Stage.FX,
        line=1,
        attempt=1,
        side=Side.BUY,
        quantity=quantity,
        order_type=run.rules.funding.order_type,
        limit_price=fx_limit(market, run.rules.funding),
        outside_rth=not run.settings.rebalance.prefer_rth,
        mid=market.mid,
    )
