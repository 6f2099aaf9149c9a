"""Order references: one form, one meaning, never longer than the broker takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model import RunId, Stage
from core.model.refs import ParsedRef, belongs_to_us, order_ref, parse_ref, run_id_of

RUN = RunId("ABCDEFGHIJ23")


@given(st.text())
def test_a_run_id_is_twelve_base32_characters_and_the_same_for_a_retry(flow_run_id):
    run_id = run_id_of(flow_run_id)
    assert len(run_id) == 12
    assert set(run_id) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    assert run_id == run_id_of(flow_run_id)


def test_two_runs_have_two_run_ids():
    assert run_id_of("0197-a") != run_id_of("0197-b")


@given(st.sampled_from(Stage), st.integers(1, 99_999), st.integers(1, 999))
def test_a_reference_says_what_it_was_made_of(stage, line, attempt):
    ref = order_ref(RUN, stage, line, attempt)
    assert parse_ref(ref) == ParsedRef(RUN, stage, line, attempt)
    assert len(ref) <= 32
    assert ref.isascii()


def test_the_stage_stands_in_the_reference_by_its_first_letter():
    assert [order_ref(RUN, stage, 1, 1)[16] for stage in Stage] == ["F", "S", "B"]


@pytest.mark.parametrize(
    ("run_id", "line", "attempt"),
    [(RUN, 0, 1), (RUN, 1, 0), ("", 1, 1), ("A-B", 1, 1), (RUN, 10**13, 10), ("ÄBCDEFGHIJ23", 1, 1)],
)
def test_a_reference_that_could_not_be_read_back_is_not_made(run_id, line, attempt):
    with pytest.raises(ValueError, match="no order reference"):
        order_ref(RunId(run_id), Stage.BUY, line, attempt)


@pytest.mark.parametrize("ref", ["RB-ABCDEFGHIJ23-S2-1", "RB-earlier-B1-1"])
def test_references_of_this_and_earlier_runs_are_ours(ref):
    assert belongs_to_us(ref)


@pytest.mark.parametrize(
    "ref", ["", "RB-", "RB-ABC-X1-1", "RB-ABC-S0-1", "rb-ABC-S1-1", "RB-ABC-S1-1 ", "MINE", "RB-ABC-S1-1\n"]
)
def test_anybody_elses_reference_is_not_ours(ref):
    assert not belongs_to_us(ref)
