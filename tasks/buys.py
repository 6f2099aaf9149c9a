"""Stage 2: size the approved buys again by the cash that the account has now, and buy."""

from __future__ import annotations

from dataclasses import replace

from core.execution import Attempts, stage_orders
from core.model import Plan, Stage
from core.planning import PlanInputs, resize_buys
from core.planning.funding import spendable
from core.planning.invalidation import too_expensive_buys
from tasks.app.run import Run
from tasks.app.step import step
from tasks.preflight import preflight_buys, waits_for_money
from tasks.stage import exclude, send


@step("Size the buys")
async def size_buys(run: Run, plan: Plan, now: PlanInputs) -> Plan:
    """The plan with its buys by actual cash, actual fills and fresh limits; never more of a line than was approved.

    Those whose price has moved too far are left out, and their money is there for the others. The cash of the plan's
    valuation is the actual one.
    """
    plan = exclude(run, plan, too_expensive_buys(plan, now, run.settings, run.settings.approval.max_price_move_bps))
    sized = {line.symbol: line for line in resize_buys(plan, now, run.settings)}
    for approved in plan.buys:
        line = sized[approved.symbol]
        if line.quantity < approved.quantity:
            (run.reduced if line.quantity else run.unsent)[line.symbol] = line.reason
            run.warn(f"{line.symbol}: {line.quantity:,f} of {approved.quantity:,f} approved shares: {line.reason}")
    return replace(
        plan,
        lines=tuple(sized.get(line.symbol, line) for line in plan.lines),
        valuation=replace(plan.valuation, cash={**plan.valuation.cash, **now.snapshot.cash}),
    )


@step("Buy")
async def buy(run: Run, plan: Plan) -> None:
    """Send the plan's buys and follow them to their end, if the account has the margin for them.

    Raises FundsInsufficient when it has not, and what `send` raises.
    """
    # without sells or a conversion the buys were checked together before the first order
    if run.settings.execution.preflight and waits_for_money(run.plan or plan):
        plan = await preflight_buys(run, plan)
    money = spendable(plan.valuation, plan.targets, run.settings.rebalance)
    attempts = Attempts(lines=plan.buys, money=money, settings=run.settings)
    await send(run, Stage.BUY, stage_orders(plan, Stage.BUY, run.settings), attempts)
