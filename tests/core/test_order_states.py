"""The order's state machine: what the table promises, and what holds whatever is reported, in whatever order."""

from __future__ import annotations

import doctest
from decimal import Decimal
from graphlib import TopologicalSorter

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st
from journals import order, part, update

import core.journal.transitions
from core.journal.transitions import TABLE, OrderEvent, filled, intended, next_state, sending, updated
from core.model import BrokerEvent, Fill, OrderRecord, OrderState, OrderUpdate

OPEN = [state for state in OrderState if not state.is_final]
ENDS = [OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED]
NEVER_LEFT = [OrderState.NOT_SENT, OrderState.ABSENT]
EVIDENCE = [event for event in OrderEvent if event.name.startswith("REPORTED") or event.name.endswith("FILLED")]


# --- the table ---


def test_the_worked_examples_in_the_docstrings_are_right():
    found = doctest.testmod(core.journal.transitions)
    assert found.attempted
    assert not found.failed


def test_every_state_has_its_row():
    assert set(TABLE) == set(OrderState)


def test_states_only_go_forward():
    """No way along the arrows comes back to where it began. `prepare` raises CycleError for one that does."""
    arrows = TopologicalSorter({state: set(row.values()) - {state} for state, row in TABLE.items()})
    arrows.prepare()


def test_final_states_are_final_but_for_these_arrows():
    ended = {OrderEvent.ALL_FILLED: OrderState.FILLED}
    unsure = {OrderEvent.GIVE_UP: OrderState.UNKNOWN, OrderEvent.CONTRADICTION: OrderState.UNKNOWN}
    disproved = dict.fromkeys([*EVIDENCE, OrderEvent.CONTRADICTION], OrderState.UNKNOWN)
    assert {state: dict(TABLE[state]) for state in OrderState if state.is_final} == {
        OrderState.FILLED: unsure,
        **dict.fromkeys(ENDS, ended | unsure),
        **dict.fromkeys(NEVER_LEFT, disproved),
        OrderState.UNKNOWN: {},
    }


@pytest.mark.parametrize("state", OPEN)
def test_an_open_order_can_end_in_every_way_the_broker_reports(state):
    reported = {OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED, OrderState.FILLED, OrderState.UNKNOWN}
    assert reported <= set(TABLE[state].values())


@pytest.mark.parametrize("state", list(OrderState))
def test_only_an_intended_order_is_sent_or_closed_as_not_sent(state):
    ours = {OrderEvent.SEND, OrderEvent.SKIP}
    assert ours & set(TABLE[state]) == (ours if state is OrderState.INTENT else set())


@pytest.mark.parametrize("state", [*ENDS, OrderState.FILLED])
@pytest.mark.parametrize("event", [event for event in EVIDENCE if event is not OrderEvent.ALL_FILLED])
def test_no_report_and_no_partial_fill_opens_an_ended_order_again(state, event):
    assert next_state(state, event) is state


@pytest.mark.parametrize("state", [OrderState.INTENT, OrderState.NOT_SENT, OrderState.ABSENT, OrderState.UNKNOWN])
def test_a_broker_cannot_report_what_only_a_journal_knows(state):
    with pytest.raises(ValueError, match=f"no broker reports an order as {state.label}"):
        updated(sent_order(), update(state))


# --- whatever is reported ---


def sent_order() -> OrderRecord:
    """10 VTI that were just sent."""
    return sending(intended(order(), at=NOW), at=NOW)


def after(record: OrderRecord, events: list[BrokerEvent]) -> OrderRecord:
    for event in events:
        record = filled(record, event) if isinstance(event, Fill) else updated(record, event)
    return record


fills = st.builds(
    lambda shares, number, revision: part(str(shares), number, revision),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(1, 2),
)
updates = st.builds(
    lambda state, count: update(state, str(count)),
    st.sampled_from(
        [OrderState.SENT, OrderState.WORKING, OrderState.CANCELLING, OrderState.CANCELLED, OrderState.FILLED]
    ),
    st.integers(0, 10),
)


@given(events=st.lists(st.one_of(fills, updates), max_size=12))
def test_whatever_is_reported_states_never_go_back_and_fills_are_the_truth(events):
    record, seen = sent_order(), [OrderState.SENDING]
    for event in events:
        record = after(record, [event])
        assert record.state is seen[-1] or record.state not in seen
        seen.append(record.state)
        assert record.filled <= record.order.quantity or record.state is OrderState.UNKNOWN
        if record.state is OrderState.FILLED and seen[-2] is not OrderState.FILLED:
            assert record.filled == record.order.quantity


@st.composite
def reports_of_one_order(draw) -> list[BrokerEvent]:
    """What a broker reports of one order that has one end at most, no execution corrected, all of it up to twice."""
    shares = draw(st.lists(st.integers(1, 5), max_size=4))
    end = draw(st.sampled_from([None, *ENDS, OrderState.FILLED]))
    open_states = draw(st.lists(st.sampled_from([OrderState.SENT, OrderState.WORKING, OrderState.CANCELLING])))
    events: list[BrokerEvent] = [part(str(count), number) for number, count in enumerate(shares, 1)]
    events += [update(state, "0") for state in open_states]
    events += [update(end, str(min(10, sum(shares))))] if end else []
    return events + draw(st.lists(st.sampled_from(events), max_size=4) if events else st.just([]))


@given(events=reports_of_one_order(), data=st.data())
def test_neither_the_order_of_the_reports_nor_their_repetition_matters(events, data):
    shuffled = data.draw(st.permutations(events))
    one, other = after(sent_order(), events), after(sent_order(), shuffled)
    assert (one.state, one.fills, one.reported_filled) == (other.state, other.fills, other.reported_filled)
    assert after(one, shuffled) == one


@given(events=reports_of_one_order())
def test_the_state_is_what_the_fills_and_the_end_amount_to(events):
    record = after(sent_order(), events)
    total = sum({event.exec_id: event.shares for event in events if isinstance(event, Fill)}.values(), Decimal(0))
    ends = [event.state for event in events if isinstance(event, OrderUpdate) and event.state in ENDS]
    assert record.filled == total
    if total > record.order.quantity:
        assert record.state is OrderState.UNKNOWN
    elif total == record.order.quantity:
        assert record.state is OrderState.FILLED
    else:
        assert record.state is ends[0] if ends else not record.state.is_final


@given(made=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=8), data=st.data())
def test_fills_add_up_to_the_latest_revisions_in_whatever_order_they_arrive(made, data):
    reported = [part(str(revision), number, revision) for number, revision in made]
    shuffled = data.draw(st.permutations(reported + reported[: len(reported) // 2]))
    latest = {number: max(revision for other, revision in made if other == number) for number, _ in made}
    assert after(sent_order(), shuffled).filled == sum(latest.values())
