"""What becomes of the broker's words on an order of ours: which end it, which are told, and which are old news."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from core.broker.error_codes import CODES, Ends
from core.broker.ib.messages import ErrorMessage, Named, OrderRow, StatusRow
from core.broker.ib.orders import OwnOrders
from core.clock import AutojumpClock
from core.model import USD, Notice, OrderRef, OrderState, OrderUpdate, RejectReason, Side
from core.money import D

CLIENT, ID, PERM = 42, 7, 1001
REF = OrderRef("RB-AAAAAAAAAAAA-B1-1")
VTI = Named(1, "VTI", "STK", USD)


class Desk:
    """Our orders, one of which has just left; `told` is what was delivered."""

    def __init__(self, *, sent=True):
        self.clock = AutojumpClock(NOW)
        self.told = []
        self.orders = OwnOrders(self.clock, CLIENT, self.told.append)
        if sent:
            self.order = self.orders.expect(ID, REF)

    def status(self, status, filled=0, *, perm_id=PERM, client=CLIENT, order_id=ID):
        self.orders.hear_status(StatusRow(order_id, client, perm_id, status, D(filled)))

    def shown(self, status, *, client=CLIENT, ref=REF, perm_id=PERM):
        row = OrderRow(ID, client, perm_id, ref, "DU1234567", VTI, Side.BUY, D(10), "LMT", D(5), status)
        self.orders.hear_order(row)

    def error(self, code, text="text", order_id=ID):
        return self.orders.hear_error(ErrorMessage(order_id, code, text))

    @property
    def states(self):
        return [event.state for event in self.told if isinstance(event, OrderUpdate)]

    @property
    def notices(self):
        return [event for event in self.told if isinstance(event, Notice)]


async def settled(desk, seconds=2.0):
    """The desk after so many seconds."""
    await desk.clock.sleep(seconds)
    return desk


def test_the_first_word_of_acceptance_is_told_once():
    desk = Desk()
    desk.shown("Submitted")
    desk.status("Submitted")
    desk.status("Submitted")
    (update,) = desk.told
    assert (update.state, update.filled, update.perm_id, update.at) == (OrderState.WORKING, D(0), PERM, NOW)


def test_a_fill_under_the_number_of_an_order_shows_that_it_arrived_only_if_it_bears_its_reference():
    desk = Desk()
    desk.orders.hear_execution(ID, OrderRef("RB-BBBBBBBBBBBB-B1-1"))
    assert not desk.order.is_heard_of.is_set()
    desk.orders.hear_execution(ID, REF)
    assert desk.order.is_heard_of.is_set()


@pytest.mark.parametrize("status", ["PendingSubmit", "ApiPending", "ApiUpdate", "ValidationError", "Brandnew"])
def test_what_says_nothing_of_acceptance_is_not_told(status):
    desk = Desk()
    desk.shown(status)
    desk.status(status)
    assert desk.told == []
    assert not desk.order.is_acknowledged


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
def test_repeated_and_old_statuses_are_no_news(statuses, states):
    desk = Desk()
    for status, filled in statuses:
        desk.status(status, filled)
    assert desk.states == states


def test_the_count_of_what_filled_never_goes_back_while_an_order_works():
    desk = Desk()
    desk.status("Submitted", 5)
    desk.status("PendingCancel", 3)
    assert [(one.state, one.filled) for one in desk.told] == [
        (OrderState.WORKING, D(5)),
        (OrderState.CANCELLING, D(5)),
    ]


async def test_a_cancel_waits_for_its_reason_and_is_told_with_it():
    desk = Desk()
    desk.status("Submitted")
    desk.status("Cancelled", 3)
    assert desk.states == [OrderState.WORKING]
    desk.error(202, "Order Canceled - reason:too far through the market")
    desk.status("Cancelled", 3)
    last = (await settled(desk)).told[-1]
    assert desk.states == [OrderState.WORKING, OrderState.CANCELLED]
    assert (last.filled, last.reason, last.code) == (D(3), "too far through the market", 202)


async def test_a_cancel_without_a_reason_is_told_after_half_a_second():
    desk = Desk()
    desk.status("Cancelled")
    await settled(desk)
    (update,) = desk.told
    assert (update.state, update.code, update.at - NOW) == (OrderState.CANCELLED, None, timedelta(seconds=0.5))


async def test_the_reason_alone_cancels_nothing():
    desk = Desk()
    desk.error(202, "Order Canceled - reason:")
    assert (await settled(desk)).told == []
    desk.status("Cancelled")
    assert [(one.state, one.reason, one.code) for one in desk.told] == [(OrderState.CANCELLED, "Order Canceled", 202)]


async def test_the_end_of_the_day_is_no_cancel():
    desk = Desk()
    desk.status("Cancelled")
    desk.error(202, "Order Canceled - reason:The day of the order is over")
    (update,) = (await settled(desk)).told
    assert (update.state, update.reason, update.code) == (OrderState.EXPIRED, "the day of the order is over", None)


def test_a_refusal_with_its_code_ends_a_new_order_and_inactive_adds_nothing():
    desk = Desk()
    desk.error(201, "Order rejected - reason: margin")
    desk.status("Inactive")
    (update,) = desk.told
    assert (update.state, update.code, update.reject_reason) == (OrderState.REJECTED, 201, RejectReason.MARGIN)


async def test_inactive_without_a_code_is_no_end_but_keeps_the_order_back():
    desk = Desk()
    desk.status("Inactive")
    desk.status("Inactive")
    assert desk.states == [OrderState.WORKING]
    assert desk.notices == []
    await settled(desk)
    assert [(one.order_ref, one.reject_reason, one.code) for one in desk.notices] == [
        (REF, RejectReason.REJECTED, None)
    ]
    desk.status("Submitted", 2)
    desk.status("Filled", 10)
    assert desk.states[-1] is OrderState.FILLED


@pytest.mark.parametrize("after", ["Submitted", "PreSubmitted"])
async def test_an_order_that_comes_back_from_inactive_at_once_is_kept_back_by_nobody(after):
    desk = Desk()
    desk.status("Inactive")
    desk.status(after)
    assert (await settled(desk)).notices == []


async def test_inactive_before_its_code_is_refused_with_the_code():
    desk = Desk()
    desk.status("Inactive")
    desk.error(201, "Order rejected - reason: margin")
    assert (await settled(desk)).notices == []
    assert desk.states == [OrderState.WORKING, OrderState.REJECTED]


@given(st.integers(0, 20_000).filter(lambda code: code not in CODES or CODES[code].ends is Ends.NONE), st.booleans())
def test_no_other_code_ends_an_order(code, is_acknowledged):
    desk = Desk()
    if is_acknowledged:
        desk.status("Submitted")
    assert desk.error(code)
    assert not any(state.is_final for state in desk.states)


@pytest.mark.parametrize("code", [109, 110, 200, 321, 434, 10243])
def test_a_code_that_would_refuse_a_new_order_is_only_told_of_one_that_works(code):
    desk = Desk()
    desk.status("Submitted")
    desk.error(code, "what the broker said")
    assert desk.states == [OrderState.WORKING]
    assert [(notice.code, notice.text, notice.order_ref) for notice in desk.notices] == [
        (code, "what the broker said", REF)
    ]


@pytest.mark.parametrize("code", [399, 2109, 10147, 4711])
def test_a_warning_after_the_fill_leaves_it_filled(code):
    desk = Desk()
    desk.status("Filled", 10)
    desk.error(code)
    assert desk.states == [OrderState.FILLED]
    assert len(desk.notices) == 1


@pytest.mark.parametrize("code", [161, 10148])
def test_an_order_that_ended_before_its_cancel_has_its_end_told_again(code):
    desk = Desk()
    desk.status("Filled", 10)
    desk.error(code, "it is filled")
    assert [(one.state, one.filled, one.code) for one in desk.told] == [
        (OrderState.FILLED, D(10), None),
        (OrderState.FILLED, D(10), code),
    ]


@pytest.mark.parametrize("code", [161, 10148])
def test_that_it_cannot_be_cancelled_ends_no_order_that_works(code):
    desk = Desk()
    desk.status("Submitted")
    desk.error(code)
    assert desk.states == [OrderState.WORKING]


def test_an_order_from_before_this_connection_is_taken_over_in_silence():
    desk = Desk(sent=False)
    desk.shown("Submitted")
    desk.status("Submitted", 4)
    assert desk.told == []
    assert [(one.order_id, one.filled) for one in desk.orders.of(REF)] == [(ID, D(4))]
    desk.status("Submitted", 6)
    assert [one.filled for one in desk.told] == [D(6)]


def test_the_status_of_another_clients_order_under_our_number_is_none_of_ours():
    desk = Desk()
    desk.status("Filled", 10, client=CLIENT + 1)
    assert desk.told == []
    assert not desk.order.is_heard_of.is_set()


def test_an_order_of_another_client_is_none_of_ours():
    desk = Desk(sent=False)
    desk.shown("Submitted", client=1)
    desk.status("Filled", 10, client=1)
    assert desk.told == []
    assert desk.orders.of(REF) == []
    assert not desk.error(201)


def test_a_second_order_under_the_same_id_is_always_told():
    desk = Desk()
    desk.status("Submitted")
    desk.status("Submitted", perm_id=PERM + 1)
    assert [one.perm_id for one in desk.told] == [PERM, PERM + 1]


def test_an_order_that_a_code_refused_is_alive_by_the_list_of_open_orders_alone():
    desk = Desk()
    desk.error(321)
    desk.shown("Submitted")
    assert desk.states == [OrderState.REJECTED, OrderState.WORKING]
    assert [one.state for one in desk.orders.of(REF)] == [OrderState.WORKING]


def test_an_order_whose_id_was_given_out_again_says_nothing_of_the_new_one():
    desk = Desk()
    desk.shown("Submitted", ref=OrderRef("RB-BBBBBBBBBBBB-B1-1"), perm_id=PERM - 1)
    assert not desk.order.is_acknowledged
    desk.status("Filled", 10, perm_id=PERM - 1)
    assert desk.told == []
    desk.shown("Submitted")
    desk.status("Submitted", 4)
    assert [(one.state, one.perm_id, one.filled) for one in desk.told] == [
        (OrderState.WORKING, PERM, D(0)),
        (OrderState.WORKING, PERM, D(4)),
    ]


async def test_a_cancel_said_twice_while_its_reason_is_awaited_counts_the_most_that_filled():
    desk = Desk()
    desk.status("Submitted")
    desk.status("Cancelled", 0)
    desk.status("Cancelled", 5)
    await settled(desk)
    assert [(one.state, one.filled) for one in desk.told] == [
        (OrderState.WORKING, D(0)),
        (OrderState.CANCELLED, D(5)),
    ]


def test_of_several_orders_under_a_reference_those_that_may_fill_are_found():
    desk = Desk()
    desk.orders.expect(ID + 1, REF)
    desk.orders.expect(ID + 2, REF)
    desk.error(201)
    assert [order.order_id for order in desk.orders.of(REF)] == [ID + 1, ID + 2]
    desk.error(201, order_id=ID + 1)
    desk.error(201, order_id=ID + 2)
    assert [order.order_id for order in desk.orders.of(REF)] == [ID + 2]


STATUSES = ("PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "Inactive", "Cancelled", "Filled")
WORDS = st.lists(
    st.one_of(
        st.tuples(st.just("status"), st.sampled_from(STATUSES), st.integers(0, 10)),
        st.tuples(st.just("error"), st.sampled_from(sorted(CODES)), st.just(0)),
    ),
    max_size=20,
)


@given(WORDS)
def test_whatever_is_said_an_order_ends_only_by_a_status_or_by_a_code_that_ends_it(words):
    desk = Desk()
    for kind, what, filled in words:
        before = len(desk.states)
        desk.status(what, filled) if kind == "status" else desk.error(what)
        ended = [state for state in desk.states[before:] if state.is_final]
        may_end = what in ("Cancelled", "Filled") if kind == "status" else CODES[what].ends is not Ends.NONE
        assert not ended or may_end or what in (161, 202, 10148)
    assert all(isinstance(event.filled, Decimal) for event in desk.told if isinstance(event, OrderUpdate))


@given(WORDS)
def test_the_same_words_again_tell_nothing_but_notices(words):
    desk = Desk()
    desk.status("Filled", 10)
    before = len(desk.states)
    for kind, what, _ in words:
        if kind == "status" and what != "Cancelled":
            desk.status(what, 10)
        elif kind == "error" and what not in (161, 10148):
            desk.error(what)
    assert len(desk.states) == before


def test_an_order_that_had_ended_before_is_not_taken_over():
    desk = Desk(sent=False)
    desk.shown("Filled")
    assert desk.orders.of(REF) == []
