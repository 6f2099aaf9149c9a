"""Stage 2: size the approved buys again by the cash that is really there, and buy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.execution import ask_for_margin
from core.funding import spendable
from core.model import Order, Plan, Stage
from core.plan import PlanInputs, resize_buys
from core.wording import counted
from tasks.run import Run
from tasks.stage import attempts_at, order_of, send
from tasks.step import step


@step("Size the buys")
async def size_buys(run: Run, plan: Plan, now: PlanInputs) -> Plan:
    """The plan with its buys by actual cash, actual fills and fresh limits; never more of a line than was approved.

    The cash of its valuation is the actual one.
    """
    sized = {line.symbol: line for line in resize_buys(plan, now, run.rules)}
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
    """Send the plan's buys and see them end, if the broker says that the account bears them.

    Raises FundsInsufficient when it does not, and what `send` raises.
    """
    orders = [order_of(run, plan, Stage.BUY, line) for line in plan.buys]
    if run.settings.execution.what_if:
        await check_margin(run, orders)
    money = spendable(plan.valuation, plan.targets, run.rules.sizing)
    await send(run, Stage.BUY, orders, attempts_at(run, plan.buys, money))


async def check_margin(run: Run, buys: Sequence[Order]) -> None:
    """Ask the broker what all of the buys would leave of the margin. Raises FundsInsufficient, and as a read does."""
    left = await ask_for_margin(run.reader, buys)
    if left is not None:
        run.say(
            "margin",
            f"{counted(left.buys, 'buy')} would leave {left.available_funds:,.2f} {left.currency} of available funds",
        )
