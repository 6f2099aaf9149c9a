"""Which execution is the same one again, and which of its revisions counts."""

from __future__ import annotations

import doctest
from datetime import timedelta

import pytest
from builders import NOW, fill
from hypothesis import given
from hypothesis import strategies as st

import core.model.executions
from core.model.executions import fill_of_execution, is_same_execution, latest_fills, next_exec_id, split_exec_id


def test_the_worked_ids_in_the_docstrings_are_right():
    found = doctest.testmod(core.model.executions)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("exec_id", ["", "a", "a.b", ".01", "a.", "a.²"])
def test_an_id_without_a_revision_is_itself(exec_id):
    assert split_exec_id(exec_id) == (exec_id, 0)


@given(root=st.from_regex(r"[0-9a-f]{8}(\.[0-9a-f]{2}){1,2}", fullmatch=True), revision=st.integers(1, 120))
def test_a_correction_is_the_same_execution_one_revision_on(root, revision):
    exec_id = f"{root}.{revision:02d}"
    assert split_exec_id(next_exec_id(exec_id)) == (root, revision + 1)
    assert is_same_execution(exec_id, next_exec_id(exec_id))


def test_revisions_are_compared_as_numbers():
    older, newer = fill("6", exec_id="a.1.99"), fill("5", exec_id="a.1.100")
    assert latest_fills([newer, older]) == (newer,)


def test_a_fill_is_found_by_any_revision_of_its_execution():
    first, second = fill("6", exec_id="a.1.01"), fill("5", exec_id="a.2.01")
    assert fill_of_execution([first, second], "a.2.03") is second
    assert fill_of_execution([first, second], "a.3.01") is None


def test_fills_of_one_moment_stand_in_order_of_their_ids():
    fills = [fill("6", exec_id=f"a.{number}.01", at=NOW) for number in (2, 3, 1)]
    assert [one.exec_id for one in latest_fills(fills)] == ["a.1.01", "a.2.01", "a.3.01"]


@given(
    made=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.booleans()), max_size=10),
    data=st.data(),
)
def test_neither_order_nor_repetition_changes_which_fills_count(made, data):
    """The broker reports the same revision alike but for its commission, which may be missing."""
    fills = [
        fill(
            str(revision),
            exec_id=f"a.{number}.{revision:02d}",
            at=NOW + timedelta(seconds=number),
            **({} if has_cost else {"commission": None, "commission_currency": None}),
        )
        for number, revision, has_cost in made
    ]
    shuffled = data.draw(st.permutations(fills + fills[: len(fills) // 2]))
    assert latest_fills(shuffled) == latest_fills(fills)
    assert latest_fills(latest_fills(fills)) == latest_fills(fills)
