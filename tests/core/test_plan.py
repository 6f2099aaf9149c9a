"""The whole plan, with numbers worked by hand: everything costs 100.00 unless a test says otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, limit_rules, quote_rules
from planning_builders import (
    account,
    at,
    case,
    etf,
    funding_rules,
    held,
    plan_rules,
    share,
    sizing_rules,
    targets,
    trigger_rules,
    valuation_rules,
)

from core.errors import DataRefused, FundsInsufficient, MarketDataMissing, SafetyRefused
from core.model import (
    CAD,
    USD,
    USD_CAD,
    Cut,
    Direction,
    EscalateAction,
    MarketDataType,
    Mode,
    OrderType,
    Side,
    StaleAction,
)
from core.money import D, Money
from core.plan import make_plan

BALANCED = {"A": "0.6", "B": "0.4"}


def planned(inputs, **rules):
    return make_plan(inputs, plan_rules(**rules))


def lines(plan):
    return {line.symbol: line for line in plan.lines}


def traded(plan):
    return [(line.side, line.symbol, line.quantity) for line in plan.lines if line.quantity]


# --- what trades ----------------------------------------------------------------------------------


def test_nothing_trades_inside_the_bands():
    plan = planned(case(BALANCED, account(held("A", "605"), held("B", "395"))))
    assert traded(plan) == []
    assert not plan.trades
    assert [line.cut for line in plan.lines] == [Cut.BAND, Cut.BAND]
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
    plan = planned(inputs, trigger=trigger_rules(direction=Direction.SELL_ONLY))
    assert traded(plan) == [(Side.SELL, "A", D(100))]
    assert lines(plan)["B"].cut is Cut.DIRECTION


# --- sells ----------------------------------------------------------------------------------------


def test_an_untargeted_holding_is_sold_whole_and_its_fraction_reported():
    plan = planned(case({"A": "1"}, account(held("A", "80"), held("X", "20.25"))), sizing=sizing_rules())
    line = lines(plan)["X"]
    assert (line.quantity, line.rest, line.untargeted) == (D(20), D("0.25"), True)
    assert line.reason.endswith("held without a target; 0.25 of a share stays, only whole shares can be sold")
    assert not lines(plan)["A"].untargeted


def test_an_exit_from_everything_held_is_exempt_from_the_minimum_and_a_trim_is_not():
    own = account(held("A", "970"), held("X", "6"), held("Y", "24"))
    rules = {"sizing": sizing_rules(min_order_usd=D(1000))}
    plan = planned(case({"A": "0.97", "Y": "0.018", "B": "0.012"}, own), **rules)
    assert traded(plan)[0] == (Side.SELL, "X", D(6))
    assert lines(plan)["Y"].cut is Cut.MINIMUM
    assert lines(plan)["Y"].reason.endswith("not traded: below min_order_usd 1000")


def test_a_debit_that_would_remain_rounds_sells_up():
    # 99 960 USD in all, target A: 5 440 USD or 54.4 shares too many
    inputs = case({"A": "1"}, account(held("A", "1054"), cash={USD: "-5440"}))
    assert traded(planned(inputs)) == [(Side.SELL, "A", D(55))]
    assert traded(planned(inputs, sizing=sizing_rules(allow_margin=True))) == [(Side.SELL, "A", D(54))]


def test_a_debit_that_the_sells_repay_rounds_to_the_nearest():
    # 2 % more to sell: 74.392 shares
    inputs = case({"A": "0.98"}, account(held("A", "1054"), cash={USD: "-5440"}))
    assert traded(planned(inputs)) == [(Side.SELL, "A", D(74))]


@pytest.mark.parametrize(
    ("rules", "closed", "shares", "dollars"),
    [
        ({"min_fx_order_usd": D(0)}, None, 54, 41),
        ({"min_fx_order_usd": D(0), "prefer_market_hours": True}, "weekend", 55, 0),
        ({"min_fx_order_usd": D(1000)}, None, 55, 0),
    ],
)
def test_a_debit_that_a_conversion_repays_rounds_to_the_nearest(rules, closed, shares, dollars):
    own = account(held("A", "1054"), cash={USD: "-5440", CAD: "12500"})
    # 109 960 USD in all: 54.46 shares too many, and the nearest 54 leave a debit of 40 USD
    plan = planned(case({"A": "0.909"}, own, fx_closed=closed), funding=funding_rules(**rules))
    assert traded(plan) == [(Side.SELL, "A", D(shares))]
    assert plan.fx.quantity == dollars


def test_the_maximum_cuts_every_line_exits_too():
    own = account(held("X", "500"), held("A", "500"))
    plan = planned(case({"A": "0.6", "B": "0.4"}, own), sizing=sizing_rules(max_order_usd=D(5050)))
    # A and B want 10 000 and 40 000, 5 050 at most each, and share the 5 000 that X brings
    assert traded(plan) == [(Side.SELL, "X", D(50)), (Side.BUY, "A", D(25)), (Side.BUY, "B", D(25))]
    assert lines(plan)["X"].cut is Cut.MAXIMUM
    assert lines(plan)["X"].reason.endswith("max_order_usd 5050 allows 50 of 500 shares")


def test_a_share_dearer_than_the_maximum_is_not_bought():
    plan = planned(case({"A": "1"}, account(cash={USD: "9000"})), sizing=sizing_rules(max_order_usd=D(99)))
    assert (traded(plan), lines(plan)["A"].cut) == ([], Cut.MAXIMUM)


def test_fractions_are_traded_only_where_setting_and_contract_agree():
    own = account(cash={USD: "10000"})
    contracts = {"A": etf("A", fractional=True)}
    inputs = case({"A": "0.33337", "B": "0.33337"}, own, contracts=contracts)
    assert traded(planned(inputs)) == [(Side.BUY, "A", D(33)), (Side.BUY, "B", D(33))]
    plan = planned(inputs, sizing=sizing_rules(allow_fractional=True))
    assert traded(plan) == [(Side.BUY, "A", D("33.337")), (Side.BUY, "B", D(33))]


# --- buys and money -------------------------------------------------------------------------------


def test_buys_are_scaled_by_the_money_after_sells():
    own = account(held("A", "500"), held("X", "100"), cash={USD: "100"})
    rules = {"trigger": trigger_rules(per_holding_band_bps=D(2000))}
    plan = planned(case({"A": "0.5", "B": "0.25", "C": "0.25"}, own), **rules)
    # A is 199.5 shares over, a tie toward fewer; X stays inside its band; B and C want 150 shares each
    assert traded(plan) == [(Side.SELL, "A", D(199)), (Side.BUY, "B", D(100)), (Side.BUY, "C", D(100))]
    assert {line.cut for line in plan.buys} == {Cut.MONEY}


def test_commissions_are_set_aside_for_every_order():
    own = account(held("A", "60"), held("X", "40"), cash={USD: "2"})
    rules = {"sizing": sizing_rules(commission_per_order_usd=D(1))}
    plan = planned(case(BALANCED, own), **rules)
    # sells bring 4 000; one dollar for the sell and one for the buy are there
    assert traded(plan) == [(Side.SELL, "X", D(40)), (Side.BUY, "B", D(40))]
    assert plan.totals.cash_after[USD] == 0
    poorer = planned(case(BALANCED, replace(own, cash={USD: D("1.99")})), **rules)
    assert traded(poorer) == [(Side.SELL, "X", D(40)), (Side.BUY, "B", D(39))]
    assert lines(poorer)["B"].reason.endswith("the money allows 39 of 40 shares")


def test_the_cash_buffer_stays():
    rules = {"valuation": valuation_rules(cash_buffer_pct=D(10))}
    plan = planned(case({"A": "1"}, account(cash={USD: "10000"})), **rules)
    assert (traded(plan), plan.totals.cash_after[USD]) == ([(Side.BUY, "A", D(90))], D(1000))


def test_buys_are_counted_at_their_worst_price():
    quote = at("A", "100", "0.20")
    # mid + 0.25 × 0.40 = 100.10: 100 shares would cost 10 010
    plan = planned(case({"A": "1"}, account(cash={USD: "10000"}), quote))
    line = lines(plan)["A"]
    assert (line.quantity, line.limit.limit_price, line.cut) == (D(99), D("100.10"), Cut.MONEY)
    assert (line.dollars, plan.totals.cash_after[USD]) == (D(9900), D("90.10"))
    assert plan.totals.spread_cost == D("9.90")


def test_a_buy_below_the_minimum_is_dropped_and_frees_its_money():
    weights = {"A": "0.60", "B": "0.36", "C": "0.04"}
    rules = {"sizing": sizing_rules(min_order_usd=D(500))}
    plan = planned(case(weights, account(cash={USD: "10000"})), **rules)
    assert traded(plan) == [(Side.BUY, "A", D(60)), (Side.BUY, "B", D(36))]
    assert lines(plan)["C"].cut is Cut.MINIMUM


def test_a_buy_of_less_than_half_a_share_says_so():
    rules = {"trigger": trigger_rules(per_holding_band_bps=D(10))}
    plan = planned(case({"A": "0.996", "B": "0.004"}, account(cash={USD: "10000"})), **rules)
    assert lines(plan)["B"].cut is Cut.ROUNDING
    assert lines(plan)["B"].reason.endswith("not traded: less than half a share")


def test_a_plan_above_the_turnover_limit_is_refused_by_its_figure():
    inputs = case(BALANCED, account(held("A", "700"), held("B", "300")))
    assert planned(inputs, sizing=sizing_rules(max_turnover_pct=D(20))).totals.turnover_pct == 20
    with pytest.raises(SafetyRefused, match=r"20\.00 % of NetLiq .* max_turnover_pct 19\.99"):
        planned(inputs, sizing=sizing_rules(max_turnover_pct=D("19.99")))


# --- borrowing ------------------------------------------------------------------------------------


LEVERED = {"A": "0.9", "B": "0.6", "CASH": "-0.5"}


def test_cash_minus_50_with_assets_150_plans_150_percent_gross_and_100_net():
    plan = planned(case(LEVERED, account(cash={USD: "100000"})), sizing=sizing_rules(allow_margin=True))
    assert traded(plan) == [(Side.BUY, "A", D(900)), (Side.BUY, "B", D(600))]
    assert (plan.totals.gross_after, plan.totals.net_after) == (D("1.5"), D(1))
    assert plan.totals.cash_after[USD] == D(-50000)


def test_the_leverage_guard_cuts_buys():
    sizing = sizing_rules(allow_margin=True, max_leverage=D("1.2"))
    plan = planned(case(LEVERED, account(cash={USD: "100000"})), sizing=sizing)
    assert plan.totals.gross_after == D("1.2")
    assert {line.cut for line in plan.buys} == {Cut.LEVERAGE}
    assert "the limits of borrowing allow" in plan.buys[0].reason


def test_the_maintenance_buffer_cuts_buys():
    sizing = sizing_rules(allow_margin=True, maintenance_margin_pct=D(75))
    plan = planned(case(LEVERED, account(cash={USD: "100000"})), sizing=sizing)
    assert plan.totals.buys == D(120000)
    assert {line.cut for line in plan.buys} == {Cut.LEVERAGE}


def test_an_unlevered_target_never_borrows_though_margin_is_allowed():
    quote = at("A", "100", "0.20")
    plan = planned(case({"A": "1"}, account(cash={USD: "10000"}), quote), sizing=sizing_rules(allow_margin=True))
    assert plan.totals.cash_after[USD] >= 0
    assert lines(plan)["A"].cut is Cut.MONEY


def test_an_account_over_its_leverage_sells_and_does_not_buy():
    own = account(held("A", "200"), cash={USD: "-8000"})
    plan = planned(case({"A": "0.5", "B": "0.5"}, own), sizing=sizing_rules(allow_margin=True))
    assert traded(plan) == [(Side.SELL, "A", D(140))]
    assert lines(plan)["B"].cut is Cut.LEVERAGE


def test_a_broken_margin_says_what_is_missing():
    own = account(held("A", "120"), cash={USD: "-2000"}, excess_liquidity=Money(D(900), USD))
    with pytest.raises(FundsInsufficient, match=r"excess liquidity is 100\.00 USD below the maintenance buffer"):
        planned(case({"A": "1.2", "CASH": "-0.2"}, own), sizing=sizing_rules(allow_margin=True))
    with pytest.raises(FundsInsufficient, match=r"gross position value is 1000\.00 USD above max_leverage 1\.1"):
        planned(
            case({"A": "1.2", "CASH": "-0.2"}, replace(own, excess_liquidity=Money(D(9000), USD))),
            sizing=sizing_rules(allow_margin=True, max_leverage=D("1.1")),
        )


def test_without_margin_a_broken_limit_stops_nothing():
    own = account(held("A", "120"), cash={USD: "-2000"}, excess_liquidity=Money(D(0), USD))
    assert traded(planned(case({"A": "1"}, own))) == [(Side.SELL, "A", D(20))]


# --- conversion -----------------------------------------------------------------------------------


def test_a_cad_only_account_funds_its_usd_buys_by_buying_usd_cad_with_a_buffer():
    own = account(cash={CAD: "125000"}, base=CAD)
    rules = {"funding": funding_rules(), "valuation": valuation_rules(cash_buffer_pct=D(1))}
    plan = planned(case(BALANCED, own), **rules)
    # 99 000 USD wanted × 1.002 = 99 198
    assert (plan.fx.shortfall, plan.fx.quantity, plan.fx.cad_needed) == (D(99000), D(99198), D("123997.50"))
    # of the 990 shares one is not bought: at the worst rate of 1.250625 the 752 USD of CAD left do not hold
    # the buffer of 1 000
    assert sum(line.quantity for line in plan.buys) == 989
    assert plan.totals.cash_after == {USD: D(298), CAD: D("1002.50")}


def test_without_conversion_there_is_no_leg_and_cad_buys_nothing():
    plan = planned(case(BALANCED, account(cash={CAD: "125000"})))
    assert plan.fx is None
    assert traded(plan) == []
    assert {line.cut for line in plan.lines} == {Cut.MONEY}


def test_a_conversion_alone_is_a_trade():
    own = account(held("A", "120"), cash={USD: "-2000", CAD: "2500"})
    plan = planned(case({"A": "1"}, own), funding=funding_rules())
    assert (traded(plan), plan.fx.shortfall, plan.fx.quantity, plan.trades) == ([], D(2000), D(2000), True)


def test_usd_cad_missing_aborts_only_when_it_is_needed():
    gone = at(USD_CAD, bid=None, ask=None, last=None)
    rich = account(cash={USD: "10000", CAD: "1"})
    assert planned(case(BALANCED, rich, gone), funding=funding_rules()).fx.quantity == 0
    with pytest.raises(MarketDataMissing, match=r"USD\.CAD"):
        planned(case(BALANCED, account(cash={CAD: "12500"}), gone), funding=funding_rules())


def test_a_limit_for_usd_cad_lies_on_its_tick():
    inputs = case(BALANCED, account(cash={CAD: "125000"}), at(USD_CAD, "1.25003", "0.00002"))
    plan = planned(inputs, funding=funding_rules(order_type=OrderType.LMT))
    # 1.25005 × 1.0005 = 1.250675025, on the builders' tick of a cent
    assert plan.fx.limit_price == D("1.25")
    del inputs.contracts[USD_CAD]
    unnamed = planned(inputs, funding=funding_rules(order_type=OrderType.LMT))
    assert unnamed.fx.limit_price == D("1.25065")


# --- quotes ---------------------------------------------------------------------------------------


OLD = {"taken_at": NOW - timedelta(seconds=11)}


def test_a_stale_quote_refuses_where_orders_are_sent_even_of_a_symbol_that_would_not_trade():
    inputs = case(BALANCED, account(held("A", "600"), held("B", "400")), at("A", **OLD), at("B", **OLD))
    with pytest.raises(MarketDataMissing, match="A, B"):
        planned(inputs)


def test_a_stale_quote_is_a_warning_where_no_orders_are_sent_or_by_setting():
    inputs = case(BALANCED, account(held("A", "600"), held("B", "400")), at("A", **OLD))
    rehearsed = planned(inputs, sends_orders=False, quotes=quote_rules(stale_action=StaleAction.WARN))
    assert rehearsed.warnings == ("valued by stale quotes: A",)
    assert planned(inputs, quotes=quote_rules(stale_action=StaleAction.ESCALATE)).warnings == rehearsed.warnings


def test_a_stale_quote_escalates_the_limit_of_a_line():
    inputs = case({"A": "1"}, account(cash={USD: "10000"}), at("A", "99", "0.20", **OLD))
    plan = planned(inputs, quotes=quote_rules(stale_action=StaleAction.ESCALATE))
    assert plan.buys[0].limit.limit_price == D("99.20")
    assert [warning[:2] for warning in plan.warnings] == ["A:"]


def test_a_wide_spread_crosses_or_goes_to_market():
    inputs = case({"A": "1"}, account(cash={USD: "10000"}), at("A", "99", "1"))
    assert planned(inputs).buys[0].limit.limit_price == D(100)
    market = planned(inputs, limits=limit_rules(escalate_action=EscalateAction.MARKET)).buys[0].limit
    assert (market.order_type, market.limit_price, market.worst_price) == (OrderType.MKT, None, D("100.10"))


def test_quotes_that_are_not_live_are_refused_in_live_and_warned_of_elsewhere():
    late = at("A", data_type=MarketDataType.DELAYED)
    inputs = case(BALANCED, account(held("A", "600"), held("B", "400")), late)
    assert planned(inputs).warnings == ("valued by quotes that are not live: A",)
    with pytest.raises(MarketDataMissing, match="not live: A"):
        planned(replace(inputs, mode=Mode.LIVE))


def test_a_symbol_that_does_not_trade_needs_no_market():
    one_sided = at("A", bid=None)
    plan = planned(case(BALANCED, account(held("A", "600"), held("B", "400")), one_sided))
    assert not plan.trades


def test_the_gap_to_the_brokers_net_liq_is_a_warning_of_the_plan():
    own = account(cash={USD: "10000"}, net_liq=Money(D(10300), USD))
    assert "apart" in planned(case({"A": "1"}, own)).warnings[0]


# --- the hash -------------------------------------------------------------------------------------


BASE = case(BALANCED, account(held("A", "700"), held("B", "300")))


@pytest.mark.parametrize(
    "other",
    [
        replace(BASE, mode=Mode.DRY_RUN),
        replace(BASE, run_id="ZZZZZZZZZZ22"),
        replace(BASE, now=NOW + timedelta(seconds=1)),
        replace(BASE, snapshot=replace(BASE.snapshot, account_id="DU7654321")),
        replace(BASE, targets=targets({"A": "0.61", "B": "0.39"})),
        replace(BASE, quotes=BASE.quotes | {"A": at("A", "100", "0.20")}),
    ],
)
def test_the_hash_changes_with_what_is_approved(other):
    assert planned(other).hash != planned(BASE).hash


def test_the_hash_is_the_same_for_the_same_numbers_written_differently():
    longer = replace(BASE, quotes=BASE.quotes | {"A": at("A", "100.0000"), "B": at("B", "1E+2")})
    assert planned(longer).hash == planned(BASE).hash
    assert len(planned(BASE).hash) == 64


def test_the_hash_covers_the_conversion():
    inputs = case({"A": "0.6"}, account(cash={USD: "50000", CAD: "62500"}))
    first = planned(inputs, funding=funding_rules(fx_buffer_bps=D(0)))
    assert planned(inputs, funding=funding_rules(fx_buffer_bps=D(20))).hash != first.hash


def test_a_plan_expires():
    plan = planned(BASE, plan_lifetime=timedelta(minutes=15))
    assert (plan.created_at, plan.expires_at) == (NOW, NOW + timedelta(minutes=15))


def test_an_account_that_cannot_be_planned_for_is_refused():
    with pytest.raises(DataRefused):
        planned(case(BALANCED, account(held("A", "-1"), cash={USD: "1000"})))
