"""How the broker answers an order: refusals, warnings on one that works, no answer, and what-ifs that go wrong."""

from __future__ import annotations

import pytest
from fault_cases import AGG, BND, IJR, VTI, filling
from fault_judges import play
from fault_runs import Row, all_of, cases, nothing, on, on_what_if, when

from core.model import USD_CAD, Stage
from core.money import D
from core.sim.gateway.faults import (
    ChangedFirst,
    ChangeFields,
    Delay,
    ErrorAfter,
    ErrorBefore,
    Hold,
    Omit,
    Refuse,
)

ALWAYS = None
MARGIN = "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. Minimum of 2000 USD required in margin"
SLOW = filling(BND, delay_seconds=D(60))
READ_ONLY = "Error validating request.-'bF' : cause - The API interface is currently in Read-Only mode."


def sent(played, stage):
    return [order.contract.symbol for _, order in played.sent if order.stage is stage]


def every_stage_was_sent(played):
    assert [sent(played, stage) for stage in Stage] == [[USD_CAD], [IJR, VTI], [AGG, BND]]


def no_buys_were_sent(played):
    assert not sent(played, Stage.BUY)


def nothing_but_currency_was_sent(played):
    assert {order.stage for _, order in played.sent} == {Stage.FX}


def only_sells_filled_short(played):
    """The others were not kept from filling."""
    short = [placed.terms for placed in played.venue.orders.values() if placed.filled < placed.terms.quantity]
    assert {terms.contract.symbol for terms in short} <= {VTI}
    assert sent(played, Stage.BUY), "the buys were not sent"


def only_what_the_cash_pays_for(played):
    assert all(amount >= 0 for amount in played.venue.ledger.cash.values())


def nothing_was_sent(played):
    assert not played.sent


def nothing_works(played):
    assert not played.venue.working()


def has_alarm(texts):
    def check(played):
        assert any(texts in error.message for error in played.outcome.errors), played.outcome.errors

    return check


def is_unknown(symbol):
    """Exactly this order's fate is unknown."""

    def check(played):
        unknown = [each.order.contract.symbol for each in played.outcome.orders if each.state.name == "UNKNOWN"]
        assert unknown == [symbol]

    return check


REFUSED = (
    *(Row(f"a sell is refused: {code}", on("placeOrder", Refuse(code), "VTI"), 27, (f"({code})", "VTI"),
          also=(only_sells_filled_short,)) for code in (109, 110, 111, 201, 203, 434)),
    Row("the gateway is read-only", on("placeOrder", Refuse(321, READ_ONLY), times=ALWAYS), 27,
        ("Read-Only", "(321)", "USD.CAD")),
    Row("a sell is refused for want of margin", on("placeOrder", Refuse(201, MARGIN), "VTI"), 26,
        ("VTI", "margin", "(201)"), also=(no_buys_were_sent,)),
    Row("a fraction is refused", on("placeOrder", Refuse(10243), "VTI"), 24, ("VTI", "(10243)"),
        also=(no_buys_were_sent,)),
    Row("a sell's contract is not found", on("placeOrder", Refuse(200), "VTI"), 22, ("VTI", "(200)")),
    Row("a sell comes too fast", on("placeOrder", Refuse(100), "VTI"), 21, ("VTI", "(100)"), also=(no_buys_were_sent,)),
    Row("the exchange rejects a sell", nothing, 27, ("VTI", "(201)"), case=filling(reject=201),
        also=(only_sells_filled_short,)),
    Row("the conversion is refused", on("placeOrder", Refuse(201), "USD.CAD"), 27, ("USD.CAD", "(201)")),
    Row("the broker cancels a sell", when("placeOrder", lambda scene, subject: scene.gateway.cancel(subject.order_ref),
        "VTI"), 28, ("VTI", "filled 0", "(202)"), also=(only_sells_filled_short,)),
)  # fmt: skip

INACTIVE = (
    Row("the broker makes a sell inactive without a reason", on("orderStatus", ChangeFields({2: "Inactive"}),
        "VTI"), 27, ("VTI", "inactive without giving a reason"), also=(only_sells_filled_short, nothing_works)),
    Row("a sell is inactive before the reason arrives", on("error", Hold(until="orderStatus"), "VTI"), 27,
        ("VTI", "(201)"), case=filling(reject=201), also=(only_sells_filled_short, nothing_works)),
    Row("a sell is inactive, and its cancel is not answered", all_of(
        on("orderStatus", ChangeFields({2: "Inactive"}), "VTI"), on("orderStatus", Omit(), "VTI", times=ALWAYS),
        on("error", Omit(), "VTI", times=ALWAYS)), 27,
        ("VTI", "inactive without giving a reason"), also=(nothing_works,)),
    Row("a sell is inactive, and its cancel is lost", all_of(on("orderStatus", ChangeFields({2: "Inactive"}), "VTI"),
        on("cancelOrder", Omit(), times=ALWAYS)), 41, ("VTI",), case=filling(delay_seconds=D(900))),
)  # fmt: skip

AMBIGUOUS = (
    *(Row(f"an error that may mean anything instead of a sell: {code}", on("placeOrder", Refuse(code), "VTI"), 41,
          ("VTI", "look the order up"), also=(is_unknown("VTI"), no_buys_were_sent)) for code in (103, 512, 4711)),
    Row("a sell is lost on its way", on("placeOrder", Omit(), "VTI"), 41, ("VTI",),
        also=(is_unknown("VTI"), no_buys_were_sent)),
    Row("a sell is lost at the exchange", nothing, 41, ("VTI",), case=filling(is_lost=True),
        also=(is_unknown("VTI"), no_buys_were_sent)),
    Row("the conversion is lost", on("placeOrder", Omit(), "USD.CAD"), 41, ("USD.CAD",),
        also=(nothing_but_currency_was_sent,)),
    Row("a buy is lost", on("placeOrder", Omit(), "BND"), 41, ("BND",), also=(is_unknown("BND"),)),
)  # fmt: skip

AT_WORK = (
    Row("IBKR warns that it may liquidate while a sell works", on("openOrder", ErrorAfter(2148), "VTI"), 28,
        ("margin",), also=(no_buys_were_sent, nothing_works)),
    *(Row(f"an order that works gets a warning: {code}", on("openOrder", ErrorAfter(code), "VTI"),
          also=(every_stage_was_sent,)) for code in (399, 10349, 404, 2109, 4711, 103, 463)),
    *(Row(f"an order that works got a warning before: {code}", on("openOrder", ErrorBefore(code), "VTI"),
          also=(every_stage_was_sent,)) for code in (399, 10349, 404, 2109, 4711)),
    *(Row(f"a warning after the fill: {code}", on("commissionReport", ErrorAfter(code), "VTI"),
          also=(every_stage_was_sent,)) for code in (399, 2109, 161, 10148, 10147, 202)),
    Row("a warning long after the fill", on("commissionReport", ErrorAfter(399, seconds=5), "VTI"),
        also=(every_stage_was_sent,)),
    Row("the order is called inactive and works again at once", on("orderStatus", ChangedFirst({2: "Inactive"}), "VTI"),
        also=(every_stage_was_sent,)),
)  # fmt: skip

REFUSED_AND_AT_WORK = (
    Row("a buy is refused and works all the same", on("openOrder", ErrorBefore(321), "BND"), 41,
        ("still working", "-B2-1", "has cancelled"), case=SLOW, also=(nothing_works,)),
    Row("a buy is rejected and works all the same", on("orderStatus", ErrorAfter(201), "BND"), 41,
        ("still working", "-B2-1", "has cancelled"), case=SLOW, also=(nothing_works,)),
    Row("a buy is refused, works all the same and would fill", on("openOrder", ErrorBefore(321), "BND"), 41,
        ("still working", "-B2-1", "has cancelled"),
        also=(
            nothing_works, has_alarm("-B2-1 (BUY 918 BND) was rejected (321), yet the broker reports it as Working"))),
    Row("a sell is rejected and works all the same", on("orderStatus", ErrorAfter(201), "VTI"), 27, ("VTI", "(201)"),
        also=(nothing_works,)),
    Row("a buy is rejected, works all the same and cannot be cancelled", all_of(
        on("orderStatus", ErrorAfter(201), "BND"), on("cancelOrder", Omit(), times=ALWAYS)), 41,
        ("still working", "-B2-1", "in TWS"),
        case=filling(BND, fill_fraction=D("0.5"))),
)  # fmt: skip

UNFILLED = (
    Row("a sell fills in part, and so does its remainder", nothing, 28, ("VTI", "filled 71", "143"),
        case=filling(fill_fraction=D("0.5")), also=(only_sells_filled_short,)),
    Row("the conversion never fills", nothing, 28, ("USD.CAD", "filled 0"),
        case=filling(USD_CAD, fill_fraction=D(0)), also=(only_what_the_cash_pays_for,)),
    Row("the cancel is lost", on("cancelOrder", Omit()), 28, ("VTI",), case=filling(fill_fraction=D("0.5"))),
    Row("every cancel is lost", on("cancelOrder", Omit(), times=ALWAYS), 41, ("VTI",),
        case=filling(fill_fraction=D("0.5")), also=(is_unknown("VTI"),)),
    *(Row(f"the cancel finds no such order: {code}", on("cancelOrder", Refuse(code)), 28, ("VTI",),
          case=filling(fill_fraction=D("0.5"))) for code in (135, 161, 10147, 10148)),
    Row("the confirmation of the cancel is lost", on("orderStatus", Omit(), "VTI", skip=3, times=ALWAYS), 28, ("VTI",),
        case=filling(fill_fraction=D("0.5"))),
)  # fmt: skip

ASKED_FIRST = (
    Row("a buy would be refused for want of margin", on_what_if("placeOrder", Refuse(201, MARGIN), "AGG",
        times=ALWAYS), 26, ("AGG", "margin", "none of the buys was sent"), also=(no_buys_were_sent,)),
    Row("what a buy would do is not reported, as a dialog waits in TWS", on_what_if("placeOrder", Omit(), "AGG"), 28,
        ("did not answer", "AGG"), warns=("AGG is left out of this run",)),
    Row("a buy would be refused as it is written", on_what_if("placeOrder", Refuse(321), "AGG"), 27,
        ("AGG", "nothing was sent"), also=(nothing_was_sent,)),
    Row("the what-if of a buy is answered late", on_what_if("openOrder", Delay(15), "AGG"),
        also=(every_stage_was_sent,)),
)  # fmt: skip


@pytest.mark.parametrize(
    "row", cases(REFUSED, INACTIVE, AMBIGUOUS, AT_WORK, REFUSED_AND_AT_WORK, UNFILLED, ASKED_FIRST)
)
async def test_of_an_order(row, tmp_path):
    await play(row, tmp_path)
