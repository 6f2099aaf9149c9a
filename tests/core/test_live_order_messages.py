"""What the broker's messages on an order of ours become: which end it, which are emitted, which bring nothing new."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st
from worlds import ACCOUNT

from core.broker.error_codes import CODES, Ends
from core.broker.ib.messages import ContractRow, ErrorMessage, OpenOrderRow, OrderStatusRow
from core.broker.ib.orders import OwnOrders
from core.clock import AutojumpClock
from core.model import USD, Notice, OrderRef, OrderState, OrderUpdate, RejectReason, Side
from core.money import D

CLIENT, ID, PERM = 42, 7, 1001
REF = OrderRef("RB-AAAAAAAAAAAA-B1-1")
VTI = ContractRow(1, "VTI", "STK", USD)


class OrdersUnderTest:
    """Our orders, one of which was just sent; `events` is what they emitted."""

    def __init__(self, *, sent=True):
        self.clock = AutojumpClock(NOW)
        self.events = []
        self.orders = OwnOrders(self.clock, CLIENT, ACCOUNT, self.events.append)
        if sent:
            self.order = self.orders.register(ID, REF)

    def status(self, status, filled=0, *, perm_id=PERM, client=CLIENT, order_id=ID):
        self.orders.on_order_status(OrderStatusRow(order_id, client, perm_id, status, D(filled)))

    def open_order(self, status, *, client=CLIENT, ref=REF, perm_id=PERM, order_id=ID, account=ACCOUNT):
        row = OpenOrderRow(order_id, client, perm_id, ref, account, VTI, Side.BUY, D(10), "LMT", D(5), status)
        self.orders.on_open_order(row)

    def error(self, code, text="text", order_id=ID):
        return self.orders.on_error(ErrorMessage(order_id, code, text))

    @property
    def states(self):
        return [event.state for event in self.events if isinstance(event, OrderUpdate)]

    @property
    def notices(self):
        return [event for event in self.events if isinstance(event, Notice)]


@pytest.mark.parametrize("order_id", [ID, ID + 1])
def test_an_order_of_another_account_under_our_client_id_is_ignored(order_id):
    connection = OrdersUnderTest()
    connection.orders.note_listed()
    connection.open_order("Submitted", order_id=order_id, perm_id=PERM + 1, account="DU7654321")
    connection.status("Submitted", order_id=order_id, perm_id=PERM + 1)
    connection.status("Filled", 10, order_id=order_id, perm_id=PERM + 1)
    assert connection.events == []
    if order_id != ID:
        assert connection.error(201, order_id=order_id)
        assert connection.events == []
    connection.status("Submitted")
    assert connection.states == [OrderState.WORKING]


async def settled(connection, seconds=2.0):
    """Our orders after so many seconds."""
    await connection.clock.sleep(seconds)
    return connection


def test_the_first_acknowledgement_is_emitted_once():
    connection = OrdersUnderTest()
    connection.open_order("Submitted")
    connection.status("Submitted")
    connection.status("Submitted")
    (update,) = connection.events
    assert (update.state, update.filled, update.perm_id, update.at) == (OrderState.WORKING, D(0), PERM, NOW)


def test_a_fill_with_the_id_of_an_order_shows_that_it_arrived_only_if_it_carries_its_reference():
    connection = OrdersUnderTest()
    connection.orders.on_execution(ID, OrderRef("RB-BBBBBBBBBBBB-B1-1"))
    assert not connection.order.is_answered.is_set()
    connection.orders.on_execution(ID, REF)
    assert connection.order.is_answered.is_set()


@pytest.mark.parametrize("status", ["PendingSubmit", "ApiPending", "ApiUpdate", "ValidationError", "Brandnew"])
def test_a_status_that_acknowledges_nothing_is_not_emitted(status):
    connection = OrdersUnderTest()
    connection.open_order(status)
    connection.status(status)
    assert connection.events == []
    assert not connection.order.is_acknowledged


@pytest.mark.parametrize(
    ("statuses", "states"),
    [
        ([("PreSubmitted", 0), ("Submitted", 0), ("Filled", 10)], [OrderState.WORKING, OrderState.FILLED]),
        ([("Submitted", 4), ("Submitted", 4), ("Submitted", 7)], [OrderState.WORKING, OrderState.WORKING]),
        ([("Filled", 10), ("Submitted", 0), ("Filled", 10)], [OrderState.FILLED]),
        ([("Submitted", 7), ("Submitted", 4)], [OrderState.WORKING]),
        ([("Submitted", 0), ("PendingCancel", 0), ("Filled", 10)],
         [OrderState.WORKING, OrderState.CANCELLING, OrderState.FILLED]),
        ([("Filled", 10)], [OrderState.FILLED]),
    ],
)  # fmt: skip
def test_repeated_and_old_statuses_are_not_emitted(statuses, states):
    connection = OrdersUnderTest()
    for status, filled in statuses:
        connection.status(status, filled)
    assert connection.states == states


def test_the_filled_quantity_never_decreases_while_an_order_works():
    connection = OrdersUnderTest()
    connection.status("Submitted", 5)
    connection.status("PendingCancel", 3)
    assert [(one.state, one.filled) for one in connection.events] == [
        (OrderState.WORKING, D(5)),
        (OrderState.CANCELLING, D(5)),
    ]


async def test_a_cancel_waits_for_its_reason_and_is_emitted_with_it():
    connection = OrdersUnderTest()
    connection.status("Submitted")
    connection.status("Cancelled", 3)
    assert connection.states == [OrderState.WORKING]
    connection.error(202, "Order Canceled - reason:too far through the market")
    connection.status("Cancelled", 3)
    last = (await settled(connection)).events[-1]
    assert connection.states == [OrderState.WORKING, OrderState.CANCELLED]
    assert (last.filled, last.reason, last.code) == (D(3), "too far through the market", 202)


async def test_a_cancel_without_a_reason_is_emitted_after_half_a_second():
    connection = OrdersUnderTest()
    connection.status("Cancelled")
    await settled(connection)
    (update,) = connection.events
    assert (update.state, update.code, update.at - NOW) == (OrderState.CANCELLED, None, timedelta(seconds=0.5))


async def test_the_reason_alone_cancels_nothing():
    connection = OrdersUnderTest()
    connection.error(202, "Order Canceled - reason:")
    assert (await settled(connection)).events == []
    connection.status("Cancelled")
    assert [(one.state, one.reason, one.code) for one in connection.events] == [
        (OrderState.CANCELLED, "Order Canceled", 202)
    ]


async def test_the_end_of_the_day_is_no_cancel():
    connection = OrdersUnderTest()
    connection.status("Cancelled")
    connection.error(202, "Order Canceled - reason:The day of the order is over")
    (update,) = (await settled(connection)).events
    assert (update.state, update.reason, update.code) == (OrderState.EXPIRED, "the day of the order is over", None)


def test_a_refusal_with_its_code_ends_a_new_order_and_inactive_adds_nothing():
    connection = OrdersUnderTest()
    connection.error(201, "Order rejected - reason: margin")
    connection.status("Inactive")
    (update,) = connection.events
    assert (update.state, update.code, update.reject_reason) == (OrderState.REJECTED, 201, RejectReason.MARGIN)


async def test_inactive_without_a_code_is_no_end_but_reports_the_order_as_held():
    connection = OrdersUnderTest()
    connection.status("Inactive")
    connection.status("Inactive")
    assert connection.states == [OrderState.WORKING]
    assert connection.notices == []
    await settled(connection)
    assert [(one.order_ref, one.reject_reason, one.code) for one in connection.notices] == [
        (REF, RejectReason.REJECTED, None)
    ]
    connection.status("Submitted", 2)
    connection.status("Filled", 10)
    assert connection.states[-1] is OrderState.FILLED


@pytest.mark.parametrize("after", ["Submitted", "PreSubmitted"])
async def test_an_order_that_comes_back_from_inactive_at_once_is_not_held(after):
    connection = OrdersUnderTest()
    connection.status("Inactive")
    connection.status(after)
    assert (await settled(connection)).notices == []


async def test_inactive_before_its_code_is_refused_with_the_code():
    connection = OrdersUnderTest()
    connection.status("Inactive")
    connection.error(201, "Order rejected - reason: margin")
    assert (await settled(connection)).notices == []
    assert connection.states == [OrderState.WORKING, OrderState.REJECTED]


@given(st.integers(0, 20_000).filter(lambda code: code not in CODES or CODES[code].ends is Ends.NONE), st.booleans())
def test_no_other_code_ends_an_order(code, is_acknowledged):
    connection = OrdersUnderTest()
    if is_acknowledged:
        connection.status("Submitted")
    assert connection.error(code)
    assert not any(state.is_final for state in connection.states)


@pytest.mark.parametrize("code", [109, 110, 200, 321, 434, 10243])
def test_a_code_that_would_refuse_a_new_order_is_only_a_notice_for_one_that_works(code):
    connection = OrdersUnderTest()
    connection.status("Submitted")
    connection.error(code, "the broker's text")
    assert connection.states == [OrderState.WORKING]
    assert [(notice.code, notice.text, notice.order_ref) for notice in connection.notices] == [
        (code, "the broker's text", REF)
    ]


@pytest.mark.parametrize("code", [399, 2109, 10147, 4711])
def test_a_warning_after_the_fill_leaves_it_filled(code):
    connection = OrdersUnderTest()
    connection.status("Filled", 10)
    connection.error(code)
    assert connection.states == [OrderState.FILLED]
    assert len(connection.notices) == 1


@pytest.mark.parametrize("code", [161, 10148])
def test_an_order_that_ended_before_its_cancel_has_its_end_emitted_again(code):
    connection = OrdersUnderTest()
    connection.status("Filled", 10)
    connection.error(code, "it is filled")
    assert [(one.state, one.filled, one.code) for one in connection.events] == [
        (OrderState.FILLED, D(10), None),
        (OrderState.FILLED, D(10), code),
    ]


@pytest.mark.parametrize("code", [161, 10148])
def test_that_it_cannot_be_cancelled_ends_no_order_that_works(code):
    connection = OrdersUnderTest()
    connection.status("Submitted")
    connection.error(code)
    assert connection.states == [OrderState.WORKING]


def test_an_order_from_before_this_connection_is_adopted_without_an_event():
    connection = OrdersUnderTest(sent=False)
    connection.open_order("Submitted")
    connection.status("Submitted", 4)
    assert connection.events == []
    assert [(one.order_id, one.filled) for one in connection.orders.with_ref(REF)] == [(ID, D(4))]
    connection.status("Submitted", 6)
    assert [one.filled for one in connection.events] == [D(6)]


NOBODYS = 999


def listed(*, sent=True):
    """A connection over which the gateway has listed our open orders, as it does at its start."""
    connection = OrdersUnderTest(sent=sent)
    connection.orders.note_listed()
    return connection


@pytest.mark.parametrize("status", ["PreSubmitted", "Submitted", "PendingCancel"])
def test_an_order_of_our_client_id_that_works_and_was_never_sent_raises_the_alarm_once(status):
    connection = listed()
    connection.status(status, order_id=NOBODYS)
    connection.status(status, 3, order_id=NOBODYS)
    connection.open_order(status, order_id=NOBODYS, ref=OrderRef(""))
    (alarm,) = connection.notices
    assert alarm.is_alarm
    assert alarm.text == f"the broker reports order 999 of client 42 as {status}: it was never sent"
    assert alarm.order_ref is None


def test_the_alarm_about_an_order_that_is_reported_in_full_has_its_reference():
    connection = listed()
    connection.open_order("Submitted", order_id=NOBODYS, ref=OrderRef("RB-BBBBBBBBBBBB-B1-1"))
    assert [(one.is_alarm, one.order_ref) for one in connection.notices] == [(True, "RB-BBBBBBBBBBBB-B1-1")]


@pytest.mark.parametrize("status", ["Filled", "Cancelled", "ApiCancelled", "Inactive", "PendingSubmit", "Brandnew"])
async def test_no_alarm_is_raised_about_an_order_from_before_that_does_not_work(status):
    connection = listed()
    connection.status(status, order_id=NOBODYS)
    assert (await settled(connection)).events == []


@pytest.mark.parametrize(("client", "order_id"), [(CLIENT + 1, NOBODYS), (CLIENT, 0), (CLIENT, -5)])
def test_no_alarm_is_raised_about_orders_of_other_clients_and_those_entered_by_hand(client, order_id):
    connection = listed()
    connection.status("Submitted", client=client, order_id=order_id)
    connection.open_order("Submitted", client=client, order_id=order_id)
    assert connection.events == []


def test_no_alarm_is_raised_about_an_order_from_before_this_connection_in_whatever_order_it_is_reported():
    connection = OrdersUnderTest(sent=False)
    connection.status("Submitted", 2)
    connection.open_order("Submitted")
    connection.orders.note_listed()
    connection.status("Submitted", 3)
    assert connection.notices == []


def test_no_alarm_is_raised_about_our_own_orders():
    connection = listed()
    connection.status("Submitted")
    connection.open_order("Submitted")
    connection.status("Filled", 10)
    connection.status("Submitted")
    assert connection.notices == []


def test_no_alarm_is_raised_about_an_order_that_was_only_asked_about():
    connection = listed()
    connection.orders.note_what_if(NOBODYS)
    connection.status("PreSubmitted", order_id=NOBODYS)
    assert connection.events == []


def test_the_status_of_another_clients_order_with_our_id_is_ignored():
    connection = OrdersUnderTest()
    connection.status("Filled", 10, client=CLIENT + 1)
    assert connection.events == []
    assert not connection.order.is_answered.is_set()


def test_an_order_of_another_client_is_ignored():
    connection = OrdersUnderTest(sent=False)
    connection.open_order("Submitted", client=1)
    connection.status("Filled", 10, client=1)
    assert connection.events == []
    assert connection.orders.with_ref(REF) == []
    assert not connection.error(201)


def test_a_second_order_under_the_same_id_is_always_emitted():
    connection = OrdersUnderTest()
    connection.status("Submitted")
    connection.status("Submitted", perm_id=PERM + 1)
    assert [one.perm_id for one in connection.events] == [PERM, PERM + 1]


def test_an_order_that_a_code_refused_works_again_only_by_the_list_of_open_orders():
    connection = OrdersUnderTest()
    connection.error(321)
    connection.open_order("Submitted")
    assert connection.states == [OrderState.REJECTED, OrderState.WORKING]
    assert [one.state for one in connection.orders.with_ref(REF)] == [OrderState.WORKING]


def test_messages_of_an_order_whose_id_was_given_out_again_are_not_the_new_ones():
    connection = OrdersUnderTest()
    connection.open_order("Submitted", ref=OrderRef("RB-BBBBBBBBBBBB-B1-1"), perm_id=PERM - 1)
    assert not connection.order.is_acknowledged
    connection.status("Filled", 10, perm_id=PERM - 1)
    assert connection.events == []
    connection.open_order("Submitted")
    connection.status("Submitted", 4)
    assert [(one.state, one.perm_id, one.filled) for one in connection.events] == [
        (OrderState.WORKING, PERM, D(0)),
        (OrderState.WORKING, PERM, D(4)),
    ]


async def test_of_two_cancelled_statuses_before_the_reason_the_larger_filled_quantity_counts():
    connection = OrdersUnderTest()
    connection.status("Submitted")
    connection.status("Cancelled", 0)
    connection.status("Cancelled", 5)
    await settled(connection)
    assert [(one.state, one.filled) for one in connection.events] == [
        (OrderState.WORKING, D(0)),
        (OrderState.CANCELLED, D(5)),
    ]


def test_of_several_orders_under_a_reference_those_that_may_fill_are_found():
    connection = OrdersUnderTest()
    connection.orders.register(ID + 1, REF)
    connection.orders.register(ID + 2, REF)
    connection.error(201)
    assert [order.order_id for order in connection.orders.with_ref(REF)] == [ID + 1, ID + 2]
    connection.error(201, order_id=ID + 1)
    connection.error(201, order_id=ID + 2)
    assert [order.order_id for order in connection.orders.with_ref(REF)] == [ID + 2]


STATUSES = ("PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "Inactive", "Cancelled", "Filled")
MESSAGES = st.lists(
    st.one_of(
        st.tuples(st.just("status"), st.sampled_from(STATUSES), st.integers(0, 10)),
        st.tuples(st.just("error"), st.sampled_from(sorted(CODES)), st.just(0)),
    ),
    max_size=20,
)


@given(MESSAGES)
def test_whatever_arrives_an_order_ends_only_by_a_status_or_by_a_code_that_ends_it(messages):
    connection = OrdersUnderTest()
    for kind, what, filled in messages:
        before = len(connection.states)
        connection.status(what, filled) if kind == "status" else connection.error(what)
        ended = [state for state in connection.states[before:] if state.is_final]
        may_end = what in ("Cancelled", "Filled") if kind == "status" else CODES[what].ends is not Ends.NONE
        assert not ended or may_end or what in (161, 202, 10148)
    assert all(isinstance(event.filled, Decimal) for event in connection.events if isinstance(event, OrderUpdate))


@given(MESSAGES)
def test_repeated_messages_emit_nothing_but_notices(messages):
    connection = OrdersUnderTest()
    connection.status("Filled", 10)
    before = len(connection.states)
    for kind, what, _ in messages:
        if kind == "status" and what != "Cancelled":
            connection.status(what, 10)
        elif kind == "error" and what not in (161, 10148):
            connection.error(what)
    assert len(connection.states) == before


def test_an_order_that_had_ended_before_is_not_adopted():
    connection = OrdersUnderTest(sent=False)
    connection.open_order("Filled")
    assert connection.orders.with_ref(REF) == []
