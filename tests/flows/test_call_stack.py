"""Nested calls cost no system call each, however deep the loop stands that makes them."""

import resource

import pytest

from tasks.app.call_stack import with_room_for_calls

DEPTHS = range(300)
CALLS = 500


def leaf():
    return None


def call_often_at(depth):
    if depth:
        return call_often_at(depth - 1)
    for _ in range(CALLS):
        leaf()
    return None


def page_faults():
    """How many new pages it took to call a function often at every depth."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for depth in DEPTHS:
        call_often_at(depth)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_loop_of_calls_takes_no_new_page_for_each_at_any_depth():
    # at the end of a chunk every call would take one or more
    assert with_room_for_calls(page_faults) < CALLS


def test_what_the_call_returns_and_raises_goes_through():
    assert with_room_for_calls(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        with_room_for_calls(lambda: 1 / 0)
