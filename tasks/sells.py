"""Stage 1: sell, at limits made from fresh quotes."""

from __future__ import annotations

from dataclasses import replace

from core.execution import Attempts, stage_orders
from core.market.limits import limit_for
from core.model import Plan, Side, Stage
from core.planning.invalidation import worse_lines
from tasks.app.run import Run
from tasks.app.step import step
from tasks.quotes import take_quotes
from tasks.stage import exclude, pricing, send


@step("Price the sells")
async def price_sells(run: Run, plan: Plan) -> Plan:
    """The plan with its sells at fresh prices and limits, without those that are now beyond their worst price.

    Raises MarketDataMissing.
    """
    quotes = await take_quotes(run, {line.symbol: plan.contracts[line.symbol] for line in plan.sells})
    rules = pricing(run)
    verdicts = {symbol: rules.judge(quote) for symbol, quote in quotes.items()}
    limits = {
        line.symbol: limit_for(Side.SELL, plan.contracts[line.symbol], verdicts[line.symbol], rules)
        for line in plan.sells
    }
    # a sell beyond its approved worst price is left out; the others go on
    kept = exclude(run, plan, worse_lines(plan.sells, limits, run.settings.approval.max_price_move_bps))
    priced = {
        line.symbol: line._replace(limit=limits[line.symbol], price=verdicts[line.symbol].price or line.price)
        for line in kept.sells
    }
    return replace(kept, lines=tuple(priced.get(line.symbol, line) for line in kept.lines))


@step("Sell")
async def sell(run: Run, plan: Plan, approved: Plan) -> None:
    """Send the plan's sells and follow them to their end, within the prices `approved`. Raises what `send` raises."""
    attempts = Attempts(lines=approved.sells, money=None, settings=run.settings)
    await send(run, Stage.SELL, stage_orders(plan, Stage.SELL, run.settings), attempts)
