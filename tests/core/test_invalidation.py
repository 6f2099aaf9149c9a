"""What voids an approval, and which of its lines may still be sent at today's prices."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import contract, plan, position, quote, snapshot, still_line, trade_line
from planning_builders import account as funded
from planning_builders import at, case, plan_settings

from core.model import CAD, USD, USD_CAD, FxLeg, Limit, OrderType, Price, PriceSource, Side, Symbol, WorkingOrder
from core.money import D
from core.planning.invalidation import (
    account_changes,
    price_moves,
    too_expensive_buys,
    without_lines,
    worse_lines,
    worse_than_approved,
)

VTI, BND = Symbol("VTI"), Symbol("BND")
SOLD = trade_line("BND", side=Side.SELL, price=Price(D("72.00"), PriceSource.LAST))


# --- the account


def test_an_account_that_is_the_same_has_no_changes():
    assert account_changes(snapshot(position()), snapshot(position())) == ()


WORKING = WorkingOrder("RB-X", VTI, Side.BUY, D(1), D(0), OrderType.LMT, D(99))


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (snapshot(position(quantity="99")), "VTI: 100 shares then, 99 now"),
        (snapshot(), "VTI: 100 shares then, 0 now"),
        (snapshot(position(), position("BND")), "BND: 0 shares then, 100 now"),
        (snapshot(position(), cash={USD: D("2500.01")}), "USD cash: 2,500.00 then, 2,500.01 now"),
        (snapshot(position(), cash={USD: D(2500), CAD: D(1)}), "CAD cash: 0.00 then, 1.00 now"),
        (snapshot(position(), working_orders=(WORKING,)), "the working orders have changed"),
    ],
)
def test_holdings_cash_and_working_orders_void_an_approval_each_in_words(now, words):
    assert account_changes(snapshot(position()), now) == (words,)


def test_working_orders_in_another_order_are_the_same():
    other = replace(WORKING, symbol=BND)
    one, two = snapshot(working_orders=(WORKING, other)), snapshot(working_orders=(other, WORKING))
    assert account_changes(one, two) == ()


# --- prices and the rate

BUY_AND_SELL = (trade_line("VTI"), SOLD, still_line("AGG"))


def fresh(*quotes):
    """The market of now, VTI at 100.00 and BND at 72.00 unless given otherwise."""
    usual = {VTI: at("VTI", "100"), BND: at("BND", "72"), Symbol("AGG"): at("AGG", "100")}
    return replace(case({"VTI": "1"}, funded(cash={USD: "1"})), quotes=usual | {each.symbol: each for each in quotes})


def moves(*quotes, made=None, settings=None, most="50"):
    return price_moves(made or plan(*BUY_AND_SELL), fresh(*quotes), settings or plan_settings(), D(most))


def test_prices_that_stay_where_they_were_void_nothing():
    assert moves() == ()


@pytest.mark.parametrize(("now", "moved"), [("100.50", False), ("100.51", True), ("99.50", False), ("99.49", True)])
def test_a_move_beyond_the_limit_in_either_direction_voids_an_approval(now, moved):
    assert moves(at("VTI", now)) == ((f"VTI: 100.00 then, {now} now",) if moved else ())


def test_a_sell_counts_like_a_buy_and_a_symbol_that_does_not_trade_does_not():
    assert moves(at("BND", "71"), at("AGG", "50")) == ("BND: 72.00 then, 71.00 now",)


def test_a_traded_symbol_without_a_price_voids_an_approval():
    nothing = quote("VTI", bid=None, ask=None, last=None)
    assert moves(nothing) == ("VTI: no price now",)


def converting(mid="1.36000", quantity="5000"):
    leg = FxLeg(D(quantity), OrderType.MKT, None, D("1.37"), D("1.36"), D(6800), D(5000), "short", mid=D(mid))
    return plan(*BUY_AND_SELL, fx=leg)


RATES = plan_settings(fx__enabled=True)


@pytest.mark.parametrize(
    ("now", "moved"), [("1.36680", False), ("1.36681", True), ("1.35320", False), ("1.35319", True), ("1.50000", True)]
)
def test_the_rate_of_a_planned_conversion_counts_like_a_price(now, moved):
    found = moves(at(USD_CAD, now), made=converting(), settings=RATES)
    assert [words.startswith("USD.CAD: 1.36 then, ") for words in found] == [True] * moved


def test_a_rate_that_is_gone_voids_an_approval_of_a_conversion():
    assert moves(made=converting(), settings=RATES) == ("USD.CAD: no price now",)


def test_without_a_conversion_the_rate_may_do_as_it_likes():
    assert moves(at(USD_CAD, "1.50"), made=converting(quantity="0"), settings=RATES) == ()
    assert moves(at(USD_CAD, "1.50"), settings=RATES) == ()


# --- lines whose price has gone


@pytest.mark.parametrize(
    ("side", "now", "beyond"),
    [
        (Side.BUY, "100.50", False),
        (Side.BUY, "100.51", True),
        (Side.BUY, "80.00", False),
        (Side.SELL, "99.50", False),
        (Side.SELL, "99.49", True),
        (Side.SELL, "120.00", False),
    ],
)
def test_only_a_worse_price_than_approved_is_out_of_reach(side, now, beyond):
    words = worse_than_approved(side, D("100.00"), D(now), D(50))
    assert bool(words) is beyond
    assert not beyond or words == (
        f"its worst price is now {now}, 51 bps beyond the 100.00 that was approved (at most 50)"
    )


def limit(worst):
    """A limit of which only the worst price counts."""
    return Limit(OrderType.LMT, D(1), D(worst), None, "")


def test_lines_out_of_reach_are_named_and_the_others_are_not():
    buy, sold = trade_line("VTI", limit=limit("100")), SOLD._replace(limit=limit("72"))
    found = worse_lines((buy, sold), {VTI: limit("100.20"), BND: limit("57.60")}, D(50))
    assert found == {BND: "its worst price is now 57.60, 2000 bps beyond the 72.00 that was approved (at most 50)"}


def test_a_line_that_is_left_out_does_not_trade_and_says_why():
    made = without_lines(plan(*BUY_AND_SELL), {BND: "its price has gone"})
    left = next(line for line in made.lines if line.symbol == BND)
    assert (left.side, left.quantity, left.dollars, left.limit) == (None, 0, 0, None)
    assert (left.reason, left.projected_drift_bps) == ("its price has gone", left.drift_bps)
    assert [line.symbol for line in (*made.sells, *made.buys)] == ["VTI"]


def test_a_buy_is_out_of_reach_by_the_worst_price_of_its_last_attempt():
    settings = plan_settings(reprice_attempts=2)
    made = plan(trade_line("VTI", limit=limit("100.00")))
    inputs = replace(fresh(at("VTI", "100.46", "0.04")), contracts={VTI: contract("VTI")})
    assert too_expensive_buys(made, inputs, settings, D(50)) == {}
    dear = replace(fresh(at("VTI", "100.47", "0.04")), contracts={VTI: contract("VTI")})
    assert too_expensive_buys(made, dear, settings, D(50))[VTI].startswith("its worst price is now 100.51")


def test_a_buy_without_a_market_is_left_to_the_sizing():
    inputs = replace(fresh(quote("VTI", bid=None)), contracts={VTI: contract("VTI")})
    assert too_expensive_buys(plan(trade_line("VTI")), inputs, plan_settings(), D(50)) == {}
