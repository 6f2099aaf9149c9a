"""The plan gate counts money, margin and shares again, and agrees with what planning makes."""

from dataclasses import replace

import pytest
from builders import contract, plan, still_line, totals, trade_line, valuation
from gate_samples import SIZING, only
from planning_builders import account, at, case, held, plan_settings

from core import frames
from core.model import CAD, CASH, USD, FxLeg, Limit, Nbbo, OrderType, Side, Symbol, Targets
from core.money import D, Money
from core.planning import make_plan
from expectations.gate import run_gate
from expectations.plan import plan_suite

MONEY = (
    "buys cost more than there is",
    "gross above max_leverage",
    "excess liquidity below its buffer",
    "more CAD converted than there is",
)


def one_buy(quantity, sizing=SIZING, *, cash="0", target="0.6", **changes):
    """The faults of a plan of one buy at 100.00, in an account of 50 500 USD with 500 of buffer and 2 500 in cash."""
    line = trade_line(quantity=D(quantity), target=D(target))
    values = {"targets": Targets({line.symbol: line.target}, line.target, D(cash), line.target + D(cash))}
    made = plan(line, **(values | changes))
    suite = only(plan_suite(made, sizing), *MONEY, "not a whole number of shares")
    return [fault.message for fault in run_gate("plan", frames.plan(made), suite).faults]


def test_buys_may_cost_what_is_left_of_cash_after_buffer_and_commission():
    assert one_buy("19") == []  # 1900.19 of 2500 - 500 - 1
    assert one_buy("20") == ["buys cost more than there is"]  # 2000.20


def test_cad_that_stays_may_hold_the_buffer():
    held = valuation((trade_line(),), cash={USD: D(2500), CAD: D(800)}, usd_per_funding=D("0.73"))
    assert one_buy("24", valuation=held) == []
    assert one_buy("25", valuation=held) == ["buys cost more than there is"]


def test_borrowed_money_counts_only_with_margin():
    margin = replace(SIZING, allow_margin=True)
    assert one_buy("90", margin, cash="-0.2", target="1.2") == []
    assert one_buy("90", cash="-0.2", target="1.2") == ["buys cost more than there is"]


def test_leverage_and_margin_name_the_buys():
    margin = replace(SIZING, allow_margin=True, max_leverage=D("1.1"))
    assert one_buy("90", margin, cash="-0.2", target="1.2") == ["gross above max_leverage"]
    thin = valuation((trade_line(),), excess_liquidity=D(6000))
    assert one_buy("90", replace(margin, max_leverage=D(2)), cash="-0.2", target="1.2", valuation=thin) == [
        "excess liquidity below its buffer"
    ]


def test_a_conversion_beyond_the_cad_there_is_stops_the_run():
    leg = FxLeg(D(1000), OrderType.MKT, None, D("1.37"), D("1.365"), D(1365), D(998), "")
    held = valuation((trade_line(),), cash={USD: D(2500), CAD: D("1364.98")}, usd_per_funding=D("0.73"))
    assert "more CAD converted than there is" in one_buy("5", fx=leg, valuation=held)
    assert "more CAD converted than there is" not in one_buy(
        "5", fx=leg, valuation=replace(held, cash={USD: D(2500), CAD: D(1365)})
    )


def test_fractions_need_the_permission_of_setting_and_contract():
    sizing = replace(SIZING, allow_fractional=True)
    fractional = {Symbol("VTI"): contract(fractional=True)}
    assert one_buy("10.1234", sizing, contracts=fractional) == []
    assert one_buy("10.12345", sizing, contracts=fractional) == ["not a whole number of shares"]
    assert one_buy("10.1234", contracts=fractional) == ["not a whole number of shares"]
    assert one_buy("10.1234", sizing) == ["not a whole number of shares"]


def test_an_exit_may_be_below_the_minimum_and_any_order_without_a_maximum():
    line = trade_line(
        "ARKK", side=Side.SELL, quantity=D(3), held=D("3.4"), target=D(0), untargeted=True,
        limit=Limit(OrderType.LMT, D("99.99"), D("99.99"), Nbbo(D("99.99"), D("100.01")), ""),
    )  # fmt: skip
    rest = still_line(target=D(1))
    made = plan(line, rest, totals=totals((line,)))
    assert run_gate("plan", frames.plan(made), plan_suite(made, replace(SIZING, max_order_usd=None))).faults == ()


@pytest.mark.parametrize(
    ("inputs", "changes"),
    [
        (case({"VTI": "0.6", "BND": "0.4"}, account(held("VTI", "50"), held("GLD", "20.5"), cash={USD: "1000"})), {}),
        (
            case({"VTI": "1"}, account(cash={USD: "100", CAD: "20000"}), at("USD.CAD", "1.25", "0.0001")),
            {"fx__enabled": True, "cash_buffer_pct": D(1)},
        ),
        (
            case({"VTI": "1.5", CASH: "-0.5"}, account(held("VTI", "80"), cash={USD: "2000"})),
            {"allow_margin": True, "commission_per_order_usd": D(1)},
        ),
        (
            case({"VTI": "1.5", CASH: "-0.5"}, account(held("VTI", "135"), cash={USD: "-4000"})),
            {"allow_margin": True, "commission_per_order_usd": D(1)},
        ),
        (
            # the last trade lies above the limit, and the margin decides
            case(
                {"VTI": "1.5", CASH: "-0.5"},
                account(cash={USD: "10000"}, excess_liquidity=Money(D(3000), USD)),
                at("VTI", "100", last=D(101)),
            ),
            {"allow_margin": True, "commission_per_order_usd": D(1)},
        ),
    ],
    ids=["sells, an exit and buys", "conversion", "borrowing", "more on top of a debit", "a scarce margin"],
)
def test_what_planning_makes_passes_its_gate(inputs, changes):
    settings = plan_settings(**changes)
    made = make_plan(inputs, settings)
    assert made.buys
    assert run_gate("plan", frames.plan(made), plan_suite(made, settings.rebalance)).faults == ()
