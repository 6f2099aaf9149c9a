"""What every journal makes of the broker's reports: states only go forward, and fills are counted once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import NOW, fill
from journals import (
    REF,
    RUN,
    after_reports,
    approved_journal,
    order,
    part,
    record_of,
    sent,
    update,
)

from core.errors import SafetyRefused
from core.journal import Journal
from core.model import (
    USD,
    BrokerEvent,
    CommissionReport,
    ConnectionChange,
    Notice,
    OrderRef,
    OrderState,
    RejectReason,
    Side,
    Symbol,
)
from core.money import D

# --- states ---


def test_an_order_is_sent_once(journal: Journal) -> None:
    approved_journal(journal)
    sent(journal)
    assert record_of(journal).sent_at == NOW
    with pytest.raises(SafetyRefused, match="is Sending already"):
        journal.sending(REF, at=NOW)


def test_what_may_have_left_is_not_closed_as_not_sent(journal: Journal) -> None:
    approved_journal(journal)
    sent(journal)
    with pytest.raises(SafetyRefused, match="is Sending already"):
        journal.not_sent(REF, reason="kill switch")


def test_an_order_that_was_never_intended_has_no_state(journal: Journal) -> None:
    approved_journal(journal)
    assert journal.order(REF) is None
    with pytest.raises(SafetyRefused, match="never intended"):
        journal.sending(REF, at=NOW)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((update(OrderState.SENT),), OrderState.SENT),
        ((update(OrderState.WORKING), update(OrderState.SENT)), OrderState.WORKING),
        ((update(OrderState.CANCELLING), update(OrderState.WORKING)), OrderState.CANCELLING),
        ((update(OrderState.CANCELLED), update(OrderState.WORKING)), OrderState.CANCELLED),
        ((update(OrderState.REJECTED), update(OrderState.CANCELLED)), OrderState.REJECTED),
        ((update(OrderState.FILLED, "10"),), OrderState.WORKING),
        ((update(OrderState.FILLED, "10"), part("10")), OrderState.FILLED),
        ((part("10"), update(OrderState.WORKING)), OrderState.FILLED),
        ((part("4"), part("6", 2)), OrderState.FILLED),
        ((part("4"), update(OrderState.CANCELLED, "4"), part("6", 2)), OrderState.FILLED),
        ((update(OrderState.EXPIRED), part("4")), OrderState.EXPIRED),
        ((update(OrderState.REJECTED), part("10")), OrderState.FILLED),
        ((part("4"), part("7", 2)), OrderState.UNKNOWN),
        ((update(OrderState.WORKING), update(OrderState.WORKING, perm_id=8)), OrderState.UNKNOWN),
        ((part("10", symbol=Symbol("BND")),), OrderState.UNKNOWN),
        ((part("10", side=Side.SELL),), OrderState.UNKNOWN),
    ],
)
def test_states_go_forward_and_the_fills_decide(
    journal: Journal, events: tuple[BrokerEvent, ...], state: OrderState
) -> None:
    assert after_reports(journal, *events).state is state


def test_the_reason_of_the_report_that_changed_the_state_is_kept(journal: Journal) -> None:
    record = after_reports(
        journal,
        update(OrderState.REJECTED, reason="no margin", code=201, reject_reason=RejectReason.MARGIN),
        update(OrderState.CANCELLED, reason="cancelled", code=202),
    )
    assert (record.reason, record.code, record.reject_reason) == ("no margin", 201, RejectReason.MARGIN)


def test_cancelling_an_order_that_has_ended_changes_nothing(journal: Journal) -> None:
    before = after_reports(journal, part("10"))
    journal.cancelling(REF)
    assert record_of(journal) == before


def test_an_order_being_cancelled_still_fills(journal: Journal) -> None:
    after_reports(journal)
    journal.cancelling(REF)
    assert record_of(journal).state is OrderState.CANCELLING
    journal.record(part("10"))
    assert record_of(journal).state is OrderState.FILLED


def test_an_order_of_unknown_fate_is_closed_for_a_person_and_keeps_counting_fills(journal: Journal) -> None:
    after_reports(journal)
    journal.unknown(REF, reason="nothing was reported")
    journal.record(part("10"))
    record = record_of(journal)
    assert (record.state, record.reason, record.filled) == (OrderState.UNKNOWN, "nothing was reported", D(10))


def test_an_order_that_ended_with_all_its_fills_cannot_become_unknown(journal: Journal) -> None:
    before = after_reports(journal, part("4"), update(OrderState.CANCELLED, "4"))
    journal.unknown(REF, reason="nothing was reported")
    assert record_of(journal) == before


def test_an_end_whose_fills_are_not_all_here_is_not_settled(journal: Journal) -> None:
    record = after_reports(journal, update(OrderState.CANCELLED, "4"))
    assert not record.is_settled
    journal.record(part("4"))
    assert record_of(journal).is_settled


@pytest.mark.parametrize("event", [update(OrderState.WORKING), part("4")])
def test_a_report_on_an_order_that_never_left_needs_a_person(journal: Journal, event: BrokerEvent) -> None:
    approved_journal(journal)
    journal.intend(order(), at=NOW)
    journal.not_sent(REF, reason="kill switch")
    journal.record(event)
    record = record_of(journal)
    assert record.state is OrderState.UNKNOWN
    assert "closed as NotSent" in record.reason


@pytest.mark.parametrize(
    "event",
    [
        update(OrderState.WORKING, order_ref=OrderRef("RB-EARLIER-B1-1")),
        part("4", order_ref=OrderRef("")),
        ConnectionChange(is_up=False, at=NOW),
        Notice("market data farm is connected", NOW, 2104),
    ],
)
def test_what_is_not_about_our_orders_changes_none(journal: Journal, event: BrokerEvent) -> None:
    approved_journal(journal)
    sent(journal)
    before = journal.orders(RUN)
    journal.record(event)
    assert journal.orders(RUN) == before


def test_a_message_about_an_order_is_kept_once_and_changes_no_state(journal: Journal) -> None:
    capped = Notice("price\n capped", NOW, 2161, REF)
    record = after_reports(journal, update(OrderState.WORKING), capped, capped)
    assert (record.notices, record.state) == (("price capped (2161)",), OrderState.WORKING)


# --- fills ---


def test_an_execution_reported_twice_counts_once(journal: Journal) -> None:
    record = after_reports(journal, part("4"), part("4"))
    assert record.filled == D(4)


def test_a_correction_replaces_the_execution_it_corrects(journal: Journal) -> None:
    record = after_reports(journal, part("6"), update(OrderState.WORKING, "6"), part("5", revision=2))
    assert (record.filled, record.reported_filled) == (D(5), D(5))


def test_an_execution_that_was_corrected_before_is_not_put_back(journal: Journal) -> None:
    record = after_reports(journal, part("5", revision=2), part("6", revision=1))
    assert record.filled == D(5)


def test_a_correction_down_leaves_an_ended_order_ended_and_short(journal: Journal) -> None:
    record = after_reports(journal, part("10"), part("6", revision=2))
    assert (record.state, record.filled, record.open_quantity) == (OrderState.FILLED, D(6), D(0))


def test_execution_ids_without_a_revision_are_each_their_own(journal: Journal) -> None:
    record = after_reports(journal, fill("4", exec_id="a"), fill("3", exec_id="b"), fill("3", exec_id="b.x"))
    assert (record.filled, len(record.fills)) == (D(10), 3)


def test_fills_stand_in_order_of_time_whenever_they_arrive(journal: Journal) -> None:
    late, early = part("4", 1, at=NOW + timedelta(seconds=9)), part("6", 2, at=NOW)
    assert after_reports(journal, late, early).fills == (early, late)


def test_a_commission_is_unknown_until_it_is_reported(journal: Journal) -> None:
    after_reports(journal, part("4", commission=None, commission_currency=None))
    assert record_of(journal).fills[0].commission is None
    journal.record(CommissionReport("0000e0d5.01.01", D("1.25"), USD))
    assert (record_of(journal).fills[0].commission, record_of(journal).fills[0].commission_currency) == (D("1.25"), USD)


def test_a_commission_that_comes_before_its_fill_is_kept_for_it(journal: Journal) -> None:
    early = CommissionReport("0000e0d5.01.01", D("1.25"), USD)
    record = after_reports(journal, early, part("4", commission=None, commission_currency=None))
    assert record.fills[0].commission == D("1.25")


def test_a_repeated_fill_brings_the_commission_that_the_first_lacked(journal: Journal) -> None:
    record = after_reports(journal, part("4", commission=None, commission_currency=None), part("4"))
    assert (record.filled, record.fills[0].commission) == (D(4), D("1.00"))


def test_a_repeated_fill_keeps_the_commission_that_is_known(journal: Journal) -> None:
    record = after_reports(journal, part("4"), part("4", commission=None, commission_currency=None))
    assert (record.filled, record.fills[0].commission, record.fills[0].commission_currency) == (D(4), D("1.00"), USD)
