"""The data gates between the steps: a table that fails its checks stops the run before anything is built on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from core import frames
from core.market.quotes import judge_all
from core.model import AccountSnapshot, Contract, ModelWeight, Plan, Quote, Symbol
from core.text import counted
from expectations.account import AccountChecks, account_suite
from expectations.gate import refusal, run_gate
from expectations.plan import plan_suite
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
async def gate_plan(run: Run, plan: Plan) -> None:
    """Check the plan's totals and limits, computed anew from its lines. Raises DataRefused."""
    await _pass(run, "plan", frames.plan(plan), lambda: plan_suite(plan, run.settings.rebalance))


async def _pass(run: Run, table: str, frame: pd.DataFrame, suite: Callable[[], ExpectationSuite]) -> None:
    """Keep the gate's verdict, and raise what it refuses the run for."""
    # in a thread: meanwhile the loop goes on reading the gateway
    verdict = await asyncio.to_thread(lambda: run_gate(table, frame, suite()))
    run.gates[table] = verdict
    error = refusal(verdict)
    if error is not None:
        raise error
    run.log_step(
        "gate",
        f"{table}: {verdict.checks - len(verdict.faults)} checks passed, {counted(len(verdict.faults), 'warning')}",
    )
