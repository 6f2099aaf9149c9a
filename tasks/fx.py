"""Stage 0: convert CAD to USD, as far as the buys need it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from core.errors import MarketDataMissing, PlanKeptChanging
from core.execution import conversion_order
from core.model import FUNDING, FxLeg, Plan, Stage
from core.money import ZERO
from core.planning import PlanInputs
from core.planning.funding import fx_market
from core.planning.invalidation import worse_than_approved
from tasks.app.run import Run
from tasks.app.step import step
from tasks.quotes import take_quotes
from tasks.stage import send, start_stage


@step("Convert CAD to USD")
async def convert_currency(run: Run, plan: Plan, now: PlanInputs) -> None:
    """Buy the plan's USD.CAD, at most what the CAD cash pays for at the worst rate of this moment.

    At a rate that is worse than the approved one by more than the approval allows nothing is converted: the run goes
    on with the USD it has. Raises what `start_stage` and `send` raise, and MarketDataMissing without a rate.
    """
    leg = plan.fx
    if leg is None:
        return
    start_stage(run, Stage.FX)
    if not leg.quantity:
        run.log_step("fx", leg.reason)
        return
    if now.fx_closed:
        run.warn(f"nothing was converted: {now.fx_closed}")
        run.unsent[FUNDING.symbol] = now.fx_closed
        return
    # the rate is the only thing read anew; cash and contracts were compared after the approval
    fresh = replace(
        now, quotes=await take_quotes(run, {FUNDING.symbol: plan.contracts[FUNDING.symbol]}), now=run.broker.now()
    )
    market = fx_market(fresh.judge(run.settings), run.settings, sends_orders=run.mode.sends_orders)
    if market.worst is None:
        raise MarketDataMissing(f"{FUNDING.symbol}: {market.why_not}", next_step=market.next_step)
    if _is_void(run, leg, market.worst):
        return
    order = conversion_order(plan, now.snapshot.cash.get(FUNDING.currency, ZERO), market, run.settings)
    quantity = order.quantity if order else ZERO
    if quantity < leg.quantity:
        less = f"{quantity:,f} of {leg.quantity:,f} USD, for the worst rate is now {market.worst:f}"
        (run.reduced if quantity else run.unsent)[FUNDING.symbol] = less
        run.warn(f"{FUNDING.symbol}: {less}")
    if order:
        await send(run, Stage.FX, [order])


def _is_void(run: Run, leg: FxLeg, worst: Decimal) -> bool:
    """Whether the rate is worse than approved by too much; the failure is kept on the run, which goes on."""
    worse = worse_than_approved(FUNDING.side, leg.worst_rate or ZERO, worst, run.settings.approval.max_price_move_bps)
    if worse:
        run.unsent[FUNDING.symbol] = worse
        run.fail(
            PlanKeptChanging(f"{FUNDING.symbol}: nothing was converted: {worse}", next_step="run again for a new plan")
        )
    return bool(worse)
