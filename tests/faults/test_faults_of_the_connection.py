"""The connection to the gateway, or the gateway's to IBKR, is lost while orders are on their way or at work."""

from __future__ import annotations

from itertools import product

import pytest
from campaign import checks
from fault_cases import AGG, BND, IJR, VTI, filling, working
from fault_judges import play
from fault_runs import Row, all_of, cases, nothing, on, reaching, restart, sends, when

from core.model import USD_CAD, OrderRef, Side, Stage
from core.money import D
from core.sim.gateway.faults import Delay, Drop, HalfOpen, Omit
from core.sim.venue.world import SimOrder

ALWAYS = None
# what is asked after a break, and how often it was answered before that
LISTS = (("openOrderEnd", 7), ("completedOrdersEnd", 0), ("execDetailsEnd", 0))
HALF = filling(fill_fraction=D("0.5"))
EARLIER = working(SimOrder(VTI, Side.BUY, D(10), D(0), D("90.00"), OrderRef("RB-EARLIERRUN22-B1-1")))
SOMEBODY_ELSES = working(SimOrder(VTI, Side.BUY, D(10), D(0), D("90.00")))


def ended(**states):
    """How the orders ended, by symbol."""

    def check(played):
        found = {record.order.contract.symbol: record.state.name for record in played.outcome.orders}
        assert {symbol: found.get(symbol) for symbol in states} == states

    return check


def everything_filled(played):
    symbols = [record.order.contract.symbol for record in played.outcome.orders if record.state.name == "FILLED"]
    assert symbols == [USD_CAD, IJR, VTI, AGG, BND]


def the_earlier_one_is_cancelled(played):
    assert [placed.state.name for placed in checks.orphaned_orders(played)] == ["CANCELLED"]


def nothing_was_sent(played):
    assert not played.sent


def no_buys_were_sent(played):
    assert not [order for _, order in played.sent if order.stage is Stage.BUY]


def recovered(sentence, spoil, texts="the connection was lost"):
    """The lists show that all that worked has filled: the run goes on, and the loss is a warning."""
    return Row(sentence, spoil, warns=(texts,), also=(everything_filled,))


SOCKET = (
    Row("it breaks before a sell arrives", on("placeOrder", Drop(), "VTI"), 41, ("VTI",),
        also=(ended(VTI="UNKNOWN"), no_buys_were_sent)),
    Row("it breaks within a sell", on("placeOrder", Drop(at=9), "VTI"), 41, ("VTI",),
        also=(ended(VTI="UNKNOWN"), no_buys_were_sent)),
    Row("it breaks when a sell has arrived, which fills meanwhile", on("placeOrder", Drop(at=None), "VTI"), 20,
        ("connection",), also=(no_buys_were_sent,)),
    Row("it breaks when a sell has arrived and has filled at once", on("placeOrder", Drop(at=None), "VTI"), 20,
        ("connection",), case=filling(), also=(ended(VTI="FILLED"), no_buys_were_sent)),
    recovered("it breaks when a sell has arrived, which fills before the connection is back",
           all_of(on("placeOrder", Drop(at=None), "VTI"), on("handshake", Drop(), skip=2, times=2))),
    *(Row(f"it breaks at {name} of a sell, byte {at}", on(name, Drop(at), "VTI"), 20, ("connection",),
          also=(no_buys_were_sent,))
      for name, at in product(("openOrder", "orderStatus"), (0, 11, None))),
    *(recovered(f"it breaks at {name} of a sell, byte {at}", on(name, Drop(at), "VTI"))
      for name, at in product(("execDetails", "commissionReport"), (0, 11, None))),
    Row("it breaks at a cancel", on("cancelOrder", Drop()), 20, ("connection",), case=HALF,
        also=(ended(VTI="CANCELLED"), no_buys_were_sent)),
    Row("it breaks after a cancel", on("cancelOrder", Drop(at=None)), 20, ("connection",), case=HALF,
        also=(ended(VTI="CANCELLED"), no_buys_were_sent)),
    Row("it breaks when the conversion has arrived", on("placeOrder", Drop(at=None), "USD.CAD"), 20, ("connection",)),
    Row("it breaks before the conversion arrives", on("placeOrder", Drop(), "USD.CAD"), 41, ("USD.CAD",)),
    Row("it breaks when a buy has arrived", on("placeOrder", Drop(at=None), "BND"), 20, ("connection",)),
    Row("it breaks before a buy arrives", on("placeOrder", Drop(), "BND"), 41, ("BND",)),
    Row("it breaks for good when a sell has arrived", all_of(on("placeOrder", Drop(at=None), "VTI"),
        on("handshake", Drop(), times=ALWAYS, skip=2)), 41, ("IJR",), also=(no_buys_were_sent,)),
)  # fmt: skip

UNANSWERED = (
    Row("the gateway stops answering before a sell is read", on("placeOrder", HalfOpen(), "VTI"), 41, ("VTI",),
        also=(ended(VTI="UNKNOWN"), no_buys_were_sent)),
    Row("the gateway stops answering when a sell has arrived", on("openOrder", HalfOpen(), "VTI"),
        also=(everything_filled,)),
    recovered("the gateway stops answering while orders work", on("execDetails", HalfOpen(), "IJR")),
    Row("the gateway stops answering at a cancel", on("cancelOrder", HalfOpen()), 28, ("VTI", "did not report"),
        case=HALF, also=(ended(VTI="CANCELLED"),)),
)  # fmt: skip

IBKR = (
    *(recovered(f"IBKR is gone for 5 s while orders work, {gone} and {back}",
             when("placeOrder", sends(gone, back, after=5), "VTI"), "Connectivity between")
      for gone, back in ((1100, 1101), (1100, 1102), (2110, 1102))),
    Row("IBKR is gone for good while orders work", when("placeOrder", sends(1100), "VTI"), 41, ("IJR",),
        also=(no_buys_were_sent,)),
    Row("IBKR is gone for an hour while orders work", when("placeOrder", sends(1100, 1102, after=3600), "VTI"), 41,
        ("IJR",), also=(no_buys_were_sent,)),
    Row("IBKR goes between two stages", reaching("before_buys", sends(1100, 1102, after=5)), also=(everything_filled,)),
    Row("IBKR goes between two stages and stays away", reaching("before_buys", sends(1100)), 20, ("IBKR", "4 tries"),
        also=(no_buys_were_sent,)),
    Row("IBKR goes before the sells", reaching("before_sells", sends(1100, 1101, after=5)), also=(everything_filled,)),
    Row("a market-data farm goes and comes back while orders work",
        when("placeOrder", sends(2103, 2104, after=1), "VTI"), also=(everything_filled,)),
    Row("IBKR is reported as back though it never went", when("placeOrder", sends(1102), "VTI"),
        also=(everything_filled,)),
)  # fmt: skip

ORPHANED = (
    Row("an order of an earlier run is working", nothing, case=EARLIER,
        also=(everything_filled, the_earlier_one_is_cancelled)),
    Row("it breaks when that is to be cancelled", on("cancelOrder", Drop()), case=EARLIER,
        also=(everything_filled, the_earlier_one_is_cancelled)),
    Row("it breaks when that is being cancelled", on("cancelOrder", Drop(at=None)), case=EARLIER,
        also=(everything_filled, the_earlier_one_is_cancelled)),
    Row("it restarts when that is being cancelled", when("orderStatus", restart(), "VTI"), case=EARLIER,
        also=(everything_filled, the_earlier_one_is_cancelled)),
    Row("the confirmation of that is lost", all_of(on("orderStatus", Omit(), "VTI", skip=2, times=2),
        on("error", Omit(), "VTI")), case=EARLIER, also=(everything_filled, the_earlier_one_is_cancelled)),
    Row("that cannot be cancelled", on("cancelOrder", Omit(), times=ALWAYS), 41, ("RB-EARLIERRUN22-B1-1", "TWS"),
        case=EARLIER, also=(nothing_was_sent,)),
    Row("an order of somebody else works", nothing, 40, ("BUY 10 VTI", "not placed by this tool"), case=SOMEBODY_ELSES,
        also=(nothing_was_sent,)),
)  # fmt: skip

RECONCILED = (
    *(recovered(f"it breaks, and {name} is missing once", all_of(on("placeOrder", Drop(at=None), "VTI"),
             on(name, Omit(), skip=skip)))
      for name, skip in LISTS),
    *(Row(f"it breaks, and {name} is missing from then on", all_of(on("placeOrder", Drop(at=None), "VTI"),
          on(name, Omit(), skip=skip, times=ALWAYS)), 41, ("IJR", "look the order up in TWS"),
          also=(ended(IJR="UNKNOWN", VTI="UNKNOWN"), no_buys_were_sent)) for name, skip in LISTS),
    *(recovered(f"it breaks, and {name} comes 5 s late", all_of(on("placeOrder", Drop(at=None), "VTI"),
             on(name, Delay(5), skip=skip)))
      for name, skip in LISTS),
    *(Row(f"it breaks, and breaks again at {name}", all_of(on("placeOrder", Drop(at=None), "VTI"),
          on(name, Drop(at=6), skip=skip)), 20, ("connection",), also=(no_buys_were_sent,))
      for name, skip in LISTS),
)  # fmt: skip

RESTARTED = (
    *(Row(f"it restarts while an order rests{texts}", when("orderStatus", restart(ids_roll_back=rolls), "VTI"), 20,
          ("connection",), case=HALF, also=(ended(VTI="CANCELLED"), no_buys_were_sent))
      for texts, rolls in (("", False), (" and gives order ids out again", True))),
    *(Row(f"it restarts while orders work{texts}", when("orderStatus", restart(ids_roll_back=rolls), "VTI"), 20,
          ("connection",), also=(no_buys_were_sent,))
      for texts, rolls in (("", False), (" and gives order ids out again", True))),
    *(Row(f"it restarts between two stages{texts}", reaching("before_buys", restart(ids_roll_back=rolls)),
          also=(everything_filled,))
      for texts, rolls in (("", False), (" and gives order ids out again", True))),
    *(Row(f"it restarts before the sells{texts}", reaching("before_sells", restart(ids_roll_back=rolls)),
          also=(everything_filled,))
      for texts, rolls in (("", False), (" and gives order ids out again", True))),
)  # fmt: skip


@pytest.mark.parametrize("row", cases(SOCKET, UNANSWERED, IBKR, ORPHANED, RECONCILED, RESTARTED))
async def test_when(row, tmp_path):
    await play(row, tmp_path)
