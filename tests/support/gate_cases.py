"""The tables of a paper run that sells and buys, each with its suite: all but four symbols are on target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from builders import NOW, fill
from planning_builders import account, at, case, held, plan_settings

from core import frames
from core.execution.orders import stage_orders
from core.market.quotes import judge_all
from core.model import (
    USD,
    AccountSnapshot,
    ModelName,
    ModelWeight,
    Order,
    OrderRecord,
    OrderState,
    Plan,
    Side,
    Stage,
    Symbol,
)
from core.money import D
from core.planning import PlanInputs, make_plan
from expectations.account import AccountChecks, account_suite
from expectations.fills import fills_suite
from expectations.orders import OrderChecks, orders_suite
from expectations.plan import plan_suite
from expectations.plan_basis import basis_of
from expectations.portfolios import PortfolioChecks, portfolios_suite
from expectations.quotes import QuoteChecks, quotes_suite

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

SETTINGS = plan_settings(per_holding_band_bps=D(10))
# of 100 shares at 100.00 that each target is
ODD = ("150", "150", "50", "50")
MODELS = PortfolioChecks({"CORE": 1.0}, allow_margin=False, max_leverage=1.5)


class GateCase(NamedTuple):
    """A table and what makes its suite, which is part of what a gate costs."""

    frame: pd.DataFrame
    suite: Callable[[], ExpectationSuite]


def gate_cases(count: int) -> dict[str, GateCase]:
    """The tables of a run of `count` symbols, of which two are sold and two are bought; all of them pass."""
    symbols = [Symbol(f"S{number:04d}") for number in range(count)]
    rows = [ModelWeight(ModelName("CORE"), symbol, D(1) / count, line) for line, symbol in enumerate(symbols, start=2)]
    inputs = _inputs(symbols)
    made = make_plan(inputs, SETTINGS)
    basis = basis_of(made, inputs, rows, SETTINGS)
    return {
        "portfolios": GateCase(frames.portfolios(rows), lambda: portfolios_suite(MODELS)),
        "account": GateCase(frames.account(inputs.snapshot), lambda: account_suite(AccountChecks(max_gap_pct=5))),
        "quotes": GateCase(_quotes(inputs, symbols), lambda: quotes_suite(QuoteChecks(stale_seconds=10))),
        "plan": GateCase(basis.joined(frames.plan(made)), lambda: plan_suite(made, SETTINGS.rebalance, basis)),
        "SELL orders": GateCase(_orders(made, Stage.SELL, inputs), lambda: orders_suite(_order_checks(made))),
        "BUY orders": GateCase(_orders(made, Stage.BUY, inputs), lambda: orders_suite(_order_checks(made))),
        "fills": GateCase(_fills(made, inputs.snapshot), fills_suite),
    }


def _inputs(symbols: Sequence[Symbol]) -> PlanInputs:
    shares = dict.fromkeys(symbols, "100") | dict(zip(symbols, ODD, strict=False))
    own = account(*(held(symbol, shares[symbol]) for symbol in symbols), cash={USD: "100"})
    weights = dict.fromkeys(symbols, str(D(1) / len(symbols)))
    return case(weights, own, *(at(symbol, "100", "0.01") for symbol in symbols))


def _quotes(inputs: PlanInputs, symbols: Sequence[Symbol]) -> pd.DataFrame:
    verdicts = judge_all(inputs.quotes, SETTINGS, NOW)
    prices = {symbol: verdict.price for symbol, verdict in verdicts.items() if verdict.price}
    return frames.quotes(inputs.quotes, prices, symbols, NOW)


def _orders(made: Plan, stage: Stage, inputs: PlanInputs) -> pd.DataFrame:
    return frames.orders(stage_orders(made, stage, SETTINGS), made, (), inputs.quotes)


def _order_checks(made: Plan) -> OrderChecks:
    return OrderChecks(
        account_id=made.account_id,
        run_id=made.run_id,
        market_orders=False,
        fx_at_market=True,
        fx_route="IDEALPRO",
        outside_rth=False,
        is_capped=True,
        max_offset_bps=10,
        slippage_bps=5,
        max_move_bps=50,
        fractions=False,
        commission=1,
        usd=20_000,
        cad=0,
    )


def _fills(made: Plan, before: AccountSnapshot) -> pd.DataFrame:
    """Every order has filled at its limit, for 1 USD of commission."""
    orders = [order for stage in (Stage.SELL, Stage.BUY) for order in stage_orders(made, stage, SETTINGS)]
    signed = {order.contract.symbol: order.quantity * (1 if order.side is Side.BUY else -1) for order in orders}
    paid = sum(signed[order.contract.symbol] * order.limit_price + 1 for order in orders if order.limit_price)
    held_now = (
        replace(each, quantity=each.quantity + signed.get(each.contract.symbol, 0)) for each in before.positions
    )
    after = replace(before, positions=tuple(held_now), cash={USD: before.cash[USD] - paid})
    return frames.fills(map(_filled, orders), made, before.holdings, after.holdings)


def _filled(order: Order) -> OrderRecord:
    traded = {"symbol": order.contract.symbol, "side": order.side, "order_ref": order.ref, "exec_id": f"{order.ref}.01"}
    whole = fill(str(order.quantity), str(order.limit_price), **traded)
    return OrderRecord(order, OrderState.FILLED, created_at=NOW, sent_at=NOW, fills=(whole,))
