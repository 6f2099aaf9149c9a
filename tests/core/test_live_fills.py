"""Executions and commissions in any order: each emitted once, the newest revision counts, nothing is guessed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from core.broker.ib.fills import Fills
from core.broker.ib.messages import CommissionRow, ContractRow, ExecutionRow
from core.model import CAD, USD, USD_CAD, CommissionReport, Fill, OrderRef, Side
from core.money import D

REF = OrderRef("RB-AAAAAAAAAAAA-B1-1")
VTI = ContractRow(1, "VTI", "STK", USD)
PAIR = ContractRow(2, "USD", "CASH", CAD)
FIRST, SECOND = "0000f1f1.0001.01.01", "0000f1f1.0001.01.02"


def execution(exec_id=FIRST, shares=60, *, contract=VTI, seconds=0, ref=REF):
    at = NOW + timedelta(seconds=seconds)
    return ExecutionRow(-1, 7, ref, "DU1234567", exec_id, contract, Side.BUY, D(shares), D("10.05"), at)


def commission(exec_id=FIRST, amount="1.05"):
    return CommissionRow(exec_id, None if amount is None else D(amount), USD)


def emitted(*rows):
    """What is emitted for these rows, in short."""
    events = []
    fills = Fills(events.append)
    for row in rows:
        fills.on_execution(row) if isinstance(row, ExecutionRow) else fills.on_commission(row)
    return [
        (event.exec_id, event.shares) if isinstance(event, Fill) else (event.exec_id, f"paid {event.commission}")
        for event in events
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((execution(), commission()), [(FIRST, 60), (FIRST, "paid 1.05")]),
        ((commission(), execution()), [(FIRST, 60), (FIRST, "paid 1.05")]),
        ((execution(), execution(), commission(), commission()), [(FIRST, 60), (FIRST, "paid 1.05")]),
        ((execution(), commission(amount=None)), [(FIRST, 60)]),
        ((execution(), commission(amount=None), commission()), [(FIRST, 60), (FIRST, "paid 1.05")]),
        ((execution(), commission(), commission(amount="2")), [(FIRST, 60), (FIRST, "paid 1.05"), (FIRST, "paid 2")]),
        ((execution(), execution(SECOND, 50)), [(FIRST, 60), (SECOND, 50)]),
        ((execution(SECOND, 50), execution()), [(SECOND, 50)]),
        ((commission(),), []),
    ],
)
def test_which_executions_and_commissions_are_emitted(rows, expected):
    assert emitted(*rows) == expected


def test_a_fill_carries_its_own_reference_and_the_name_of_its_contract():
    events = []
    Fills(events.append).on_execution(execution(contract=PAIR, ref=OrderRef("RB-OLD-F1-1")))
    assert events == [Fill(FIRST, OrderRef("RB-OLD-F1-1"), USD_CAD, Side.BUY, D(60), D("10.05"), NOW)]


def test_a_commission_that_arrives_after_the_list_of_executions_is_emitted():
    events = []
    fills = Fills(events.append)
    assert [fill.commission for fill in fills.latest_of([execution()])] == [None]
    fills.on_commission(commission())
    assert [(event.exec_id, event.commission) for event in events] == [(FIRST, D("1.05"))]


def test_the_list_has_the_newest_revision_of_each_with_its_commission_in_order_of_time():
    fills = Fills([].append)
    fills.on_commission(commission(SECOND, "0.5"))
    latest_of = fills.latest_of([execution("b.01", seconds=5), execution(SECOND, 50, seconds=9), execution(seconds=1)])
    assert [(one.exec_id, one.shares, one.commission) for one in latest_of] == [
        ("b.01", D(60), None),
        (SECOND, D(50), D("0.5")),
    ]


def test_a_known_commission_is_kept_when_the_broker_repeats_it_without_a_number():
    fills = Fills([].append)
    fills.on_commission(commission())
    fills.on_commission(commission(amount=None))
    assert [(one.commission, one.commission_currency) for one in fills.latest_of([execution()])] == [(D("1.05"), USD)]


ROWS = st.lists(
    st.sampled_from([execution(), execution(SECOND, 50), commission(), commission(SECOND, "0.5")]), max_size=12
)


@given(ROWS)
def test_in_whatever_order_each_is_emitted_at_most_once_and_no_commission_before_its_fill(rows):
    events = []
    fills = Fills(events.append)
    for row in rows:
        fills.on_execution(row) if isinstance(row, ExecutionRow) else fills.on_commission(row)
    assert len(events) == len(set(events))
    for number, event in enumerate(events):
        if isinstance(event, CommissionReport):
            assert event.exec_id in {one.exec_id for one in events[:number] if isinstance(one, Fill)}
