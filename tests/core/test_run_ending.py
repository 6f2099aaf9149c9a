"""The name of how a run ended, from what failed in it and whether anything was sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import fill, order_record, outcome, plan, still_line, trade_line
from hypothesis import given
from hypothesis import strategies as st
from report_samples import sample_outcome

from core import errors
from core.model import Mode, OrderState, RunEnding, Symbol
from core.money import D

NOTHING_SENT = [
    (errors.RunCancelled, RunEnding.CANCELLED),
    (errors.ApprovalRejected, RunEnding.REJECTED),
    (errors.ApprovalExpired, RunEnding.EXPIRED),
    (errors.AccountBusy, RunEnding.SKIPPED),
    (errors.MarketClosed, RunEnding.SKIPPED),
    (errors.StartedLate, RunEnding.SKIPPED),
    (errors.SafetyRefused, RunEnding.REFUSED),
    (errors.KillSwitchOn, RunEnding.REFUSED),
    (errors.PlanKeptChanging, RunEnding.REFUSED),
    (errors.SettingsInvalid, RunEnding.REFUSED),
    (errors.DataRefused, RunEnding.REFUSED),
    (errors.FundsInsufficient, RunEnding.REFUSED),
    (errors.ConnectionLost, RunEnding.FAILED),
    (errors.OutputFailed, RunEnding.FAILED),
    (errors.RebalanceError, RunEnding.FAILED),
]


@pytest.mark.parametrize(("error", "ending"), NOTHING_SENT, ids=lambda value: getattr(value, "__name__", value))
def test_a_run_that_sent_nothing_is_named_by_what_stopped_it(error, ending):
    assert outcome(errors=(error("why"),)).ending is ending


@pytest.mark.parametrize("error", [errors.MarketClosed, errors.KillSwitchOn, errors.OrderIncomplete])
def test_a_run_that_sent_orders_has_failed_whatever_stopped_it(error):
    run = replace(sample_outcome(), errors=(error("why"),))
    assert run.was_sent
    assert run.ending is RunEnding.FAILED


@pytest.mark.parametrize(("error", "ending"), NOTHING_SENT[:3], ids=lambda value: getattr(value, "__name__", value))
def test_a_persons_decision_names_the_ending_even_after_orders(error, ending):
    assert replace(sample_outcome(), errors=(error("why"),)).ending is ending


def test_without_a_failure_it_is_completed_or_had_nothing_to_trade():
    assert outcome(plan=plan(trade_line())).ending is RunEnding.COMPLETED
    assert outcome(plan=plan(still_line())).ending is RunEnding.NO_TRADES


def test_the_failure_that_gives_the_exit_code_gives_the_name():
    run = outcome(errors=(errors.MarketClosed("first"), errors.OutputFailed("second")))
    assert (run.exit_code, run.ending) == (50, RunEnding.FAILED)


PLANNED = 10
VTI = Symbol("VTI")


@given(
    sent=st.one_of(st.none(), st.integers(1, PLANNED)),
    filled=st.integers(0, PLANNED),
    not_sent=st.sampled_from(["", "no money is left"]),
    reduced=st.sampled_from(["", "the money allows less"]),
)
def test_a_report_never_says_done_with_a_line_unaccounted_for(sent, filled, not_sent, reduced):
    """Ten shares were planned: all of them filled, or there is a reason for each that did not."""
    fills = [] if not sent or not filled else [fill(str(min(filled, sent)))]
    orders = () if sent is None else (order_record("VTI", *fills, quantity=D(sent)),)
    run = outcome(
        mode=Mode.PAPER,
        plan=plan(trade_line(quantity=D(PLANNED))),
        orders=orders,
        not_sent={VTI: not_sent} if sent is None else {},
        reduced={VTI: reduced},
    )
    all_filled = sent is not None and filled >= sent and (sent == PLANNED or bool(reduced))
    is_told = bool(not_sent) if sent is None else all_filled
    assert (run.reason == "done") is is_told
    assert run.unaccounted == (() if is_told else (VTI,))


@pytest.mark.parametrize(
    ("first", "last", "filled", "reduced", "is_told"),
    [
        ("4", "6", "6", "", True),
        ("4", "5", "5", "", False),
        ("4", "5", "5", "a commission had to be paid", True),
        ("4", "5", "3", "a commission had to be paid", False),
    ],
    ids=["all", "fewer without a reason", "fewer for a reason", "a rest of the last"],
)
def test_the_attempts_at_a_line_are_accounted_for_together(first, last, filled, reduced, is_told):
    attempts = (
        order_record("VTI", fill(first), state=OrderState.CANCELLED),
        order_record("VTI", fill(filled), quantity=D(last), attempt=2, ref="RB-ABCDEFGHIJ23-B1-2"),
    )
    planned = plan(trade_line(quantity=D(PLANNED)))
    run = outcome(mode=Mode.PAPER, plan=planned, orders=attempts, reduced={VTI: reduced})
    assert run.unaccounted == (() if is_told else (VTI,))
