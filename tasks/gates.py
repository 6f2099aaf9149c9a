"""The data gates between the steps: a table that fails its checks stops the run before anything is built on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from core import frames
from core.market.quotes import judge_all
from core.model import (
    FUNDING,
    USD,
    AccountSnapshot,
    Contract,
    EscalateAction,
    ModelWeight,
    Order,
    OrderRecord,
    OrderType,
    Plan,
    Quote,
    Stage,
    Symbol,
)
from core.planning import PlanInputs
from core.text import counted
from expectations.account import AccountChecks, account_suite
from expectations.data_docs import CheckedTable
from expectations.fills import fills_suite
from expectations.gate import refusal, run_gate
from expectations.orders import OrderChecks, orders_suite
from expectations.plan import plan_suite
from expectations.plan_basis import basis_of
from expectations.portfolios import PortfolioChecks, portfolios_suite
from expectations.quotes import QuoteChecks, quotes_suite
from tasks.app.run import Run
from tasks.app.step import step

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite


@step("Gate: portfolios")
async def gate_portfolios(run: Run, rows: tuple[ModelWeight, ...]) -> None:
    """Check the rows of the models; final weights, which have no rows, pass. Raises PortfoliosInvalid."""
    if not rows:
        return
    rebalance = run.settings.rebalance
    checks = PortfolioChecks(
        models={str(model): float(weight) for model, weight in run.settings.models.items()},
        allow_margin=rebalance.allow_margin,
        max_leverage=float(rebalance.max_leverage),
    )
    await _pass(run, "portfolios", frames.portfolios(rows), lambda: portfolios_suite(checks))


@step("Gate: account")
async def gate_account(run: Run, snapshot: AccountSnapshot) -> None:
    """Check the account as it was read. Raises DataRefused."""
    checks = AccountChecks(max_gap_pct=float(run.settings.safety.max_net_liq_gap_pct))
    await _pass(run, "account", frames.account(snapshot), lambda: account_suite(checks))


@step("Gate: quotes")
async def gate_quotes(run: Run, contracts: Mapping[Symbol, Contract], quotes: Mapping[Symbol, Quote]) -> None:
    """Check the quotes and the prices that planning will take from them. Raises DataRefused."""
    now = run.broker.now()
    verdicts = judge_all(quotes, run.settings, now)
    prices = {symbol: verdict.price for symbol, verdict in verdicts.items() if verdict.price}
    frame = frames.quotes(quotes, prices, contracts.keys(), now)
    checks = QuoteChecks(stale_seconds=run.settings.limits.stale_quote_seconds)
    await _pass(run, "quotes", frame, lambda: quotes_suite(checks))


@step("Gate: plan")
async def gate_plan(run: Run, plan: Plan, observed: PlanInputs) -> None:
    """Check the plan, computed anew from account, quotes, models and its own lines. Raises DataRefused."""
    basis = basis_of(plan, observed, run.rows, run.settings)
    frame = basis.joined(frames.plan(plan))
    await _pass(run, "plan", frame, lambda: plan_suite(plan, run.settings.rebalance, basis))


# prices may have moved since the plan, and with them what the target borrows
MOVED = 1.05


@step("Gate: orders")
async def gate_orders(run: Run, orders: Sequence[Order], *, have_waited: bool = False) -> None:
    """Check orders of one stage against plan, market and cash, before any of them is sent. Raises DataRefused.

    Those that `have_waited` in a stage under way have been priced again.
    """
    plan = run.plan
    if plan is None:
        raise ValueError("orders without a plan")
    earlier = run.journal.orders(run.id)
    checks = _order_checks(run, plan, earlier)
    table = f"{orders[0].stage.value} orders"
    if have_waited:
        table += " priced again"
    elif any(order.attempt > 1 for order in orders):
        table += " sent again"
    frame = frames.orders(orders, plan, earlier, run.quotes, have_waited=have_waited)
    await _pass(run, table, frame, lambda: orders_suite(checks))


@step("Gate: fills")
async def gate_fills(run: Run) -> None:
    """Check the fills against their orders, and the account against the fills, once trading is over.

    Without a fill and without the account there is nothing to check. Raises DataRefused.
    """
    if run.plan is None:
        return
    before, after = (seen.holdings if seen else None for seen in (run.before, run.after))
    frame = frames.fills(run.journal.orders(run.id), run.plan, before, after)
    if not frame.empty:
        await _pass(run, "fills", frame, fills_suite)


def _order_checks(run: Run, plan: Plan, earlier: Iterable[OrderRecord]) -> OrderChecks:
    settings, cash = run.settings, run.seen.cash if run.seen else {}
    rebalance, limits = settings.rebalance, settings.limits
    borrowed = -float(plan.targets.cash * plan.valuation.investable) * MOVED if rebalance.allow_margin else 0.0
    commission = float(rebalance.commission_per_order_usd)
    return OrderChecks(
        account_id=settings.ibkr.account_id,
        run_id=run.id,
        market_orders=OrderType.MKT is rebalance.order_type or EscalateAction.MARKET is limits.escalate_action,
        fx_at_market=settings.fx.order_type is OrderType.MKT,
        fx_route=settings.fx.route,
        outside_rth=not rebalance.prefer_rth,
        is_capped=limits.use_ask_bid_cap,
        max_offset_bps=float(limits.max_offset_bps),
        slippage_bps=float(settings.fx.limit_slippage_bps),
        max_move_bps=float(settings.approval.max_price_move_bps),
        fractions=rebalance.allow_fractional,
        commission=commission,
        usd=float(cash.get(USD, 0)) + borrowed - _taken(earlier, commission),
        cad=float(cash.get(FUNDING.currency, 0)),
    )


def _taken(records: Iterable[OrderRecord], commission: float) -> float:
    """USD that earlier buys of the run have cost, and may still cost where they work."""
    buys = [record for record in records if record.order.stage is Stage.BUY]
    paid = sum(float(fill.shares * fill.price + (fill.commission or 0)) for buy in buys for fill in buy.fills)
    open_cost = sum(
        float(buy.open_quantity * (buy.order.limit_price or 0)) + commission for buy in buys if buy.open_quantity
    )
    return paid + open_cost


async def _pass(run: Run, table: str, frame: pd.DataFrame, suite: Callable[[], ExpectationSuite]) -> None:
    """Keep the gate's verdict, and raise what it refuses the run for."""
    # in a thread: meanwhile the loop goes on reading the gateway
    verdict = await asyncio.to_thread(lambda: run_gate(table, frame, suite()))
    run.gates[table] = verdict
    if run.keeps_tables:
        run.checked[table] = CheckedTable(frame, suite, verdict)
    error = refusal(verdict)
    if error is not None:
        raise error
    run.log_step(
        "gate",
        f"{table}: {verdict.checks - len(verdict.faults)} checks passed, {counted(len(verdict.faults), 'warning')}",
    )
