"""The broker's own lists of orders: of several accounts only ours, and what ended while it was listed does not work."""

from __future__ import annotations

import pytest
from worlds import ACCOUNT

from core.broker.ib.messages import EndedRow, Named, OrderRow, StatusRow
from core.broker.ib.orders import completed_order, working_orders
from core.model import USD, OrderRef, OrderState, OrderType, Side
from core.money import D

REF = OrderRef("RB-AAAAAAAAAAAA-B1-1")
VTI = Named(1, "VTI", "STK", USD)


def row(perm_id, *, account=ACCOUNT, status="Submitted"):
    return OrderRow(7, 42, perm_id, REF, account, VTI, Side.BUY, D(10), "LMT", D(5), status)


def status(perm_id, word="Submitted", filled=0):
    return StatusRow(7, 42, perm_id, word, D(filled))


def listed(*rows):
    return [(one.perm_id, one.filled) for one in working_orders(rows, ACCOUNT)]


def test_an_order_is_listed_with_how_far_it_is():
    (one,) = working_orders([row(1), status(1, filled=4)], ACCOUNT)
    assert (one.order_ref, one.symbol, one.side, one.quantity, one.filled) == (REF, "VTI", Side.BUY, D(10), D(4))
    assert (one.order_type, one.limit_price) == (OrderType.LMT, D(5))


def test_orders_of_another_account_at_the_same_gateway_are_not_ours():
    assert listed(row(1, account="DU7654321"), status(1), row(2), status(2, filled=3)) == [(2, D(3))]


@pytest.mark.parametrize("word", ["Filled", "Cancelled", "ApiCancelled"])
def test_an_order_that_ended_while_it_was_listed_is_none_that_works(word):
    assert listed(row(1), status(1), status(1, word, 10), row(2), status(2)) == [(2, D(0))]


@pytest.mark.parametrize(
    "word", ["PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "Inactive", "Brandnew"]
)
def test_an_order_that_may_still_fill_is_listed_whatever_it_is_called(word):
    assert listed(row(1, status=word), status(1, word)) == [(1, D(0))]


@pytest.mark.parametrize(
    ("word", "beside", "state", "reason"),
    [
        ("Filled", "Filled Size: 10", OrderState.FILLED, ""),
        ("Cancelled", "Expired", OrderState.EXPIRED, "the day of the order is over"),
        ("Cancelled", "Cancelled by Trader", OrderState.CANCELLED, "Cancelled by Trader"),
        ("Inactive", "no margin", OrderState.REJECTED, "no margin"),
        (
            "Cancelled",
            "Rejected by System: Order is already expired.",
            OrderState.REJECTED,
            "Rejected by System: Order is already expired.",
        ),
        ("Cancelled", "Cancelled by System: Order expired", OrderState.EXPIRED, "the day of the order is over"),
        ("Cancelled", "Cancelled by System: ", OrderState.CANCELLED, "Cancelled by System: "),
    ],
)
def test_how_an_order_ended_stands_in_its_status_and_the_words_beside_it(word, beside, state, reason):
    ended = completed_order(EndedRow(1, REF, ACCOUNT, VTI, Side.BUY, D(10), D(4), word, beside))
    assert (ended.state, ended.reason, ended.filled, ended.order_ref) == (state, reason, D(4), REF)
