"""The whole plan, with numbers worked by hand: everything costs 100.00 unless a test says otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning_builders import account, at, case, etf, held, lines, planned, share, traded

from core.errors import SafetyRefused
from core.model import (
    CAD,
    USD,
    LimitedBy,
    Side,
    TradeDirection,
)
from core.money import D

BALANCED = {"A": "0.6", "B": "0.4"}


# --- what trades ----------------------------------------------------------------------------------


def test_nothing_trades_inside_the_bands():
    plan = planned(case(BALANCED, account(held("A", "605"), held("B", "395"))))
    assert traded(plan) == []
    assert not plan.trades
    assert [line.limited_by for line in plan.lines] == [LimitedBy.BAND, LimitedBy.BAND]
    assert plan.totals.turnover_pct == 0


def test_only_holdings_over_the_band_are_traded():
    own = account(held("A", "602"), held("B", "290"), held("C", "108"))
    plan = planned(case({"A": "0.6", "B": "0.3", "C": "0.1"}, own))
    assert traded(plan) == [(Side.SELL, "C", D(8)), (Side.BUY, "B", D(8))]
    assert lines(plan)["A"].reason == "overweight by 20.00 bps, inside the band of 50 bps"


def test_one_overweight_without_an_underweight_over_its_band_only_sells():
    own = account(held("A", "630"), held("B", "198"), held("C", "198"), cash={USD: "-2600"})
    plan = planned(case({"A": "0.6", "B": "0.2", "C": "0.2"}, own))
    assert traded(plan) == [(Side.SELL, "A", D(30))]


def test_sells_come_first_and_each_stage_is_numbered_from_one_by_symbol():
    own = account(held("D", "400"), held("C", "400"), held("A", "100"), held("B", "100"))
    plan = planned(case({"A": "0.25", "B": "0.25", "C": "0.25", "D": "0.24", "E": "0.01"}, own))
    assert [(line.symbol, line.number) for line in plan.sells] == [("C", 1), ("D", 2)]
    assert [(line.symbol, line.number) for line in plan.buys] == [("A", 1), ("B", 2), ("E", 3)]


def test_every_symbol_of_the_universe_has_exactly_one_line():
    own = account(held("A", "900"), held("Z", "100"), share("AAPL", "1"))
    plan = planned(case({"A": "0.5", "B": "0.3", "C": "0.2"}, own))
    assert sorted(line.symbol for line in plan.lines) == ["A", "B", "C", "Z"]
    assert list(plan.contracts) == ["A", "B", "C", "Z"]


def test_a_line_says_where_it_stands_before_and_after():
    line = lines(planned(case(BALANCED, account(held("A", "700"), held("B", "300")))))["A"]
    assert (line.target, line.current, line.held) == (D("0.6"), D("0.7"), D(700))
    assert (line.wanted, line.dollars, line.drift_bps, line.projected_drift_bps) == (D(-10000), D(10000), D(1000), 0)


def test_direction_sell_only_sells_and_does_not_buy():
    inputs = case(BALANCED, account(held("A", "700"), held("B", "300")))
    plan = planned(inputs, direction=TradeDirection.SELL_ONLY)
    assert traded(plan) == [(Side.SELL, "A", D(100))]
    assert lines(plan)["B"].limited_by is LimitedBy.DIRECTION


# --- sells ----------------------------------------------------------------------------------------


def test_an_untargeted_holding_is_sold_whole_and_its_fraction_reported():
    plan = planned(
        case({"A": "1"}, account(held("A", "80"), held("X", "20.25"))),
    )
    line = lines(plan)["X"]
    assert (line.quantity, line.remainder, line.untargeted) == (D(20), D("0.25"), True)
    assert line.reason.endswith("held without a target; 0.25 of a share stays, only whole shares can be sold")
    assert not lines(plan)["A"].untargeted


def test_an_exit_from_everything_held_is_exempt_from_the_minimum_and_a_trim_is_not():
    own = account(held("A", "970"), held("X", "6"), held("Y", "24"))
    changes = {"min_order_usd": D(1000)}
    plan = planned(case({"A": "0.97", "Y": "0.018", "B": "0.012"}, own), **changes)
    assert traded(plan)[0] == (Side.SELL, "X", D(6))
    assert lines(plan)["Y"].limited_by is LimitedBy.MINIMUM
    assert lines(plan)["Y"].reason.endswith("not traded: below min_order_usd 1000")


def test_a_debit_that_would_remain_rounds_sells_up():
    # 99 960 USD in all, target A: 5 440 USD or 54.4 shares too many
    inputs = case({"A": "1"}, account(held("A", "1054"), cash={USD: "-5440"}))
    assert traded(planned(inputs)) == [(Side.SELL, "A", D(55))]
    assert traded(planned(inputs, allow_margin=True)) == [(Side.SELL, "A", D(54))]


def test_a_debit_that_the_sells_repay_rounds_to_the_nearest():
    # 2 % more to sell: 74.392 shares
    inputs = case({"A": "0.98"}, account(held("A", "1054"), cash={USD: "-5440"}))
    assert traded(planned(inputs)) == [(Side.SELL, "A", D(74))]


def test_a_sell_that_is_rounded_up_is_never_more_than_held():
    # A sells 10 and B, of which 0.005 shares are to stay, 10: 40 USD remain owed, and 10.395 goes up to 11
    inputs = case({"A": "1", "B": "0.00000049"}, account(held("A", "10000"), held("B", "10.4"), cash={USD: "-2040"}))
    line = lines(planned(inputs, per_holding_band_bps=D(1)))["B"]
    assert (line.quantity, line.limited_by) == (D(10), LimitedBy.HELD)
    assert line.reason.endswith("no more than held: 10 of 10 shares")


@pytest.mark.parametrize(
    ("changes", "closed", "shares", "dollars"),
    [
        ({"min_fx_order_usd": D(0)}, None, 54, 41),
        ({"min_fx_order_usd": D(0), "prefer_market_hours": True}, "weekend", 55, 0),
        ({"min_fx_order_usd": D(1000)}, None, 55, 0),
    ],
)
def test_a_debit_that_a_conversion_repays_rounds_to_the_nearest(changes, closed, shares, dollars):
    own = account(held("A", "1054"), cash={USD: "-5440", CAD: "12500"})
    # 109 960 USD in all: 54.46 shares too many, and the nearest 54 leave a debit of 40 USD
    plan = planned(case({"A": "0.909"}, own, fx_closed=closed), fx__enabled=True, **changes)
    assert traded(plan) == [(Side.SELL, "A", D(shares))]
    assert plan.fx.quantity == dollars


def test_the_maximum_limits_every_line_exits_too():
    own = account(held("X", "500"), held("A", "500"))
    plan = planned(case({"A": "0.6", "B": "0.4"}, own), max_order_usd=D(5050))
    # A and B want 10 000 and 40 000, 5 050 at most each, and share the 5 000 that X brings
    assert traded(plan) == [(Side.SELL, "X", D(50)), (Side.BUY, "A", D(25)), (Side.BUY, "B", D(25))]
    assert lines(plan)["X"].limited_by is LimitedBy.MAXIMUM
    assert lines(plan)["X"].reason.endswith("max_order_usd 5050 allows 50 of 500 shares")


@pytest.mark.parametrize(("weights", "shares"), [({"A": "0.1", "B": "0.9"}, 86), ({"A": "0", "B": "1"}, 100)])
def test_a_maximum_that_leaves_less_than_the_minimum_is_the_reason_of_a_sell(weights, shares):
    own = account(held("A", "100", "700"), held("B", "300"))
    plan = planned(case(weights, own, at("A", "700")), max_order_usd=D(600), min_order_usd=D(500))
    line = lines(plan)["A"]
    assert (line.quantity, line.limited_by) == (D(0), LimitedBy.MAXIMUM)
    assert line.reason.endswith(f"; max_order_usd 600 allows 0 of {shares} shares")


@pytest.mark.parametrize(("price", "shares"), [("700", "143"), ("400", "250")])
def test_a_maximum_that_leaves_less_than_the_minimum_is_the_reason_of_a_buy(price, shares):
    limits = {"max_order_usd": D(600), "min_order_usd": D(500)}
    plan = planned(case({"A": "1"}, account(cash={USD: "100000"}), at("A", price)), **limits)
    assert traded(plan) == []
    assert lines(plan)["A"].limited_by is LimitedBy.MAXIMUM
    assert lines(plan)["A"].reason.endswith(f"; max_order_usd 600 allows 0 of {shares} shares")


def test_a_share_dearer_than_the_maximum_is_not_bought():
    plan = planned(case({"A": "1"}, account(cash={USD: "9000"})), max_order_usd=D(99))
    assert (traded(plan), lines(plan)["A"].limited_by) == ([], LimitedBy.MAXIMUM)


def test_fractions_are_traded_only_where_setting_and_contract_agree():
    own = account(cash={USD: "10000"})
    contracts = {"A": etf("A", fractional=True)}
    inputs = case({"A": "0.33337", "B": "0.33337"}, own, contracts=contracts)
    assert traded(planned(inputs)) == [(Side.BUY, "A", D(33)), (Side.BUY, "B", D(33))]
    plan = planned(inputs, allow_fractional=True)
    assert traded(plan) == [(Side.BUY, "A", D("33.337")), (Side.BUY, "B", D(33))]


# --- buys and money -------------------------------------------------------------------------------


def test_buys_are_scaled_by_the_money_after_sells():
    own = account(held("A", "500"), held("X", "100"), cash={USD: "100"})
    changes = {"per_holding_band_bps": D(2000)}
    plan = planned(case({"A": "0.5", "B": "0.25", "C": "0.25"}, own), **changes)
    # A is 199.5 shares over, a tie toward fewer; X stays inside its band; B and C want 150 shares each
    assert traded(plan) == [(Side.SELL, "A", D(199)), (Side.BUY, "B", D(100)), (Side.BUY, "C", D(100))]
    assert {line.limited_by for line in plan.buys} == {LimitedBy.MONEY}


def test_commissions_are_set_aside_for_every_order():
    own = account(held("A", "60"), held("X", "40"), cash={USD: "2"})
    changes = {"commission_per_order_usd": D(1)}
    plan = planned(case(BALANCED, own), **changes)
    # sells bring 4 000; one dollar for the sell and one for the buy are there
    assert traded(plan) == [(Side.SELL, "X", D(40)), (Side.BUY, "B", D(40))]
    assert plan.totals.cash_after[USD] == 0
    poorer = planned(case(BALANCED, replace(own, cash={USD: D("1.99")})), **changes)
    assert traded(poorer) == [(Side.SELL, "X", D(40)), (Side.BUY, "B", D(39))]
    assert lines(poorer)["B"].reason.endswith("the money allows 39 of 40 shares")


def test_the_cash_buffer_stays():
    changes = {"cash_buffer_pct": D(10)}
    plan = planned(case({"A": "1"}, account(cash={USD: "10000"})), **changes)
    assert (traded(plan), plan.totals.cash_after[USD]) == ([(Side.BUY, "A", D(90))], D(1000))


def test_buys_are_counted_at_their_worst_price():
    quote = at("A", "100", "0.20")
    # mid + 0.25 × 0.40 = 100.10: 100 shares would cost 10 010
    plan = planned(case({"A": "1"}, account(cash={USD: "10000"}), quote))
    line = lines(plan)["A"]
    assert (line.quantity, line.limit.limit_price, line.limited_by) == (D(99), D("100.10"), LimitedBy.MONEY)
    assert (line.dollars, plan.totals.cash_after[USD]) == (D(9900), D("90.10"))
    assert plan.totals.spread_cost == D("9.90")


def test_a_buy_below_the_minimum_is_dropped_and_frees_its_money():
    weights = {"A": "0.60", "B": "0.36", "C": "0.04"}
    changes = {"min_order_usd": D(500)}
    plan = planned(case(weights, account(cash={USD: "10000"})), **changes)
    assert traded(plan) == [(Side.BUY, "A", D(60)), (Side.BUY, "B", D(36))]
    assert lines(plan)["C"].limited_by is LimitedBy.MINIMUM


def test_a_buy_of_less_than_half_a_share_says_so():
    changes = {"per_holding_band_bps": D(10)}
    plan = planned(case({"A": "0.996", "B": "0.004"}, account(cash={USD: "10000"})), **changes)
    assert lines(plan)["B"].limited_by is LimitedBy.ROUNDING
    assert lines(plan)["B"].reason.endswith("not traded: less than half a share")


def test_a_plan_above_the_turnover_limit_is_refused_by_its_figure():
    inputs = case(BALANCED, account(held("A", "700"), held("B", "300")))
    assert planned(inputs, max_turnover_pct=D(20)).totals.turnover_pct == 20
    with pytest.raises(SafetyRefused, match=r"20\.00 % of NetLiq .* max_turnover_pct 19\.99"):
        planned(inputs, max_turnover_pct=D("19.99"))


def test_a_fraction_that_may_not_be_traded_says_so():
    plan = planned(
        case({"A": "1"}, account(held("A", "100"), held("OLD", "0.8177", "100"))),
        per_holding_band_bps=D(0),
    )
    assert lines(plan)["OLD"].reason == (
        "overweight by 81.11 bps, band 0 bps: sell down to the target; held without a target;"
        " not traded: fractions of a share may not be traded; 0.8177 of a share stays, only whole shares can be sold"
    )
