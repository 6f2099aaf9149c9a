"""Stage 2: size the approved buys again by the cash that is really there, and buy."""

from __future__ import annotations

from dataclasses import replace

from core.model import Plan, Stage
from core.plan import PlanInputs, resize_buys
from tasks.run import Run
from tasks.stage import order_of, send
from tasks.step import step


@step("Size the buys")
async def size_buys(run: Run, plan: Plan, now: PlanInputs) -> Plan:
    """The plan with its buys by actual cash, actual fills and fresh limits; never more of a line than was approved."""
    sized = {line.symbol: line for line in resize_buys(plan, now, run.rules)}
    for approved in plan.buys:
        line = sized[approved.symbol]
        if line.quantity < approved.quantity:
            run.warn(f"{line.symbol}: {line.quantity:f} of {approved.quantity:f} approved shares: {line.reason}")
    return replace(plan, lines=tuple(sized.get(line.symbol, line) for line in plan.lines))


@step("Buy")
async def buy(run: Run, plan: Plan) -> None:
    """Send the plan's buys and see them end. Raises what `send` raises."""
    await send(run, Stage.BUY, [order_of(run, plan, Stage.BUY, line) for line in plan.buys], plan.buys)
