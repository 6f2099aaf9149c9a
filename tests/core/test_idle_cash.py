"""Cash that lies idle, debts, and holdings without a target: when cash is invested, and what the owner is warned of."""

from __future__ import annotations

import pytest
from planning_builders import account, at, case, held, lines, planned, traded

from core.model import CAD, USD, Currency, LimitedBy, Side, TradeDirection
from core.money import D

EUR, GBP = Currency("EUR"), Currency("GBP")
THREE = {"A": "0.5", "B": "0.3", "C": "0.2"}
IDLE = "idle cash beyond the buffer: 900.00 USD, 0.90 % of NetLiq"
HINT = "; [rebalance] idle_cash_pct would invest it inside the bands"


def with_deposit(usd="900"):
    """100 000 USD of which 900 are cash, every symbol underweight by 30 bps."""
    return account(held("A", "497"), held("B", "297"), held("C", "197"), cash={USD: usd})


# --- idle_cash_pct --------------------------------------------------------------------------------


def test_a_deposit_inside_the_bands_stays_cash_with_a_warning():
    plan = planned(case(THREE, with_deposit()))
    assert traded(plan) == []
    assert plan.notes == (IDLE + HINT,)


def test_more_idle_cash_than_allowed_buys_every_underweight_symbol():
    plan = planned(case(THREE, with_deposit()), idle_cash_pct=D("0.89"))
    assert traded(plan) == [(Side.BUY, "A", D(3)), (Side.BUY, "B", D(3)), (Side.BUY, "C", D(3))]
    assert lines(plan)["A"].reason == (
        "underweight by 30.00 bps, inside the band of 50 bps;"
        " but 0.90 % of NetLiq lies idle, above idle_cash_pct 0.89: buy up to the target"
    )
    assert plan.notes == ()


def test_exactly_the_idle_cash_allowed_buys_nothing():
    plan = planned(case(THREE, with_deposit()), idle_cash_pct=D("0.9"))
    assert traded(plan) == []
    assert plan.notes == (IDLE,)


def test_a_buy_that_the_bands_trigger_is_left_to_the_bands():
    own = account(held("A", "491"), held("B", "299"), held("C", "199"), cash={USD: "1100"})
    plan = planned(case(THREE, own), idle_cash_pct=D("0.1"))
    assert traded(plan) == [(Side.BUY, "A", D(9))]


def invested(lacking, over=0, **changes):
    """The plan of 100 000 USD in four symbols of which A, B and C lack so many shares of 100.00, and D has too many."""
    shares = [250 - lacks for lacks in (*lacking, -over)]
    own = account(*map(held, "ABCD", map(str, shares)), cash={USD: str(100 * (sum(lacking) - over))})
    return planned(case(dict.fromkeys("ABCD", "0.25"), own), per_holding_band_bps=D(500), idle_cash_pct=D(1), **changes)


@pytest.mark.parametrize(
    ("lacking", "over", "bought"),
    [
        ((10, 40, 20), 50, {"B": 20}),
        # the last that gets some of it shares it with those before
        ((10, 20, 20), 20, {"B": 15, "C": 15}),
        ((20, 20, 20), 20, {"A": 20, "B": 20}),
        ((10, 20, 5), 0, {"A": 10, "B": 20, "C": 5}),
    ],
)
def test_idle_cash_goes_to_the_largest_drifts_and_of_equal_ones_by_symbol(lacking, over, bought):
    plan = invested(lacking, over)
    assert traded(plan) == [(Side.BUY, symbol, D(shares)) for symbol, shares in bought.items()]


def test_a_symbol_that_idle_cash_does_not_reach_says_so():
    line = lines(invested((10, 40, 20), 50))["C"]
    assert line.reason == (
        "underweight by 200.00 bps, inside the band of 500 bps; idle cash goes to larger drifts first"
    )
    assert line.limited_by is LimitedBy.BAND


def test_a_maximum_leaves_idle_cash_for_the_next_drifts():
    plan = invested((10, 40, 20), 50, max_order_usd=D(1500))
    assert traded(plan) == [(Side.BUY, "B", D(10)), (Side.BUY, "C", D(10))]


def test_what_planned_sells_bring_is_money_for_idle_cash_too():
    # D is sold for 8 000 USD, and 1 000 USD lie there
    own = account(held("A", "210"), held("B", "240"), held("C", "210"), held("D", "330"), cash={USD: "1000"})
    plan = planned(case(dict.fromkeys("ABCD", "0.25"), own), per_holding_band_bps=D(500), idle_cash_pct=D("0.5"))
    bought = [(Side.BUY, "A", D(40)), (Side.BUY, "B", D(10)), (Side.BUY, "C", D(40))]
    assert traded(plan) == [(Side.SELL, "D", D(80)), *bought]


def test_what_is_too_little_to_buy_takes_no_idle_cash():
    # of 7 000.00 each, A lacks less than half a share
    own = account(held("A", "3", "7000"), held("B", "280"), held("C", "490"), cash={USD: "2000"})
    weights = {"A": "0.24", "B": "0.3", "C": "0.46"}
    plan = planned(case(weights, own, at("A", "7000")), per_holding_band_bps=D(500), idle_cash_pct=D(1))
    assert traded(plan) == [(Side.BUY, "B", D(20))]


def test_the_cash_buffer_is_not_idle():
    plan = planned(
        case(THREE, with_deposit()),
        idle_cash_pct=D("0.1"),
        cash_buffer_pct=D("0.9"),
    )
    assert traded(plan) == []
    assert plan.notes == ()


@pytest.mark.parametrize(("band", "why"), [(10, LimitedBy.DIRECTION), (50, LimitedBy.BAND)])
def test_idle_cash_is_not_invested_where_only_sells_are_allowed(band, why):
    changes = {"idle_cash_pct": D("0.1"), "direction": TradeDirection.SELL_ONLY, "per_holding_band_bps": D(band)}
    plan = planned(case(THREE, with_deposit()), **changes)
    assert traded(plan) == []
    assert {line.limited_by for line in plan.lines} == {why}


@pytest.mark.parametrize(
    ("funding", "bought"),
    [
        ({"fx__enabled": True}, 2),
        ({"fx__enabled": False}, 0),
        ({"fx__enabled": True, "min_fx_order_usd": D(801)}, 0),
        ({"fx__enabled": True, "prefer_market_hours": True}, 0),
    ],
)
def test_idle_cad_counts_where_it_may_be_converted(funding, bought):
    own = account(held("A", "496"), held("B", "300"), held("C", "196"), cash={USD: "0", CAD: "1000"})
    plan = planned(
        case(THREE, own, fx_closed="the currency market is closed"),
        idle_cash_pct=D("0.5"),
        **{"min_fx_order_usd": D(0), "limit_slippage_bps": D(0)} | funding,
    )
    assert len([line for line in plan.lines if line.limited_by is not LimitedBy.BAND and line.wanted > 0]) == bought


def test_idle_cash_that_the_limits_of_borrowing_hold_back_buys_nothing():
    own = account(held("A", "1000"), held("B", "496"), cash={USD: "-49600"})
    changes = {"allow_margin": True, "idle_cash_pct": D("0.1")}
    assert traded(planned(case({"A": "1", "B": "0.5", "CASH": "-0.5"}, own), **changes)) == [(Side.BUY, "B", D(4))]
    assert traded(planned(case({"A": "1", "B": "0.5"}, own), **changes)) == []


# --- what the owner is warned of ---------------------------------------------------------------------


def test_cad_that_nothing_converts_is_named():
    own = account(held("A", "500"), held("B", "300"), held("C", "192"), cash={USD: "0", CAD: "1000"})
    assert planned(case(THREE, own)).notes == (
        (
            "idle cash beyond the buffer: 800.00 USD, 0.80 % of NetLiq;"
            " 1,000.00 CAD buy nothing unless [fx] enabled = true"
        ),
    )


def test_cash_in_a_currency_that_nothing_converts_is_named():
    rates = {USD: "1", CAD: "0.8", EUR: "1.1", GBP: "1.25"}
    own = account(held("A", "780"), cash={USD: "0", EUR: "20000", GBP: "0", CAD: "0"}, rates=rates)
    plan = planned(case({"A": "1"}, own), fx__enabled=True, per_holding_band_bps=D(9000))
    assert plan.notes == ("cash of 20,000.00 EUR: 22,000.00 USD, 22.00 % of NetLiq, which nothing here converts",)


def test_cash_in_another_currency_is_counted_by_the_rates_of_the_base_and_each_currency_has_a_note():
    rates = {USD: "1.25", CAD: "1", EUR: "1.5", GBP: "2"}
    own = account(held("A", "100"), cash={GBP: "625", EUR: "1250"}, rates=rates, base=CAD)
    assert planned(case({"A": "1"}, own), per_holding_band_bps=D(9000)).notes == (
        "cash of 1,250.00 EUR: 1,500.00 USD, 12.00 % of NetLiq, which nothing here converts",
        "cash of 625.00 GBP: 1,000.00 USD, 8.00 % of NetLiq, which nothing here converts",
    )


def test_a_debit_in_another_currency_is_no_cash():
    own = account(held("A", "100"), cash={USD: "0", EUR: "-10"}, rates={USD: "1", CAD: "0.8", EUR: "1.1"})
    (note,) = planned(case({"A": "1"}, own)).notes
    assert note == "debit of 10.00 EUR: nothing in the plan pays it back"


def test_cash_that_targets_of_less_than_100_percent_leave_is_not_idle():
    own = account(held("A", "500"), held("B", "300"), cash={USD: "20000"})
    assert planned(case({"A": "0.5", "B": "0.3"}, own)).notes == ()


@pytest.mark.parametrize(
    ("cash", "note"),
    [
        ({USD: "-212.55"}, "debit of 212.55 USD: nothing in the plan pays it back"),
        ({USD: "60000", CAD: "-40000"}, "debit of 40,000.00 CAD: nothing in the plan pays it back"),
        ({USD: "0", CAD: "-0.30"}, "debit of 0.30 CAD: nothing in the plan pays it back"),
    ],
)
def test_a_debit_in_any_currency_is_reported_though_nothing_trades(cash, note):
    changes = {"per_holding_band_bps": D(9000)}
    assert note in planned(case(THREE, account(held("A", "500"), held("B", "500"), cash=cash)), **changes).notes


def test_a_debit_that_the_sells_pay_back_or_lessen_says_so():
    own = account(held("A", "556"), held("B", "300"), held("C", "200"), cash={USD: "-5600"})
    assert planned(case(THREE, own)).notes == ("debit of 5,600.00 USD: the planned orders pay it back",)
    few = {"max_order_usd": D(2000)}
    assert planned(case(THREE, own), **few).notes == ("debit of 5,600.00 USD, 3,600.00 USD after the planned orders",)


def test_a_debit_that_the_targets_borrow_is_reported_as_well():
    own = account(cash={USD: "100000"})
    plan = planned(case({"A": "1.5", "CASH": "-0.5"}, own), allow_margin=True)
    assert plan.notes == ("debit of 50,000.00 USD after the planned orders",)


def test_holdings_without_a_target_inside_the_band_are_named():
    own = account(held("A", "996"), held("OLD", "3"), held("RSX", "1"))
    assert planned(case({"A": "1"}, own)).notes == (
        (
            "held without a target, inside the band: OLD, RSX; a row with target_pct 0 sells a symbol,"
            " [rebalance] hold_symbols keeps it"
        ),
    )
