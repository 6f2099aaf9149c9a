"""The orders gate passes what was approved, and finds every single thing that may be wrong with an order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import NOW, contract, fill, order_record, plan, quote, still_line, trade_line
from gate_samples import only

from core import frames
from core.model import (
    CAD,
    USD_CAD,
    FxLeg,
    Limit,
    Order,
    OrderRef,
    OrderState,
    OrderType,
    SecurityType,
    Side,
    Stage,
    Symbol,
)
from core.money import D
from expectations.gate import refusal, run_gate
from expectations.orders import OrderChecks, orders_suite

NAN = float("nan")
PAIR = contract(USD_CAD, security_type=SecurityType.CASH, currency=CAD, exchange="IDEALPRO")
CHECKS = OrderChecks(
    account_id="DU1234567",
    run_id="ABCDEFGHIJ23",
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
    usd=2500,
    cad=1400,
)
QUOTES = {
    Symbol("VTI"): quote(),
    Symbol("GLD"): quote("GLD"),
    Symbol("ARKK"): quote("ARKK"),
    USD_CAD: quote(USD_CAD, bid=D("1.3700"), ask=D("1.3702"), last=None),
}


def approved():
    limit = Limit(OrderType.LMT, D("99.99"), D("99.99"), D(100), "")
    sold = trade_line("ARKK", side=Side.SELL, quantity=D(3), held=D("3.4"), limit=limit, drift_bps=D(60))
    leg = FxLeg(D(1000), OrderType.MKT, None, D("1.3709"), D("1.3701"), D("1370.10"), D(998), "")
    made = plan(sold, trade_line(), trade_line("GLD", number=2), still_line(), fx=leg)
    return replace(made, contracts={**made.contracts, USD_CAD: PAIR})


def order(symbol, stage, **changes):
    number, side = {"GLD": 2}.get(symbol, 1), Side.SELL if stage is Stage.SELL else Side.BUY
    values = {
        "ref": OrderRef(f"RB-ABCDEFGHIJ23-{stage[0]}{number}-1"),
        "account_id": "DU1234567",
        "contract": PAIR if stage is Stage.FX else contract(symbol),
        "stage": stage,
        "line": number,
        "attempt": 1,
        "side": side,
        "quantity": D(10),
        "order_type": OrderType.LMT,
        "limit_price": D("100.00"),
        "outside_rth": False,
        "mid": D(100),
    }
    return Order(**(values | changes))


STAGES = {
    Stage.BUY: [order("VTI", Stage.BUY), order("GLD", Stage.BUY)],
    Stage.SELL: [order("ARKK", Stage.SELL, quantity=D(3))],
    Stage.FX: [order(USD_CAD, Stage.FX, quantity=D(1000), order_type=OrderType.MKT, limit_price=None)],
}


def table(stage, earlier=()):
    return frames.orders(STAGES[stage], approved(), earlier, QUOTES)


def faults(frame, checks=CHECKS, *messages):
    suite = orders_suite(checks)
    found = run_gate("orders", frame, only(suite, *messages) if messages else suite)
    return [f"{fault.message}: {', '.join(fault.rows)}" for fault in found.faults]


@pytest.mark.parametrize("stage", STAGES)
def test_the_orders_of_an_approved_plan_pass(stage):
    assert faults(table(stage)) == []


WRONG = [
    (Stage.BUY, "ref", "RB-ZZZZZZZZZZZZ-B1-1", "not an order reference of this run: VTI"),
    (Stage.BUY, "ref", "RB-ABCDEFGHIJ23-B2-1", "order reference used twice: VTI, GLD"),
    (Stage.BUY, "is_new", False, "order reference of an earlier order: VTI"),
    (Stage.BUY, "account", "U7654321", "order for another account: VTI"),
    (Stage.BUY, "is_approved", False, "not the contract that was approved: VTI"),
    (Stage.BUY, "symbol", "GLD", "two orders in one symbol: GLD, GLD"),
    (Stage.BUY, "side", "SELL", "side does not fit the stage: VTI"),
    (Stage.BUY, "side", "SELL", "side is not the approved one: VTI"),
    (Stage.BUY, "approved_side", "NONE", "side is not the approved one: VTI"),
    (Stage.SELL, "side", "BUY", "side does not fit the stage: ARKK"),
    (Stage.FX, "symbol", "VTI", "side does not fit the stage: VTI"),
    (Stage.BUY, "currency", "CAD", "in the wrong currency: VTI"),
    (Stage.FX, "currency", "USD", "in the wrong currency: USD.CAD"),
    (Stage.FX, "route", "SMART", "not the route of the settings: USD.CAD"),
    (Stage.BUY, "outside_rth", True, "not the trading hours of the settings: VTI"),
    (Stage.BUY, "order_type", "STP", "not an order type of the settings: VTI"),
    (Stage.SELL, "order_type", "MKT", "not an order type of the settings: ARKK"),
    (Stage.FX, "order_type", "LMT", "not an order type of the settings: USD.CAD"),
    (Stage.BUY, "quantity", 0.0, "quantity not above 0: VTI"),
    (Stage.BUY, "quantity", NAN, "no quantity: VTI"),
    (Stage.BUY, "quantity", 9.5, "not a whole number of shares: VTI"),
    (Stage.BUY, "quantity", 11.0, "more than was approved: VTI"),
    (Stage.BUY, "earlier", 1.0, "more than was approved: VTI"),
    (Stage.SELL, "quantity", 4.0, "more sold than held: ARKK"),
    (Stage.SELL, "quantity", 2.0, "less sold than was approved: ARKK"),
    (Stage.FX, "quantity", 998.0, "less converted than was approved: USD.CAD"),
    (Stage.FX, "quantity", 1001.0, "more than was approved: USD.CAD"),
    (Stage.FX, "quantity", 1022.0, "more CAD converted than there is: USD.CAD"),
    (Stage.FX, "quantity", 999.5, "not a whole number of shares: USD.CAD"),
    (Stage.BUY, "limit_price", 150.0, "buys cost more than the cash there is: VTI, GLD"),
    (Stage.BUY, "limit_price", NAN, "no limit_price: VTI"),
    (Stage.BUY, "bid", NAN, "no bid: VTI"),
    (Stage.BUY, "limit_price", 100.02, "limit beyond the market: VTI"),
    (Stage.SELL, "limit_price", 99.98, "limit beyond the market: ARKK"),
    (Stage.BUY, "limit_price", 100.005, "limit between two ticks: VTI"),
    (Stage.BUY, "limit_price", 99.98, "limit on the wrong side of the mid: VTI"),
    (Stage.SELL, "limit_price", 100.02, "limit on the wrong side of the mid: ARKK"),
    (Stage.BUY, "limit_price", -100.0, "limit not above 0: VTI"),
    (Stage.BUY, "limit_price", 100.52, "price worse than was approved: VTI"),
    (Stage.SELL, "limit_price", 99.48, "price worse than was approved: ARKK"),
    (Stage.FX, "ask", 1.3779, "price worse than was approved: USD.CAD"),
    (Stage.FX, "limit_price", 1.3702, "market order with a limit: USD.CAD"),
]


@pytest.mark.parametrize(("stage", "column", "value", "expected"), WRONG)
def test_one_wrong_cell_keeps_the_stage_from_being_sent(stage, column, value, expected):
    frame = table(stage)
    frame.loc[0, column] = value
    assert faults(frame, CHECKS, expected.partition(": ")[0]) == [expected]


def test_shares_may_go_at_the_market_where_the_settings_let_them():
    frame = table(Stage.BUY)
    frame.loc[0, ["order_type", "limit_price"]] = "MKT", NAN
    assert faults(frame, replace(CHECKS, market_orders=True)) == []
    assert faults(frame) == ["not an order type of the settings: VTI"]


def test_a_refusal_says_that_nothing_more_is_sent():
    frame = table(Stage.BUY)
    frame.loc[0, "side"] = "SELL"
    error = refusal(run_gate("BUY orders", frame, orders_suite(CHECKS)))
    assert int(error.exit_code) == 12
    assert "data gate BUY orders: side does not fit the stage: VTI" in str(error)
    assert "nothing more is sent" in error.in_full


def test_what_earlier_attempts_filled_counts_against_the_approved_quantity():
    ended = order_record("VTI", fill("4"), state=OrderState.CANCELLED)
    again = replace(STAGES[Stage.BUY][0], ref=OrderRef("RB-ABCDEFGHIJ23-B1-2"), attempt=2, quantity=D(6))
    assert faults(frames.orders([again], approved(), [ended], QUOTES)) == []
    more = replace(again, quantity=D(7))
    assert faults(frames.orders([more], approved(), [ended], QUOTES)) == ["more than was approved: VTI"]


def test_a_conversion_may_be_what_the_cad_pays_for_at_the_worst_rate_of_the_moment():
    frame = table(Stage.FX)
    # 1 000 CAD at 1.3702 × 1.0005 are 729 USD
    poor = replace(CHECKS, cad=1000)
    frame.loc[0, "quantity"] = 729.0
    assert faults(frame, poor) == []
    frame.loc[0, "quantity"] = 727.0
    assert faults(frame, poor) == ["less converted than was approved: USD.CAD"]


def test_a_contract_of_another_exchange_or_with_another_price_step_is_not_the_approved_one():
    [bought, _] = STAGES[Stage.BUY]
    for change in ({"con_id": 7}, {"exchange": "NYSE"}, {"currency": CAD}):
        other = replace(bought, contract=replace(bought.contract, **change))
        assert "not the contract that was approved: VTI" in faults(frames.orders([other], approved(), (), QUOTES))


def test_a_limit_may_lie_beyond_the_touch_where_the_settings_do_not_cap_it():
    frame = table(Stage.BUY)
    frame.loc[0, "limit_price"] = 100.1
    free = replace(CHECKS, is_capped=False)
    assert faults(frame, free) == []
    frame.loc[0, "limit_price"] = 100.11
    assert faults(frame, free) == ["limit beyond the market: VTI"]


def test_a_second_attempt_may_stay_behind_a_market_that_ran_away():
    frame = table(Stage.BUY)
    frame.loc[0, ["bid", "ask", "under_way"]] = 100.19, 100.21, True
    assert faults(frame) == []


def test_a_symbol_outside_the_plan_is_not_approved():
    stray = replace(STAGES[Stage.BUY][0], contract=contract("QQQ"))
    found = faults(frames.orders([stray], approved(), (), {**QUOTES, Symbol("QQQ"): quote("QQQ", taken_at=NOW)}))
    assert "not the contract that was approved: QQQ" in found
    assert "side is not the approved one: QQQ" in found
    assert "more than was approved: QQQ" in found
