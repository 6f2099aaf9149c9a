"""The broker's own lists of orders: of several accounts only ours, and what ended while it was listed is left out."""

from __future__ import annotations

import pytest
from worlds import ACCOUNT

from core.broker.ib.messages import CompletedOrderRow, ContractRow, OpenOrderRow, OrderStatusRow
from core.broker.ib.orders import completed_order, working_orders
from core.model import USD, OrderRef, OrderState, OrderType, Side
from core.money import D

REF = OrderRef("RB-AAAAAAAAAAAA-B1-1")
VTI = ContractRow(1, "VTI", "STK", USD)


def row(perm_id, *, account=ACCOUNT, status="Submitted"):
    return OpenOrderRow(7, 42, perm_id, REF, account, VTI, Side.BUY, D(10), "LMT", D(5), status)


def status(perm_id, status_text="Submitted", filled=0):
    return OrderStatusRow(7, 42, perm_id, status_text, D(filled))


def listed(*rows):
    return [(one.perm_id, one.filled) for one in working_orders(rows, ACCOUNT)]


def test_an_order_is_listed_with_its_filled_quantity():
    (one,) = working_orders([row(1), status(1, filled=4)], ACCOUNT)
    assert (one.order_ref, one.symbol, one.side, one.quantity, one.filled) == (REF, "VTI", Side.BUY, D(10), D(4))
    assert (one.order_type, one.limit_price) == (OrderType.LMT, D(5))


def test_orders_of_another_account_at_the_same_gateway_are_not_ours():
    assert listed(row(1, account="DU7654321"), status(1), row(2), status(2, filled=3)) == [(2, D(3))]


@pytest.mark.parametrize("status_text", ["Filled", "Cancelled", "ApiCancelled"])
def test_an_order_that_ended_while_it_was_listed_is_left_out(status_text):
    assert listed(row(1), status(1), status(1, status_text, 10), row(2), status(2)) == [(2, D(0))]


@pytest.mark.parametrize(
    "status_text", ["PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "Inactive", "Brandnew"]
)
def test_an_order_that_may_still_fill_is_listed_whatever_its_status(status_text):
    assert listed(row(1, status=status_text), status(1, status_text)) == [(1, D(0))]


@pytest.mark.parametrize(
    ("status_text", "beside", "state", "reason"),
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
def test_how_an_order_ended_follows_from_its_status_and_the_text_beside_it(status_text, beside, state, reason):
    ended = completed_order(CompletedOrderRow(1, REF, ACCOUNT, VTI, Side.BUY, D(10), D(4), status_text, beside))
    assert (ended.state, ended.reason, ended.filled, ended.order_ref) == (state, reason, D(4), REF)
