"""The buys once more before they are sent: from the cash and the holdings that are really there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st
from planning_builders import account, at, case, etf, held, plan_settings

from core.errors import MarketDataMissing
from core.model import CAD, USD, LimitedBy, Side
from core.money import D, Money
from core.planning import make_plan, resize_buys

WEIGHTS = {"A": "0.3", "B": "0.3", "C": "0.4"}
START = account(held("A", "100"), held("B", "100"), held("C", "800"))
# 400 shares of C are sold for 200 of A and 200 of B


def resized(before, after, *quotes, **changes):
    settings = plan_settings(**changes)
    plan = make_plan(case(WEIGHTS, before), settings)
    return {line.symbol: line for line in resize_buys(plan, case(WEIGHTS, after, *quotes), settings)}


def after(cash, a="100", b="100", c="400"):
    return account(held("A", a), held("B", b), held("C", c), cash={USD: cash})


def test_with_the_cash_as_planned_the_approved_quantities_stand():
    found = resized(START, after("40000"))
    assert [(line.side, line.number, line.quantity) for line in found.values()] == [
        (Side.BUY, 1, D(200)),
        (Side.BUY, 2, D(200)),
    ]
    assert found["A"].reason == "approved for 200 shares, underweight by 2000.00 bps now"


def test_what_the_sells_lost_of_net_liq_takes_nothing_off_the_approved_buys():
    weights = {"A": "0.3", "B": "0.3", "C": "0.3"}
    fractional = {symbol: etf(symbol, fractional=True) for symbol in weights}
    settings = plan_settings(allow_fractional=True)
    plan = make_plan(case(weights, START, contracts=fractional), settings)
    # 500 shares of C brought 100 USD less than their value
    found = resize_buys(plan, case(weights, after("49900", c="300"), contracts=fractional), settings)
    assert [line.quantity for line in found] == [D(200), D(200)]


def test_less_cash_than_planned_shrinks_the_buys():
    found = resized(START, after("20000", c="600"))
    assert [line.quantity for line in found.values()] == [D(100), D(100)]
    assert {line.limited_by for line in found.values()} == {LimitedBy.MONEY}


def test_more_cash_than_planned_buys_no_more_than_approved():
    found = resized(START, after("90000"))
    assert [line.quantity for line in found.values()] == [D(200), D(200)]
    assert {line.limited_by for line in found.values()} == {None}


def test_a_lower_price_buys_no_more_shares_than_approved():
    found = resized(START, after("40000"), at("A", "90"))
    assert (found["A"].quantity, found["A"].limited_by) == (D(200), LimitedBy.MAXIMUM)
    assert found["A"].reason.endswith("the approval allows 200 of 233 shares")


def test_the_approval_is_named_as_the_bound_also_with_a_largest_order():
    sizing = {"max_order_usd": D(25000)}
    assert "the approval allows" in resized(START, after("40000"), at("A", "90"), **sizing)["A"].reason


def test_an_approved_buy_that_is_worth_less_than_the_minimum_now_is_too_small():
    sizing = {"min_order_usd": D(20000), "max_order_usd": D(45000)}
    found = resized(START, after("40000"), at("A", "99"), **sizing)["A"]
    assert (found.quantity, found.limited_by) == (D(0), LimitedBy.MINIMUM)


def test_shares_that_came_meanwhile_are_not_bought_again():
    found = resized(START, after("30000", a="200"))
    assert [line.quantity for line in found.values()] == [D(100), D(200)]


def test_a_buy_that_is_no_longer_needed_keeps_its_number_and_has_no_side():
    found = resized(START, after("20000", a="300"))
    gone = found["A"]
    assert (gone.number, gone.side, gone.quantity, gone.limit) == (1, None, D(0), None)
    assert (found["B"].number, found["B"].quantity) == (2, D(200))
    over = resized(START, after("20000", a="320"))["A"]
    assert (over.quantity, over.reason.split("; ")[0]) == (
        D(0),
        "approved for 200 shares, overweight by 137.25 bps now",
    )


def test_nothing_is_bought_that_was_not_approved():
    assert set(resized(START, after("90000", c="0"))) == {"A", "B"}


def test_a_drift_that_fell_inside_its_band_is_still_bought_down_to_the_target():
    found = resized(START, after("20500", a="297"))
    # 30 % of the approved plan's 100 000 is 30 000
    assert found["A"].quantity == D(3)


def test_no_buys_need_no_account():
    plan = make_plan(case({"A": "0"}, account(held("A", "10"))), plan_settings())
    assert resize_buys(plan, case({"A": "0"}, account()), plan_settings()) == ()


def test_fresh_limits_are_used_and_a_stale_quote_of_a_buy_is_refused():
    found = resized(START, after("40000"), at("A", "101", "0.20"))
    assert (found["A"].limit.limit_price, found["A"].quantity) == (D("101.10"), D(197))
    with pytest.raises(MarketDataMissing, match="A: stale"):
        resized(START, after("40000"), at("A", taken_at=NOW - timedelta(seconds=11)))


def test_the_buffer_stays_and_may_lie_in_cad():
    changes = {"cash_buffer_pct": D(10), "fx__enabled": True}
    settings = plan_settings(**changes)
    inputs = case({"A": "1"}, account(cash={USD: "90000", CAD: "12500"}))
    plan = make_plan(inputs, settings)
    # 12 500 CAD at the worst rate of 1.250625 are 9 995.00 USD of the 10 000 that stay
    assert [line.quantity for line in plan.buys] == [D(899)]
    assert [line.quantity for line in resize_buys(plan, inputs, settings)] == [D(899)]
    in_usd = replace(inputs, snapshot=account(cash={USD: "100000"}))
    assert [line.quantity for line in resize_buys(plan, in_usd, settings)] == [D(899)]
    emptied = replace(inputs, snapshot=account(cash={USD: "80000", CAD: "25000"}))
    assert [line.quantity for line in resize_buys(plan, emptied, settings)] == [D(800)]


def test_without_conversion_the_resize_asks_for_no_rate():
    assert resized(START, after("40000"), cash_buffer_pct=D(1))["A"].quantity <= 200


def test_an_account_that_broke_its_limits_meanwhile_buys_nothing():
    sizing = {"allow_margin": True}
    found = resized(START, replace(after("40000"), excess_liquidity=Money(D(1), USD)), **sizing)
    assert [(line.quantity, line.limited_by) for line in found.values()] == [(D(0), LimitedBy.LEVERAGE)] * 2


def test_after_the_sells_an_account_within_its_limits_of_borrowing_still_buys():
    sizing = {"allow_margin": True}
    found = resized(START, after("40000"), **sizing)
    assert [(line.quantity, line.limited_by) for line in found.values()] == [(D(200), None)] * 2


def test_after_the_sells_a_target_that_borrows_buys_on_credit_again():
    weights = {"A": "0.5", "B": "0.5", "C": "0.5", "CASH": "-0.5"}
    settings = plan_settings(allow_margin=True, max_leverage=D("1.6"))
    before = account(held("A", "1500"), cash={USD: "-50000"})
    plan = make_plan(case(weights, before), settings)
    assert {line.symbol: line.quantity for line in plan.buys} == {"B": D(500), "C": D(500)}
    sold = account(held("A", "500"), cash={USD: "50000"})
    assert [line.quantity for line in resize_buys(plan, case(weights, sold), settings)] == [D(500), D(500)]


@given(st.integers(0, 60_000), st.integers(0, 400), st.integers(0, 400))
def test_the_resized_buys_are_never_above_the_approved_and_the_cash(cash, a, c):
    if cash + a + c == 0:
        return
    changes = {"commission_per_order_usd": D(1)}
    found = resized(START, after(str(cash), a=str(a), c=str(c)), at("B", "97", "0.50"), **changes)
    cost = sum((line.quantity * line.limit.worst_price + 1 for line in found.values() if line.quantity), D(0))
    assert cost <= cash
    assert all(line.quantity <= 200 for line in found.values())
