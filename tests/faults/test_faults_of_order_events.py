"""What the broker reports of an order's fills and costs: twice, in the wrong order, late, never, or corrected."""

from __future__ import annotations

import csv
import io

import fault_judges
import pytest
from fault_cases import AGG, BND, IJR, VTI, filling
from fault_judges import play
from fault_runs import Row, all_of, cases, on, when

from core.model import USD_CAD
from core.money import D
from core.sim.gateway.faults import ChangeFields, Delay, Duplicate, Hold, Omit, Truncate

ALWAYS = None
STATUS, STATUS_PERM_ID, STATUS_FILLED = 2, 6, 3
STATUS_ID, STATUS_CLIENT, EXEC_ORDER_ID = 1, 9, 2
ORDER_ID, ORDER_REF = 1, 23
EXEC_ID, EXEC_TIME, EXEC_ACCOUNT, EXEC_SHARES, LIQUIDATION, EXEC_REF = 14, 15, 16, 19, 23, 26
COST_OF, COST = 2, 3
UNSET = "1.7976931348623157E308"


def everything_filled(played):
    symbols = [record.order.contract.symbol for record in played.outcome.orders if record.state.name == "FILLED"]
    assert symbols == [USD_CAD, IJR, VTI, AGG, BND]


def nothing_followed_the_sells(played):
    assert [order.contract.symbol for _, order in played.sent] == [USD_CAD, IJR, VTI]


def cost_of(symbol, shown):
    """What the report's row of the symbol says of its commission: an amount, or nothing where none is known."""

    def check(played):
        rows = csv.DictReader(io.StringIO((played.folder / "post_trade.csv").read_text()))
        assert [row["commission"] for row in rows if row["symbol"] == symbol] == [shown]

    return check


def fine(sentence, spoil, *more, **rest):
    return Row(sentence, spoil, also=(everything_filled, *more), **rest)


def corrected(shares=None, price=None, seconds=0.0):
    """The execution just reported is corrected, at once or so much later."""

    def happen(scene, subject):
        gateway = scene.gateway
        fill = next(fill for fill in gateway.exchange.executions() if fill.order_ref == subject.order_ref)
        scene.after(seconds, lambda: gateway.correct(fill.exec_id, shares or fill.shares, price or fill.price))

    return when("commissionReport", happen, "VTI")


TWICE = (
    fine("every status comes twice", on("orderStatus", Duplicate(), times=ALWAYS)),
    fine("every execution comes twice", on("execDetails", Duplicate(), times=ALWAYS)),
    fine("every cost comes twice", on("commissionReport", Duplicate(), times=ALWAYS), cost_of(VTI, "1.00")),
    fine("every order is reported twice", on("openOrder", Duplicate(), times=ALWAYS)),
    fine("everything comes twice", all_of(*(on(name, Duplicate(), times=ALWAYS)
        for name in ("openOrder", "orderStatus", "execDetails", "commissionReport")))),
)  # fmt: skip

STRANGERS = (
    Row("a status comes for an order of ours that nobody sent", on("orderStatus", Duplicate({STATUS_ID: "999"}), "VTI"),
        28, ("order 999 of client 42", "it was never sent"), also=(nothing_followed_the_sells,)),
    Row("an order of ours is reported that nobody sent", on("openOrder",
         Duplicate({ORDER_ID: "999", ORDER_REF: "RB-ZZZZZZZZZZZZ-B1-1"}), "VTI"), 28,
        ("order 999 of client 42", "it was never sent"), also=(nothing_followed_the_sells,)),
    fine("a status comes for an order of another client", on("orderStatus",
         Duplicate({STATUS_ID: "999", STATUS_CLIENT: "7"}), "VTI")),
    fine("a status comes for an order from before that has ended", on("orderStatus",
         Duplicate({STATUS_ID: "999", STATUS: "Cancelled"}), "VTI")),
    fine("an execution comes of an order that nobody knows, as a liquidation does", on("execDetails",
         Duplicate({EXEC_ORDER_ID: "0", EXEC_ID: "00ff.1.01.01", LIQUIDATION: "1", EXEC_REF: ""}), "VTI")),
    fine("an execution comes of another account", on("execDetails",
         Duplicate({EXEC_ID: "00ff.1.01.01", EXEC_ACCOUNT: "DU7654321"}), "VTI")),
    fine("a cost comes of an execution that nobody knows", on("commissionReport", Duplicate({COST_OF: "00ff.1.01.01"}),
         "VTI"), cost_of(VTI, "1.00")),
)  # fmt: skip

REORDERED = (
    fine("Filled comes before its execution", on("execDetails", Hold(until="orderStatus"), times=ALWAYS)),
    fine("an execution comes before the order is acknowledged", on("openOrder", Hold(until="execDetails"), "VTI")),
    fine("statuses come in the wrong order", on("orderStatus", Hold(until="orderStatus"), "VTI")),
    fine("an execution comes after its cost", on("execDetails", Hold(until="commissionReport"), times=ALWAYS),
         cost_of(VTI, "1.00")),
    fine("an execution comes long after Filled", on("execDetails", Delay(5), "VTI")),
    fine("an execution comes after the lists showed it", on("execDetails", Delay(30), "VTI")),
    Row("the execution of a part comes long after its order's end", on("execDetails", Delay(125), "VTI"), 28,
        ("VTI", "filled 71"), case=filling(fill_fraction=D("0.5"))),
)  # fmt: skip

MISSING = (
    fine("no status ever comes", on("orderStatus", Omit(), times=ALWAYS)),
    fine("no order is ever reported", on("openOrder", Omit(), "VTI", times=2)),
    fine("neither order nor status comes, but the execution", all_of(on("openOrder", Omit(), "VTI", times=2),
        on("orderStatus", Omit(), "VTI", times=ALWAYS))),
    fine("the execution never comes of itself", on("execDetails", Omit(), "VTI")),
    fine("nothing comes of itself", all_of(on("openOrder", Omit(), "VTI", times=2),
        on("orderStatus", Omit(), "VTI", times=2), on("execDetails", Omit(), "VTI"),
        on("commissionReport", Omit(), "VTI")), case=filling()),
)  # fmt: skip

COSTS = (
    fine("a cost comes 1 s late", on("commissionReport", Delay(1), "VTI"), cost_of(VTI, "1.00")),
    fine("a cost comes 30 s late", on("commissionReport", Delay(30), "VTI")),
    fine("a cost never comes", on("commissionReport", Omit(), "VTI", times=ALWAYS), cost_of(VTI, ""),
         cost_of(IJR, "1.00")),
    fine("a cost is reported as pending", on("commissionReport", ChangeFields({COST: "-1.0"}), "VTI", times=ALWAYS),
         cost_of(VTI, "")),
    fine("a cost is reported as unset", on("commissionReport", ChangeFields({COST: UNSET}), "VTI", times=ALWAYS),
         cost_of(VTI, "")),
    fine("no cost ever comes", on("commissionReport", Omit(), times=ALWAYS), cost_of(VTI, ""), cost_of(BND, "")),
)  # fmt: skip

CORRECTED = (
    Row("an execution is corrected to fewer shares", corrected(shares=D(500)), 28,
        ("SELL 569 VTI", "569 at 100.01 became 500 at 100.01"), also=(nothing_followed_the_sells,)),
    Row("an execution is corrected in its price", corrected(price=D("100.015")), 28,
        ("SELL 569 VTI", "569 at 100.01 became 569 at 100.015"),
        also=(nothing_followed_the_sells,)),
    Row("an execution is corrected while the buys work", corrected(shares=D(500), seconds=2.5), 28, ("corrected",)),
)  # fmt: skip

CONTRADICTIONS = (
    Row("two orders under one reference", on("orderStatus", Duplicate({STATUS_PERM_ID: "77"}), "VTI"), 41,
        ("VTI", "two orders"), also=(nothing_followed_the_sells,)),
    Row("more is filled than was ordered", on("execDetails", Duplicate({EXEC_ID: "00ff.1.01.01"}), "VTI"), 41,
        ("VTI", "filled 1138 of 569"), also=(nothing_followed_the_sells,),
        spared=(fault_judges.the_report_knows_every_fill,)),
)  # fmt: skip

UNREADABLE = (
    fine("an execution cannot be read", on("execDetails", ChangeFields({EXEC_SHARES: "many"}), "VTI")),
    fine("a message of a kind that nobody knows comes while an order works",
         on("orderStatus", Duplicate({0: "9999"}), "VTI")),
    Row("a status has three fields", on("orderStatus", Truncate(3), "VTI"), 20,
        ("a message from the gateway (3) could not be read: it has too few fields",)),
    fine("an execution's time is in a zone that nobody knows",
         on("execDetails", ChangeFields({EXEC_TIME: "20260302 10:00:02 Central European Standard Time"}), "VTI")),
    Row("a status cannot be read", on("orderStatus", ChangeFields({STATUS_FILLED: "some"}), "VTI"), 20,
        ("connection broke",)),
    fine("a status has a name that nobody knows", on("orderStatus", ChangeFields({STATUS: "ApiUpdate"}), "VTI")),
)  # fmt: skip


@pytest.mark.parametrize(
    "row", cases(TWICE, STRANGERS, REORDERED, MISSING, COSTS, CORRECTED, CONTRADICTIONS, UNREADABLE)
)
async def test_of_its_fills(row, tmp_path):
    await play(row, tmp_path)
