"""Stage 1: sell, at limits made from fresh quotes."""

from __future__ import annotations

from dataclasses import replace

from core.limits import limit_for
from core.model import Plan, Side, Stage, TradeLine
from tasks.quotes import take_quotes
from tasks.run import Run
from tasks.stage import attempts_at, order_of, pricing, send
from tasks.step import step


@step("Price the sells")
async def price_sells(run: Run, plan: Plan) -> Plan:
    """The plan with limits for its sells from fresh quotes. Raises MarketDataMissing."""
    quotes = await take_quotes(run, {line.symbol: plan.contracts[line.symbol] for line in plan.sells})

    def priced(line: TradeLine) -> TradeLine:
        contract = plan.contracts[line.symbol]
        return replace(line, limit=limit_for(Side.SELL, contract, quotes[line.symbol], line.price, pricing(run)))

    return replace(plan, lines=tuple(priced(line) if line.side is Side.SELL else line for line in plan.lines))


@step("Sell")
async def sell(run: Run, plan: Plan) -> None:
    """Send the plan's sells and see them end. Raises what `send` raises."""
    orders = [order_of(run, plan, Stage.SELL, line) for line in plan.sells]
    await send(run, Stage.SELL, orders, attempts_at(run, plan.sells))
