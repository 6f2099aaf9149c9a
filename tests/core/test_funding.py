"""Money for buys: cash, conversion and borrowing, with numbers worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st
from planning_builders import account, at, case, held, plan_settings, targets

from core.errors import MarketDataMissing
from core.market.quotes import judge
from core.model import CAD, FUNDING, USD, USD_CAD, ConvertMode, LimitedBy, OrderType, QuoteRefusal, Side, StaleAction
from core.money import D, Money
from core.planning.funding import (
    BuyCosts,
    FxMarket,
    FxNeed,
    Proceeds,
    affordable,
    budget_for,
    convert,
    convertible,
    free_cash,
    fx_market,
    headroom,
)
from core.planning.valuation import value_account

NO_COSTS = BuyCosts(0, D(0), D(0))


def market(quote, *, sends_orders=True, **changes):
    settings = plan_settings(fx__enabled=True, **changes)
    quotes = {USD_CAD: judge(quote, settings, NOW)} if quote else {}
    return fx_market(quotes, settings, sends_orders=sends_orders)


def need(*, wanted_cost="0", usd="0", cad="0", sells="0", buffer="0"):
    return FxNeed(D(wanted_cost), D(usd), D(cad), D(sells), D(buffer))


MARKET = FxMarket(mid=D("1.25"), planning=D("1.25"), worst=D("1.251"))


def converted(wants, closed=None, market=MARKET, **changes):
    return convert(wants, market, closed, plan_settings(fx__enabled=True, **changes).fx)


# --- USD.CAD --------------------------------------------------------------------------------------


def test_the_worst_rate_is_the_ask_and_slippage_and_the_planning_rate_the_mid_or_the_ask():
    quote = at(USD_CAD, "1.3600", "0.0002")
    # 1.3602 × 1.0005 = 1.3608801
    assert market(quote) == FxMarket(D("1.36"), D("1.36"), D("1.3608801"), spread=D("0.0004"))
    assert market(quote, use_mid_for_planning=False).planning == D("1.3602")


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({"bid": None}, "no usable bid and ask"),
        ({"bid": D("1.4"), "ask": D("1.3")}, "no usable bid and ask"),
        ({"taken_at": NOW - timedelta(seconds=11)}, "the quote is stale"),
    ],
)
def test_an_order_is_not_planned_on_a_quote_that_is_not_usable(changes, why_not):
    found = market(at(USD_CAD, "1.36", **changes))
    assert (found.why_not, found.worst, found.planning) == (why_not, None, None)


def test_a_missing_quote_gives_no_rates_in_any_mode():
    assert market(None).why_not == market(None, sends_orders=False).why_not == "no quote"


def test_a_stale_quote_is_used_with_a_warning_where_it_may_be():
    old = at(USD_CAD, "1.36", taken_at=NOW - timedelta(seconds=11))
    assert market(old, stale_action=StaleAction.ESCALATE).warning == "USD.CAD: stale quote"
    assert market(old, sends_orders=False).warning == "USD.CAD: stale quote"


def test_modes_that_send_no_orders_plan_with_any_price():
    found = market(at(USD_CAD, "1.36", bid=None), sends_orders=False)
    assert (found.planning, found.worst) == (D("1.36"), D("1.36068"))
    assert found.warning == "USD.CAD: no usable bid and ask, planned at last"
    nothing = at(USD_CAD, bid=None, ask=None, last=None)
    assert market(nothing, sends_orders=False).why_not == "no usable bid and ask"


@pytest.mark.parametrize("sends_orders", [True, False])
def test_a_pair_whose_data_the_broker_refuses_has_no_rate_and_says_so_in_its_words(sends_orders):
    refusal = QuoteRefusal("Not subscribed. (354)", "subscribe")
    long_ago = NOW - timedelta(minutes=1)
    refused = at(USD_CAD, bid=None, ask=None, last=None, refusal=refusal, taken_at=long_ago)
    found = market(refused, sends_orders=sends_orders)
    with pytest.raises(MarketDataMissing, match=r"USD\.CAD: Not subscribed\. \(354\), and 5,000\.00 USD") as error:
        converted(need(wanted_cost="5000", cad="50000"), market=found)
    assert error.value.next_step == "subscribe, or set [fx] enabled = false"
    assert converted(need(usd="5000", cad="50000"), market=found).quantity == D(0)


@pytest.mark.parametrize("sends_orders", [True, False])
def test_a_snapshot_counts_only_where_the_settings_allow_it(sends_orders):
    quote = at(USD_CAD, "1.36", is_snapshot=True)
    assert market(quote, sends_orders=sends_orders).planning == D("1.36")
    refused = market(quote, sends_orders=sends_orders, fallback_to_snapshot=False)
    assert refused.planning is None


# --- the conversion -------------------------------------------------------------------------------


def test_the_shortfall_is_converted_with_its_buffer_up_to_the_whole_dollar():
    leg = converted(need(wanted_cost="40000.40", usd="10000", sells="20000", cad="50000"))
    # 10 000.40 × 1.002 = 10 020.4008
    assert (leg.shortfall, leg.quantity) == (D("10000.40"), D(10021))
    assert (leg.funding_needed, leg.worst_rate, leg.planning_rate) == (D("12526.25"), D("1.251"), D("1.25"))
    assert leg.reason == "10,000.40 USD short for the buys"


def test_a_usd_debit_is_converted_also_without_buys():
    assert converted(need(usd="-2000", cad="50000"), fx_buffer_bps=D(0)).quantity == D(2000)


def test_the_buffer_is_topped_up_only_when_asked_for():
    short = need(wanted_cost="5000", usd="4000", cad="50000", buffer="700")
    assert converted(short, fx_buffer_bps=D(0)).quantity == D(1000)
    topped = converted(short, fx_buffer_bps=D(0), convert_mode=ConvertMode.ALWAYS_TOP_UP)
    assert topped.quantity == D(1700)


def test_the_conversion_is_at_most_what_the_cad_buys_at_the_planning_rate():
    leg = converted(need(wanted_cost="90000", cad="50001"))
    # 50 001 / 1.25 = 40 000.8
    assert leg.quantity == D(40000)
    assert "limited from 90,180 USD" in leg.reason


def test_the_conversion_is_never_above_the_maximum():
    assert converted(need(wanted_cost="90000", cad="500000"), max_fx_order_usd=D("30000.5")).quantity == D(30000)


@pytest.mark.parametrize(
    ("wants", "changes", "closed", "reason"),
    [
        (need(wanted_cost="999.99", cad="50000"), {}, None, "999.99 USD short, below min_fx_order_usd 1000"),
        (need(wanted_cost="5000", cad="1249"), {}, None, "only 999 USD could be converted, below"),
        (need(wanted_cost="5000", cad="0"), {}, None, "5,000.00 USD short, but there is no CAD"),
        (need(wanted_cost="5000", cad="-10"), {}, None, "no CAD"),
        (need(wanted_cost="5000", cad="1"), {"min_fx_order_usd": D(0)}, None, "only 0 USD could be converted"),
        (
            need(wanted_cost="5000", cad="50000"),
            {"prefer_market_hours": True},
            "FX opens on Sunday at 17:15 New York",
            "no FX order is sent: FX opens on Sunday",
        ),
    ],
)
def test_no_conversion_says_why(wants, changes, closed, reason):
    leg = converted(wants, closed, **changes)
    assert (leg.quantity, leg.funding_needed, leg.limit_price, leg.warning) == (D(0), D(0), None, None)
    assert reason in leg.reason


def test_a_few_cents_of_cad_that_are_owed_buy_nothing():
    """−0.30 CAD rounds down to a whole dollar below zero."""
    owed = D("-0.30")
    assert convertible(owed, MARKET, plan_settings(fx__enabled=True).fx) == 0
    assert affordable(D(5000), owed, MARKET) == 0
    leg = converted(need(wanted_cost="5000", cad="-0.30"), min_fx_order_usd=D(0))
    assert (leg.quantity, leg.funding_needed) == (D(0), D(0))
    assert leg.reason == "no conversion: 5,000.00 USD short, but there is no CAD to convert"


def test_an_open_fx_market_converts_also_where_its_hours_are_preferred():
    assert converted(need(wanted_cost="5000", cad="50000"), prefer_market_hours=True).quantity == D(5010)


def test_exactly_the_minimum_is_converted():
    assert converted(need(wanted_cost="1000", cad="1250"), fx_buffer_bps=D(0)).quantity == D(1000)


def test_a_closed_fx_market_matters_only_by_setting():
    assert converted(need(wanted_cost="5000", cad="50000"), "closed").quantity == D(5010)


def test_a_conversion_that_is_needed_and_has_no_rate_aborts():
    with pytest.raises(MarketDataMissing, match=r"USD\.CAD: no quote, and 5,000\.00 USD must be converted"):
        converted(need(wanted_cost="5000", cad="50000"), market=FxMarket(why_not="no quote"))


def test_a_conversion_that_is_not_needed_needs_no_rate():
    assert converted(need(usd="5000", cad="50000"), market=FxMarket(why_not="no quote")).quantity == D(0)


def test_a_limit_is_the_worst_rate_down_to_the_tick_and_a_market_order_has_none():
    quoted = replace(MARKET, worst=D("1.3608801"))
    leg = converted(need(wanted_cost="5000", cad="50000"), market=quoted, fx__order_type=OrderType.LMT)
    assert (leg.order_type, leg.limit_price, leg.worst_rate) == (OrderType.LMT, D("1.36085"), D("1.3608801"))
    assert converted(need(wanted_cost="5000", cad="50000"), market=quoted).limit_price is None


@pytest.mark.parametrize(("cost", "warns"), [("24999", True), ("25000", False)])
def test_an_odd_lot_is_noted(cost, warns):
    leg = converted(need(wanted_cost=cost, cad="50000"), fx_buffer_bps=D(0))
    assert ("odd lot" in (leg.warning or "")) is warns


def test_the_warning_of_the_quote_and_the_odd_lot_stand_together():
    warned = replace(MARKET, warning="USD.CAD: stale quote")
    leg = converted(need(wanted_cost="5000", cad="50000"), market=warned)
    assert leg.warning.startswith("USD.CAD: stale quote; USD.CAD: 5,010 USD is below 25,000 USD")


def test_what_is_counted_on_is_paid_for_even_at_the_worst_rate():
    # 50 000 / 1.251 = 39 968.02
    assert affordable(D(40000), D(50000), MARKET) == D(39968)
    assert affordable(D(100), D(50000), MARKET) == D(100)
    assert affordable(D(100), D(-1), MARKET) == affordable(D(100), D(50000), FxMarket()) == D(0)
    assert convertible(D(50000), FxMarket(), plan_settings(fx__enabled=True).fx) == D(0)


@given(
    st.decimals("0", "100000", places=2),
    st.decimals("-1000", "100000", places=2),
    st.decimals("0.9", "1.9", places=5),
    st.decimals("0", "0.01", places=5),
)
def test_a_conversion_covers_the_shortfall_or_takes_all_there_is(cost, cad, mid, half_spread):
    found = market(at(USD_CAD, str(mid), str(half_spread)), min_fx_order_usd=D(0))
    leg = converted(need(wanted_cost=str(cost), cad=str(cad)), market=found, min_fx_order_usd=D(0))
    assert leg.quantity == leg.quantity.to_integral_value()
    assert leg.funding_needed <= max(cad, 0)
    assert affordable(leg.quantity, cad, found) * found.worst <= max(cad, 0)
    assert leg.quantity >= leg.shortfall or leg.quantity + 1 > cad / found.planning or cad <= 0


# --- cash and borrowing ---------------------------------------------------------------------------


def value(snapshot, weights=None, **changes):
    inputs = case(weights or {"A": "1"}, snapshot)
    planned = plan_settings(**changes)
    return value_account(snapshot, inputs.targets, inputs.contracts, inputs.judge(planned), planned)


@pytest.mark.parametrize(
    ("cash", "proceeds", "free"),
    [
        # buffer 1 % of 10 000
        ({USD: "10000"}, Proceeds(), "9900"),
        ({USD: "10000"}, Proceeds(sells=D(500), commissions=D(3)), "10397"),
        # 125 CAD are the buffer's 100 USD at the account's own rate of 0.8
        ({USD: "9900", CAD: "125"}, Proceeds(), "9900"),
        # at a worst rate of 1.30 they are 96.15, so 3.846 must stay in USD
        ({USD: "9900", CAD: "125"}, Proceeds(worst_rate=D("1.30")), "9896.153846"),
        # 10 000 USD are in CAD: 4 000 converted, 8 500 CAD left
        ({USD: "0", CAD: "12500"}, Proceeds(converted=D(4000), worst_rate=D("1.25")), "4000"),
        # 0.30 CAD that are owed are 0.24 USD at the own rate
        ({USD: "10000.24", CAD: "-0.30"}, Proceeds(), "9900"),
        # a CAD debit is owed too
        ({USD: "10100", CAD: "-125"}, Proceeds(), "9900"),
    ],
)
def test_free_cash_is_cash_and_proceeds_less_the_buffer_that_cad_does_not_hold(cash, proceeds, free):
    found = free_cash(value(account(cash=cash), cash_buffer_pct=D(1)), proceeds)
    assert found == pytest.approx(D(free), abs=D("0.000001"))


def test_cad_without_any_rate_holds_no_buffer():
    own = account(cash={USD: "10000"}, rates={USD: "1"})
    assert free_cash(value(own, cash_buffer_pct=D(1)), Proceeds()) == D(9900)


def test_without_margin_money_is_free_cash_and_never_below_zero():
    found = value(account(held("A", "100"), cash={USD: "-500"}))
    assert budget_for(found, targets({"A": "1"}), Proceeds(), NO_COSTS, plan_settings().rebalance).money == 0
    enough = budget_for(found, targets({"A": "1"}), Proceeds(sells=D(800)), NO_COSTS, plan_settings().rebalance)
    assert (enough.money, enough.limited_by) == (D(300), LimitedBy.MONEY)


def margin(**changes):
    values = {"allow_margin": True, "max_leverage": D(4), "maintenance_margin_pct": D(0)}
    return plan_settings(**values | changes).rebalance


def levered(weights=None):
    return targets(weights or {"A": "1.5", "CASH": "-0.5"})


def test_the_debit_stays_within_the_cash_weight():
    found = value(account(cash={USD: "10000"}))
    budget = budget_for(found, levered(), Proceeds(), NO_COSTS, margin())
    assert (budget.money, budget.limited_by) == (D(15000), LimitedBy.LEVERAGE)


def test_an_unlevered_target_never_borrows():
    found = value(account(cash={USD: "10000"}))
    budget = budget_for(found, targets({"A": "1"}), Proceeds(), NO_COSTS, margin())
    assert (budget.money, budget.limited_by) == (D(10000), LimitedBy.MONEY)


def test_an_account_that_owes_more_than_its_cash_weight_has_no_money():
    found = value(account(held("A", "300"), cash={USD: "-20000"}))
    assert budget_for(found, levered(), Proceeds(), NO_COSTS, margin()).money == 0


def test_gross_stays_within_max_leverage():
    found = value(account(held("A", "50"), cash={USD: "5000"}))
    # 1.2 × 10 000 − 5 000 held
    budget = budget_for(found, levered(), Proceeds(), NO_COSTS, margin(max_leverage=D("1.2")))
    assert (budget.money, budget.limited_by) == (D(7000), LimitedBy.LEVERAGE)


def test_slippage_and_commissions_take_leverage_away():
    found = value(account(cash={USD: "10000"}))
    costs = BuyCosts(orders=2, slippage=D("0.01"), commission=D(5))
    # (12 000 − 0.2 × 5 × 2) / (1 + 0.2 × 0.01) = 11 974.05
    budget = budget_for(found, levered(), Proceeds(), costs, margin(max_leverage=D("1.2")))
    assert budget.money == D("11974.05")


def test_excess_liquidity_keeps_the_maintenance_buffer():
    found = value(account(cash={USD: "10000"}))
    # (10 000 − 10 % of 10 000) / 0.75
    budget = budget_for(found, levered(), Proceeds(), NO_COSTS, margin(maintenance_margin_pct=D(75)))
    assert (budget.money, budget.limited_by) == (D(12000), LimitedBy.LEVERAGE)


def test_the_maintenance_buffer_counts_buys_alone_not_their_commissions():
    found = value(account(cash={USD: "10000"}))
    costs = BuyCosts(orders=2, slippage=D("0.01"), commission=D(5))
    # 9 000 / 0.75, and no commission is taken from that
    budget = budget_for(found, levered(), Proceeds(), costs, margin(maintenance_margin_pct=D(75)))
    assert (budget.money, budget.commission) == (D(12000), D(0))


@pytest.mark.parametrize(
    ("excess", "money", "commission"),
    [
        # (excess − 1 000) / 0.5 against 15 000 of cash and borrowing, with two commissions of 5
        ("8494.99", "14989.98", "0"),
        ("8495", "14990", "0"),
        ("8496", "14992", "5"),
        ("8500", "15000", "5"),
        ("9000", "15000", "5"),
    ],
)
def test_near_the_other_limits_the_commissions_are_counted_as_well(excess, money, commission):
    found = value(account(cash={USD: "10000"}, excess_liquidity=Money(D(excess), USD)))
    costs = BuyCosts(orders=2, slippage=D(0), commission=D(5))
    budget = budget_for(found, levered(), Proceeds(), costs, margin(maintenance_margin_pct=D(50)))
    assert (budget.money, budget.commission) == (D(money), D(commission))


@pytest.mark.parametrize(
    ("usd", "sells", "money"),
    [
        # NetLiq 10 000, buffer 100, investable 9 900, so the debit may be 4 950
        ("10000", "0", "14950"),
        ("40", "0", "4990"),
        ("0", "0", "4950"),
        ("-4000", "0", "950"),
        ("-4000", "500", "1450"),
        ("-4950", "0", "0"),
        ("-6000", "0", "0"),
    ],
)
def test_a_target_that_borrows_may_owe_its_cash_weight_and_keeps_no_buffer(usd, sells, money):
    own = account(held("A", str((10000 - int(usd)) // 20), "20"), cash={USD: usd})
    inputs = case({"A": "1.5", "CASH": "-0.5"}, own, at("A", "20"))
    planned = plan_settings(cash_buffer_pct=D(1))
    found = value_account(own, inputs.targets, inputs.contracts, inputs.judge(planned), planned)
    proceeds = Proceeds(sells=D(sells), value=D(sells))
    assert budget_for(found, levered(), proceeds, NO_COSTS, margin()).money == D(money)


@pytest.mark.parametrize(("excess", "money"), [("1000", "15000"), ("999", "0")])
def test_without_a_margin_rate_the_buffer_binds_only_when_it_is_broken(excess, money):
    found = value(account(cash={USD: "10000"}, excess_liquidity=Money(D(excess), USD)))
    assert budget_for(found, levered(), Proceeds(), NO_COSTS, margin()).money == D(money)


def test_room_counts_what_sells_take_off_positions_and_off_the_margin():
    found = value(account(held("A", "200"), cash={USD: "-8000"}))
    rules = margin(max_leverage=D("1.5"), maintenance_margin_pct=D(25))
    # NetLiq 12 000, gross 20 000, excess 12 000 − 5 000
    assert (headroom(found, Proceeds(), rules).leverage, headroom(found, Proceeds(), rules).margin) == (
        D(-2000),
        D(5800),
    )
    after = headroom(found, Proceeds(sells=D(2990), value=D(3000), commissions=D(2)), rules)
    assert (after.leverage, after.margin) == (D(1000), D("6547.50"))
    assert headroom(found, Proceeds(), rules).is_broken
    assert not after.is_broken


def test_sells_that_reach_the_limit_exactly_mend_it():
    found = value(account(held("A", "200"), cash={USD: "-8000"}))
    after = headroom(found, Proceeds(sells=D(1990), value=D(2000), commissions=D(2)), margin(max_leverage=D("1.5")))
    assert (after.leverage, after.is_broken) == (D(0), False)


def test_what_sells_conversion_and_commissions_lose_takes_leverage_away_from_buys():
    found = value(account(held("A", "100"), cash={USD: "0", CAD: "12500"}))
    # NetLiq 20 000, gross 10 000; lost: 10 by the sells, 8 by 1 000 USD at 1.26 instead of 1.25 CAD, 2 of commissions
    proceeds = Proceeds(sells=D(990), value=D(1000), converted=D(1000), worst_rate=D("1.26"), commissions=D(2))
    budget = budget_for(found, levered({"A": "4", "CASH": "-3"}), proceeds, NO_COSTS, margin(max_leverage=D("1.5")))
    assert budget.money == D("1.5") * (20000 - 20) - 9000


# --- the pair


def test_usd_are_bought_in_whole_dollars_and_a_limit_is_never_worse_than_its_rate():
    assert (FUNDING.currency, FUNDING.symbol, FUNDING.side) == (CAD, USD_CAD, Side.BUY)
    assert FUNDING.usd_for(D(1000), D("1.4050")) == D(711)
    assert FUNDING.cost_of(D(711), D("1.4050")) == D("998.955")
    assert FUNDING.limit_at(D("1.405074")) == D("1.40505")
