"""Planning works through each symbol the same number of times, however many there are."""

from __future__ import annotations

import sys

import pytest
from large_portfolio import large_portfolio

MOST_GROWTH = 11  # SPEC §20: ten times the symbols


def calls_in(work):
    """How many functions it calls, ours and Python's: its work without the speed of the machine."""
    calls = 0

    def count(_frame, event, _of):
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize(
    "usd_of_each", [pytest.param("10", id="money for all buys"), pytest.param("0", id="too little for some")]
)
@pytest.mark.parametrize("symbols", [300, pytest.param(1_000, marks=pytest.mark.slow)])
def test_ten_times_the_symbols_are_no_more_than_eleven_times_the_work(usd_of_each, symbols):
    few, many = large_portfolio(symbols, usd_of_each), large_portfolio(10 * symbols, usd_of_each)
    assert len(few.plan().traded) > symbols / 2, "the case is meant to trade most symbols"
    assert calls_in(many.plan) <= MOST_GROWTH * calls_in(few.plan)
