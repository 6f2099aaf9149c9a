"""Exact amounts: one constructor, one rounding code, and money that knows its currency."""

from __future__ import annotations

import doctest
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import core.masking
import core.money
from core.money import D, Money, ceil_to, floor_to, nearest_to_low

amounts = st.decimals(min_value=0, max_value=10**6, places=6)
steps = st.sampled_from([D("0.0001"), D("0.005"), D("0.01"), D("0.05"), D(1)])


@pytest.mark.parametrize("module", [core.money, core.masking], ids=["money", "masking"])
def test_the_worked_numbers_in_the_docstrings_are_right(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1,5", "", "one"])
def test_what_is_not_a_finite_number_is_no_amount(text):
    with pytest.raises(ValueError, match="not a"):
        D(text)


@given(amounts, steps)
def test_rounding_stays_on_the_grid_and_brackets_the_value(value, step):
    low, near, high = floor_to(value, step), nearest_to_low(value, step), ceil_to(value, step)
    assert low <= value <= high
    assert near in (low, high)
    assert all(each % step == 0 for each in (low, near, high))
    assert abs(near - value) <= step / 2


@given(amounts, amounts, steps)
def test_rounding_is_monotone(one, other, step):
    small, large = sorted((one, other))
    for rounded in (floor_to, nearest_to_low, ceil_to):
        assert rounded(small, step) <= rounded(large, step)


def test_money_adds_and_subtracts_in_its_own_currency_only():
    assert Money(D("1.10"), "USD") + Money(D("2.20"), "USD") == Money(D("3.30"), "USD")
    assert Money(D("1.10"), "USD") - Money(D("2.20"), "USD") == Money(Decimal("-1.10"), "USD")
    for wrong in (lambda: Money(D(1), "USD") + Money(D(1), "CAD"), lambda: Money(D(1), "USD") - Money(D(1), "CAD")):
        with pytest.raises(ValueError, match="CAD cannot be added to USD unconverted"):
            wrong()
