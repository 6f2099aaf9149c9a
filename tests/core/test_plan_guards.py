"""The plan at its edges: borrowing, conversion, quotes that may not be used, and what a person approves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW
from planning_builders import account, at, case, held, lines, planned, targets, traded

from core.errors import DataRefused, FundsInsufficient, MarketDataMissing
from core.model import (
    CAD,
    USD,
    USD_CAD,
    EscalateAction,
    LimitedBy,
    MarketDataType,
    Mode,
    OrderType,
    Side,
    StaleAction,
)
from core.money import D, Money

BALANCED = {"A": "0.6", "B": "0.4"}


# --- borrowing ------------------------------------------------------------------------------------


LEVERED = {"A": "0.9", "B": "0.6", "CASH": "-0.5"}


def test_cash_minus_50_with_assets_150_plans_150_percent_gross_and_100_net():
    plan = planned(case(LEVERED, account(cash={USD: "100000"})), allow_margin=True)
    assert traded(plan) == [(Side.BUY, "A", D(900)), (Side.BUY, "B", D(600))]
    assert (plan.totals.gross_after, plan.totals.net_after) == (D("1.5"), D(1))
    assert plan.totals.cash_after[USD] == D(-50000)


def test_the_leverage_guard_cuts_buys():
    sizing = {"allow_margin": True, "max_leverage": D("1.2")}
    plan = planned(case(LEVERED, account(cash={USD: "100000"})), **sizing)
    assert plan.totals.gross_after == D("1.2")
    assert {line.limited_by for line in plan.buys} == {LimitedBy.LEVERAGE}
    assert "the borrowing limits allow" in plan.buys[0].reason


def test_the_maintenance_buffer_cuts_buys():
    sizing = {"allow_margin": True, "maintenance_margin_pct": D(75)}
    plan = planned(case(LEVERED, account(cash={USD: "100000"})), **sizing)
    assert plan.totals.buys == D(120000)
    assert {line.limited_by for line in plan.buys} == {LimitedBy.LEVERAGE}


def test_the_maintenance_buffer_allows_exactly_what_its_formula_says():
    own = account(cash={USD: "100000"}, excess_liquidity=Money(D(20000), USD))
    sizing = {"allow_margin": True, "commission_per_order_usd": D(1)}
    # (20 000 − 10 % of 100 000) / 25 % = 40 000, and no commission off it
    assert traded(planned(case({"A": "1.5", "CASH": "-0.5"}, own), **sizing)) == [(Side.BUY, "A", D(400))]


def test_a_levered_account_buys_until_its_debit_is_at_the_limit():
    own = account(held("A", "830"), held("B", "650"), cash={USD: "-48000"})
    changes = {"allow_margin": True, "cash_buffer_pct": D(1)}
    # 99 000 investable: the debit may be 49 500, so 1 500 of the 6 100 wanted of A; B is inside its band of 600
    plan = planned(case(LEVERED, own), **changes, per_holding_band_bps=D(600))
    assert traded(plan) == [(Side.BUY, "A", D(15))]
    assert plan.totals.cash_after[USD] == D(-49500)


def test_an_unlevered_target_never_borrows_though_margin_is_allowed():
    quote = at("A", "100", "0.20")
    plan = planned(case({"A": "1"}, account(cash={USD: "10000"}), quote), allow_margin=True)
    assert plan.totals.cash_after[USD] >= 0
    assert lines(plan)["A"].limited_by is LimitedBy.MONEY


def test_an_account_over_its_leverage_sells_and_does_not_buy():
    own = account(held("A", "200"), cash={USD: "-8000"})
    plan = planned(case({"A": "0.5", "B": "0.5"}, own), allow_margin=True)
    assert traded(plan) == [(Side.SELL, "A", D(140))]
    assert lines(plan)["B"].limited_by is LimitedBy.LEVERAGE


def test_a_broken_margin_says_what_is_missing():
    own = account(held("A", "120"), cash={USD: "-2000"}, excess_liquidity=Money(D(900), USD))
    with pytest.raises(FundsInsufficient, match=r"excess liquidity is 100\.00 USD below the maintenance buffer"):
        planned(case({"A": "1.2", "CASH": "-0.2"}, own), allow_margin=True)
    with pytest.raises(FundsInsufficient, match=r"gross position value is 1000\.00 USD above max_leverage 1\.1"):
        planned(
            case({"A": "1.2", "CASH": "-0.2"}, replace(own, excess_liquidity=Money(D(9000), USD))),
            allow_margin=True,
            max_leverage=D("1.1"),
        )


def test_without_margin_a_broken_limit_stops_nothing():
    own = account(held("A", "120"), cash={USD: "-2000"}, excess_liquidity=Money(D(0), USD))
    assert traded(planned(case({"A": "1"}, own))) == [(Side.SELL, "A", D(20))]


# --- conversion -----------------------------------------------------------------------------------


def test_a_cad_only_account_funds_its_usd_buys_by_buying_usd_cad_with_a_buffer():
    own = account(cash={CAD: "125000"}, base=CAD)
    changes = {"fx__enabled": True, "cash_buffer_pct": D(1)}
    plan = planned(case(BALANCED, own), **changes)
    # 99 000 USD wanted × 1.002 = 99 198
    assert (plan.fx.shortfall, plan.fx.quantity, plan.fx.funding_needed) == (D(99000), D(99198), D("123997.50"))
    # of the 990 shares one is not bought: at the worst rate of 1.250625 the 752 USD of CAD left do not hold
    # the buffer of 1 000
    assert sum(line.quantity for line in plan.buys) == 989
    assert plan.totals.cash_after == {USD: D(298), CAD: D("1002.50")}


def test_without_conversion_there_is_no_leg_and_cad_buys_nothing():
    plan = planned(case(BALANCED, account(cash={CAD: "125000"})))
    assert plan.fx is None
    assert traded(plan) == []
    assert {line.limited_by for line in plan.lines} == {LimitedBy.MONEY}


def test_a_conversion_alone_is_a_trade():
    own = account(held("A", "120"), cash={USD: "-2000", CAD: "2500"})
    plan = planned(case({"A": "1"}, own), fx__enabled=True)
    assert (traded(plan), plan.fx.shortfall, plan.fx.quantity, plan.trades) == ([], D(2000), D(2000), True)


def test_usd_cad_missing_aborts_only_when_it_is_needed():
    gone = at(USD_CAD, bid=None, ask=None, last=None)
    rich = account(cash={USD: "10000", CAD: "1"})
    assert planned(case(BALANCED, rich, gone), fx__enabled=True).fx.quantity == 0
    with pytest.raises(MarketDataMissing, match=r"USD\.CAD"):
        planned(case(BALANCED, account(cash={CAD: "12500"}), gone), fx__enabled=True)


def test_a_limit_for_usd_cad_lies_on_its_tick_of_half_a_pip():
    inputs = case(BALANCED, account(cash={CAD: "125000"}), at(USD_CAD, "1.25003", "0.00002"))
    plan = planned(inputs, fx__enabled=True, fx__order_type=OrderType.LMT)
    # 1.25005 × 1.0005 = 1.250675025
    assert plan.fx.limit_price == D("1.25065")


# --- quotes ---------------------------------------------------------------------------------------


OLD = {"taken_at": NOW - timedelta(seconds=11)}


def test_a_stale_quote_refuses_where_orders_are_sent_even_of_a_symbol_that_would_not_trade():
    inputs = case(BALANCED, account(held("A", "600"), held("B", "400")), at("A", **OLD), at("B", **OLD))
    with pytest.raises(MarketDataMissing, match="A, B"):
        planned(inputs)


def test_a_stale_quote_is_a_warning_where_no_orders_are_sent_or_by_setting():
    inputs = case(BALANCED, account(held("A", "600"), held("B", "400")), at("A", **OLD))
    rehearsed = planned(replace(inputs, mode=Mode.DRY_RUN))
    assert rehearsed.warnings == ("valued by stale quotes: A",)
    assert planned(inputs, stale_action=StaleAction.ESCALATE).warnings == rehearsed.warnings


def test_a_stale_quote_escalates_the_limit_of_a_line():
    inputs = case({"A": "1"}, account(cash={USD: "10000"}), at("A", "99", "0.20", **OLD))
    plan = planned(inputs, stale_action=StaleAction.ESCALATE)
    assert plan.buys[0].limit.limit_price == D("99.20")
    assert [warning[:2] for warning in plan.warnings] == ["A:"]


def test_a_wide_spread_crosses_or_goes_to_market():
    inputs = case({"A": "1"}, account(cash={USD: "10000"}), at("A", "99", "1"))
    assert planned(inputs).buys[0].limit.limit_price == D(100)
    market = planned(inputs, escalate_action=EscalateAction.MARKET).buys[0].limit
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
    first = planned(inputs, fx__enabled=True, fx_buffer_bps=D(0))
    assert planned(inputs, fx__enabled=True, fx_buffer_bps=D(20)).hash != first.hash


def test_a_plan_expires():
    plan = planned(BASE, timeout_seconds=15 * 60)
    assert (plan.created_at, plan.expires_at) == (NOW, NOW + timedelta(minutes=15))


def test_an_account_that_cannot_be_planned_for_is_refused():
    with pytest.raises(DataRefused):
        planned(case(BALANCED, account(held("A", "-1"), cash={USD: "1000"})))
