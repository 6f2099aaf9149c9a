"""Executions and commissions in any order: each told once, the newest revision counts, a cost is never guessed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from core.broker.ib.fills import Fills
from core.broker.ib.messages import CommissionRow, ExecutionRow, Named
from core.model import CAD, USD, USD_CAD, CommissionReport, Fill, OrderRef, Side
from core.money import D

REF = OrderRef("RB-AAAAAAAAAAAA-B1-1")
VTI = Named(1, "VTI", "STK", USD)
PAIR = Named(2, "USD", "CASH", CAD)
FIRST, SECOND = "0000f1f1.0001.01.01", "0000f1f1.0001.01.02"


def execution(exec_id=FIRST, shares=60, *, named=VTI, seconds=0, ref=REF):
    at = NOW + timedelta(seconds=seconds)
    return ExecutionRow(-1, 7, ref, "DU1234567", exec_id, named, Side.BUY, D(shares), D("10.05"), at)


def cost(exec_id=FIRST, amount="1.05"):
    return CommissionRow(exec_id, None if amount is None else D(amount), USD)


def told(*rows):
    """What is delivered of these rows, in short."""
    delivered = []
    fills = Fills(delivered.append)
    for row in rows:
        fills.hear_execution(row) if isinstance(row, ExecutionRow) else fills.hear_cost(row)
    return [
        (event.exec_id, event.shares) if isinstance(event, Fill) else (event.exec_id, f"paid {event.commission}")
        for event in delivered
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((execution(), cost()), [(FIRST, 60), (FIRST, "paid 1.05")]),
        ((cost(), execution()), [(FIRST, 60), (FIRST, "paid 1.05")]),
        ((execution(), execution(), cost(), cost()), [(FIRST, 60), (FIRST, "paid 1.05")]),
        ((execution(), cost(amount=None)), [(FIRST, 60)]),
        ((execution(), cost(amount=None), cost()), [(FIRST, 60), (FIRST, "paid 1.05")]),
        ((execution(), cost(), cost(amount="2")), [(FIRST, 60), (FIRST, "paid 1.05"), (FIRST, "paid 2")]),
        ((execution(), execution(SECOND, 50)), [(FIRST, 60), (SECOND, 50)]),
        ((execution(SECOND, 50), execution()), [(SECOND, 50)]),
        ((cost(),), []),
    ],
)
def test_what_is_told_of_executions_and_their_costs(rows, expected):
    assert told(*rows) == expected


def test_a_fill_carries_its_own_reference_and_the_name_of_its_contract():
    delivered = []
    Fills(delivered.append).hear_execution(execution(named=PAIR, ref=OrderRef("RB-OLD-F1-1")))
    assert delivered == [Fill(FIRST, OrderRef("RB-OLD-F1-1"), USD_CAD, Side.BUY, D(60), D("10.05"), NOW)]


def test_a_cost_that_comes_after_the_list_of_executions_is_told():
    delivered = []
    fills = Fills(delivered.append)
    assert [fill.commission for fill in fills.listed([execution()])] == [None]
    fills.hear_cost(cost())
    assert [(event.exec_id, event.commission) for event in delivered] == [(FIRST, D("1.05"))]


def test_the_list_has_the_newest_revision_of_each_with_its_cost_in_order_of_time():
    fills = Fills([].append)
    fills.hear_cost(cost(SECOND, "0.5"))
    listed = fills.listed([execution("b.01", seconds=5), execution(SECOND, 50, seconds=9), execution(seconds=1)])
    assert [(one.exec_id, one.shares, one.commission) for one in listed] == [
        ("b.01", D(60), None),
        (SECOND, D(50), D("0.5")),
    ]


def test_a_cost_that_is_known_is_not_forgotten_when_the_broker_repeats_it_without_a_number():
    fills = Fills([].append)
    fills.hear_cost(cost())
    fills.hear_cost(cost(amount=None))
    assert [(one.commission, one.commission_currency) for one in fills.listed([execution()])] == [(D("1.05"), USD)]


ROWS = st.lists(st.sampled_from([execution(), execution(SECOND, 50), cost(), cost(SECOND, "0.5")]), max_size=12)


@given(ROWS)
def test_in_whatever_order_each_is_told_at_most_once_and_no_cost_before_its_fill(rows):
    delivered = []
    fills = Fills(delivered.append)
    for row in rows:
        fills.hear_execution(row) if isinstance(row, ExecutionRow) else fills.hear_cost(row)
    assert len(delivered) == len(set(delivered))
    for number, event in enumerate(delivered):
        if isinstance(event, CommissionReport):
            assert event.exec_id in {one.exec_id for one in delivered[:number] if isinstance(one, Fill)}
