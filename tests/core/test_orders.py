"""The orders that a plan's lines and its conversion become."""

from __future__ import annotations

import pytest
from builders import contract, plan, still_line, trade_line
from planning_builders import plan_settings

from core.execution import conversion_order, stage_orders
from core.model import USD_CAD, FxLeg, Limit, Nbbo, OrderType, Side, Stage
from core.money import D
from core.planning.funding import FxMarket

SOLD = Limit(OrderType.LMT, D("50.01"), D("49.99"), Nbbo(D("49.99"), D("50.01")), "mid - 0.25 spread")
TRADES = (
    trade_line("BND", side=Side.SELL, number=1, quantity=D(7), limit=SOLD),
    trade_line("VTI", number=1),
    trade_line("VXUS", number=2, quantity=D("2.5")),
    still_line("BIL"),
)
MARKET = FxMarket(mid=D("1.4000"), planning=D("1.4000"), worst=D("1.4050"))


def leg(quantity="900"):
    return FxLeg(D(quantity), OrderType.LMT, D("1.4050"), D("1.4050"), D("1.4000"), D("1260"), D("900"), "needed")


def converted(cash="5000", market=MARKET, fx=None, **settings):
    contracts = {USD_CAD: contract(USD_CAD)}
    return conversion_order(plan(fx=fx or leg(), contracts=contracts), D(cash), market, plan_settings(**settings))


def test_a_stage_is_the_lines_of_its_side_in_the_order_of_the_plan():
    made = plan(*TRADES)
    (sold,) = stage_orders(made, Stage.SELL, plan_settings())
    bought = stage_orders(made, Stage.BUY, plan_settings())
    assert (sold.ref, sold.side, sold.quantity) == ("RB-ABCDEFGHIJ23-S1-1", Side.SELL, D(7))
    assert [(order.ref, order.side, order.quantity) for order in bought] == [
        ("RB-ABCDEFGHIJ23-B1-1", Side.BUY, D(10)),
        ("RB-ABCDEFGHIJ23-B2-1", Side.BUY, D("2.5")),
    ]


def test_an_order_has_the_first_limit_of_its_line_and_the_mid_it_was_made_from():
    (sold,) = stage_orders(plan(*TRADES), Stage.SELL, plan_settings())
    assert (sold.order_type, sold.limit_price, sold.mid) == (OrderType.LMT, D("50.01"), D("50.00"))
    assert (sold.stage, sold.line, sold.attempt, sold.account_id) == (Stage.SELL, 1, 1, "DU1234567")
    assert sold.contract == plan(*TRADES).contracts["BND"]


@pytest.mark.parametrize("prefer_rth", [True, False])
def test_orders_work_outside_regular_hours_only_where_the_settings_want_it(prefer_rth):
    (sold,) = stage_orders(plan(*TRADES), Stage.SELL, plan_settings(prefer_rth=prefer_rth))
    order = converted(prefer_rth=prefer_rth)
    assert (sold.outside_rth, order.outside_rth) == (not prefer_rth, not prefer_rth)


def test_a_line_that_trades_without_a_limit_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="VTI is not traded and has no limit"):
        stage_orders(plan(trade_line("VTI", limit=None)), Stage.BUY, plan_settings())


@pytest.mark.parametrize(
    ("cash", "dollars"), [("5000", "900"), ("1264.50", "900"), ("1264.49", "899"), ("1000", "711")]
)
def test_a_conversion_is_whole_dollars_that_the_cash_pays_for_at_the_worst_rate(cash, dollars):
    order = converted(cash)
    assert (order.ref, order.side, order.quantity) == ("RB-ABCDEFGHIJ23-F1-1", Side.BUY, D(dollars))


@pytest.mark.parametrize(
    "nothing", [{"cash": "0"}, {"cash": "1.40"}, {"cash": "-5"}, {"market": FxMarket(why_not="no quote")}]
)
def test_there_is_no_conversion_without_a_dollar_paid_for_or_without_a_rate(nothing):
    assert converted(**nothing) is None


def test_there_is_no_conversion_where_none_was_planned():
    assert converted(fx=leg("0")) is None
    assert conversion_order(plan(fx=None), D(5000), MARKET, plan_settings()) is None


@pytest.mark.parametrize(("order_type", "limit"), [(OrderType.LMT, D("1.4050")), (OrderType.MKT, None)])
def test_a_conversion_has_the_type_and_the_route_of_the_settings(order_type, limit):
    order = converted(fx__order_type=order_type, fx__route="FXCONV")
    assert (order.order_type, order.limit_price, order.mid) == (order_type, limit, D("1.4000"))
    assert order.contract.exchange == "FXCONV"
    assert (order.stage, order.line, order.attempt) == (Stage.FX, 1, 1)
