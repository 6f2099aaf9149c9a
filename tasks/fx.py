"""Stage 0: convert CAD to USD, as far as the buys need it."""

from __future__ import annotations

from decimal import Decimal

from core.errors import MarketDataMissing
from core.funding import FX_TICK, FxMarket, affordable, fx_market
from core.model import CAD, USD_CAD, Order, OrderType, Plan, Side, Stage
from core.money import ZERO, floor_to
from core.plan import PlanInputs
from core.refs import order_ref
from tasks.run import Run
from tasks.stage import begin, send
from tasks.step import step


@step("Convert CAD to USD")
async def convert_currency(run: Run, plan: Plan, now: PlanInputs) -> None:
    """Buy the plan's USD.CAD, at most what the CAD cash pays for at the fresh worst rate; go on with what fills.

    Raises what `begin` and `send` raise, and MarketDataMissing without a rate.
    """
    if plan.fx is None:
        return
    begin(run, Stage.FX)
    if not plan.fx.quantity:
        run.say("fx", plan.fx.reason)
        return
    if now.fx_closed:
        run.warn(f"nothing was converted: {now.fx_closed}")
        run.unsent[USD_CAD] = now.fx_closed
        return
    market = market_now(run, now)
    if market.worst is None:
        raise MarketDataMissing(f"USD.CAD: {market.why_not}", next_step="run again when USD.CAD is quoted")
    quantity = affordable(plan.fx.quantity, now.snapshot.cash.get(CAD, ZERO), market)
    if quantity < plan.fx.quantity:
        less = f"{quantity:,f} of {plan.fx.quantity:,f} USD, for the rate is now {market.worst:f} at worst"
        (run.reduced if quantity else run.unsent)[USD_CAD] = less
        run.warn(f"USD.CAD: {less}")
    if quantity:
        await send(run, Stage.FX, [conversion(run, plan, quantity, market.worst)])


def market_now(run: Run, now: PlanInputs) -> FxMarket:
    """The market of USD.CAD as it was observed."""
    rules = run.rules
    return fx_market(
        now.quotes.get(USD_CAD), rules.funding, rules.quotes, run.broker.now(), sends_orders=run.mode.sends_orders
    )


def conversion(run: Run, plan: Plan, quantity: Decimal, worst_rate: Decimal) -> Order:
    """The order for so many USD, whose limit where it has one is the worst rate."""
    order_type = run.rules.funding.order_type
    return Order(
        ref=order_ref(run.id, Stage.FX, 1, 1),
        account_id=plan.account_id,
        contract=plan.contracts[USD_CAD],
        stage=Stage.FX,
        line=1,
        attempt=1,
        side=Side.BUY,
        quantity=quantity,
        order_type=order_type,
        limit_price=floor_to(worst_rate, FX_TICK) if order_type is OrderType.LMT else None,
        outside_rth=not run.settings.rebalance.prefer_rth,
        mid=None if plan.fx is None else plan.fx.mid,
    )
