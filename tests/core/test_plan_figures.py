"""Single figures of a plan and its report, each worked by hand: one that is a little off would hardly be noticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import order_record, plan, trade_line, valuation
from flow_runs import Rehearsal, SaysYes
from planning_builders import account, at, case, etf, held, lines, plan_settings, planned, share, traded

from core.broker.fake import FakeIB
from core.errors import MarketDataMissing
from core.execution.stage_result import rejection_error
from core.model import CAD, USD, LimitedBy, Mode, OrderState, Side
from core.money import D
from core.planning import make_plan, resize_buys
from core.planning.valuation import value_account
from core.report import PreTrade, pre_trade_markdown

ALL = {"A": "1"}


# --- money ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("usd", "shares"), [("1001", 10), ("1000.99", 9)])
def test_a_conversion_that_is_not_needed_costs_no_commission(usd, shares):
    plan = planned(
        case(ALL, account(cash={USD: usd})),
        fx__enabled=True,
        commission_per_order_usd=D(1),
    )
    assert (plan.fx.quantity, traded(plan)) == (D(0), [(Side.BUY, "A", D(shares))])


def test_a_conversion_costs_its_commission():
    plan = planned(
        case(ALL, account(cash={USD: "0", CAD: "12500"}), at("USD.CAD", "1.25")),
        fx__enabled=True,
        fx_buffer_bps=D(0),
        limit_slippage_bps=D(0),
        commission_per_order_usd=D(1),
    )
    # 10 000 USD less a commission for the conversion and one for the buy
    assert (plan.fx.quantity, traded(plan)) == (D(10_000), [(Side.BUY, "A", D(99))])
    assert plan.totals.cash_after == {CAD: D(0), USD: D(98)}


def test_a_buy_that_has_become_overweight_buys_nothing_at_all():
    settings = plan_settings(allow_fractional=True)
    weights, fractional = {"A": "0.5", "B": "0.5"}, {name: etf(name, fractional=True) for name in ("A", "B")}
    approved = make_plan(case(weights, account(held("B", "50"), cash={USD: "5000"}), contracts=fractional), settings)
    now = account(held("A", "50.01"), held("B", "50"), cash={USD: "0"})
    (line,) = resize_buys(approved, case(weights, now, contracts=fractional), settings)
    assert (line.quantity, line.side, line.limited_by) == (D(0), None, LimitedBy.ROUNDING)


@pytest.mark.parametrize(
    ("wanted", "minimum", "limited_by"),
    [
        ("40", "500", LimitedBy.MINIMUM),
        ("40", "40", LimitedBy.ROUNDING),
        ("40", "40.01", LimitedBy.MINIMUM),
        ("40", "0", LimitedBy.ROUNDING),
    ],
)
def test_less_than_half_a_share_is_below_the_minimum_where_the_dollars_are(wanted, minimum, limited_by):
    own = account(held("B", "100"), cash={USD: wanted})
    weights = {"A": str(D(wanted) / (10_000 + D(wanted))), "B": str(10_000 / (10_000 + D(wanted)))}
    changes = {"per_holding_band_bps": D("0.1"), "min_order_usd": D(minimum)}
    found = lines(planned(case(weights, own), **changes))["A"]
    assert (found.quantity, found.limited_by) == (D(0), limited_by)


# --- totals ---------------------------------------------------------------------------------------


def test_net_exposure_after_a_conversion_counts_the_cad_that_it_takes():
    # the account's own rate is 0.8 USD per CAD, the market's 1 / 1.28: 10 000 USD for 12 800 CAD worth 10 240 USD
    own = account(cash={USD: "0", CAD: "20000"})
    plan = planned(
        case({"A": "0.625"}, own, at("USD.CAD", "1.28")),
        fx__enabled=True,
        fx_buffer_bps=D(0),
        limit_slippage_bps=D(0),
    )
    assert (plan.fx.quantity, plan.valuation.net_liq) == (D(10_000), D(16_000))
    assert plan.totals.cash_after == {CAD: D(7_200), USD: D(0)}
    assert plan.totals.gross_after == D("0.625")
    assert plan.totals.net_after == D(16_000 - 240) / 16_000


def test_spread_cost_is_what_the_worst_price_is_away_from_the_mid_of_all_that_trades():
    own = account(held("A", "300"), held("C", "3"), cash={USD: "19700"})
    quotes = (at("A", "100", "0.02"), at("B", "100", "0.03", last=D("100.01")), at("C", "100", "5"))
    found = planned(case({"A": "0.2", "B": "0.79", "C": "0.006"}, own, *quotes))
    (sell,), (buy,) = found.sells, found.buys
    assert (sell.limit.mid, buy.limit.mid) == (D(100), D(100))
    assert (sell.quantity, sell.limit.worst_price) == (D(200), D("99.99"))
    assert (buy.quantity, buy.limit.worst_price) == (D(395), D("100.01"))
    assert found.totals.spread_cost == D("5.95")


def test_without_a_mid_the_spread_cost_is_counted_from_the_price():
    found = planned(
        case(ALL, account(cash={USD: "10000"}), at("A", "100", bid=None, ask=D("100.50")), mode=Mode.DRY_RUN),
    )
    (buy,) = found.buys
    assert buy.limit.mid is None
    assert found.totals.spread_cost == buy.quantity * (buy.limit.worst_price - 100)


@pytest.mark.parametrize(
    ("cash", "rate", "net"),
    [
        ({}, None, "96.00"),
        ({CAD: D(1250)}, D("0.8"), "98.00"),
        ({USD: D(1000)}, D("0.8"), "98.00"),
        ({CAD: D(9)}, None, "96.00"),
    ],
)
def test_exposure_of_an_account_without_usd_or_cad_is_that_of_its_holdings(cash, rate, net):
    own = valuation((trade_line(),), cash=cash, usd_per_funding=rate, net_liq=D(50_000), gross_position_value=D(48_000))
    text = pre_trade_markdown(PreTrade(plan=plan(trade_line(), valuation=own)))
    (row,) = [line for line in text.splitlines() if line.startswith("| net ") and line.count("|") == 5]
    assert row.split("|")[2].strip().startswith(net)


# --- order, time, causes --------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
def test_two_outside_listings_of_one_ticker_stand_in_the_order_of_their_conids(turned):
    one = share("SHOP", "1", "10")
    other = replace(one, quantity=D(2), contract=replace(one.contract, con_id=one.contract.con_id + 1))
    own = account(*((other, one) if turned else (one, other)), cash={USD: "1000"})
    inputs = case(ALL, own)
    found = value_account(own, inputs.targets, inputs.contracts, inputs.judge(plan_settings()), plan_settings())
    assert [holding.quantity for holding in found.outside] == [D(1), D(2)]


async def test_a_run_starts_when_it_starts_by_the_clock_of_the_venue(tmp_path):
    class Ahead(FakeIB):
        clock_gap = timedelta(minutes=3)

    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=Ahead)
    outcome = await rehearsal.run()
    started = rehearsal.brokers[0].log[0].at
    assert outcome.started_at == started + timedelta(minutes=3)


def test_a_refused_conversion_says_why_there_is_no_rate():
    own = account(cash={USD: "0", CAD: "12500"})
    with pytest.raises(MarketDataMissing) as refused:
        planned(case(ALL, own, at("USD.CAD", "1.25", bid=None)), fx__enabled=True)
    assert refused.value.message == "USD.CAD: no usable bid and ask, and 10,000.00 USD must be converted"


@pytest.mark.parametrize(
    ("reason", "code", "cause"),
    [
        ("no trading permission", 201, ": no trading permission (201)"),
        ("no trading permission", None, ": no trading permission"),
        ("", 201, " (201)"),
        ("", None, ""),
    ],
)
def test_a_rejection_has_its_cause(reason, code, cause):
    record = order_record(state=OrderState.REJECTED, reason=reason, code=code)
    assert rejection_error(record).message == f"order {record.order.ref} (BUY 10 VTI) was rejected{cause}"
