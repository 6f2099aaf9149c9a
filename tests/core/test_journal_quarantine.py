"""Runs that were left open, orders that need a person, and what a journal lets happen to their account."""

from __future__ import annotations

import pytest
from builders import NOW
from journals import ACCOUNT, REF, RUN, approved_journal, part, record_of, run_record, sent, update

from core.errors import AccountBusy, ExitCode, OrderStateUnknown, SafetyRefused
from core.journal import Journal, MemoryStore, Store
from core.model import USD, AccountId, Finding, Holdings, Mode, OrderState, RunId, Stage, Symbol
from core.money import D

OTHER = RunId("OTHER")
FILLED = Finding("Ann", NOW, "filled 10 at 100.01 by the statement", D(10), D("100.01"))


def left_unknown(store: Store) -> Journal:
    """A run whose only order is of unknown fate, and which has ended with that."""
    journal = approved_journal(Journal(store))
    sent(journal)
    journal.unknown(REF, reason="nothing was reported")
    end(journal, ExitCode.UNKNOWN)
    return Journal(store)


def end(journal: Journal, code: ExitCode = ExitCode.DONE) -> None:
    journal.end_run(RUN, at=NOW, exit_code=code, reason="the reason")


def open_ids(store: Store) -> list[RunId]:
    return [state.record.run_id for state in Journal(store).open_runs(ACCOUNT)]


# --- open runs ---


def test_a_run_is_open_from_its_start_to_its_end(store: Store) -> None:
    journal = Journal(store)
    assert open_ids(store) == []
    journal.start_run(run_record())
    assert open_ids(store) == [RUN]
    end(journal)
    assert open_ids(store) == []


def test_open_runs_of_other_accounts_and_of_modes_that_send_nothing_do_not_count(store: Store) -> None:
    journal = Journal(store)
    journal.start_run(run_record(account_id=AccountId("DU7654321")))
    journal.start_run(run_record(run_id=OTHER, mode=Mode.DRY_RUN))
    assert open_ids(store) == []


def test_an_account_with_an_open_run_starts_no_other_that_sends_orders(store: Store) -> None:
    Journal(store).start_run(run_record())
    with pytest.raises(AccountBusy, match=r"run ABCDEFGHIJ23 .* has not ended"):
        Journal(store).start_run(run_record(run_id=OTHER))
    Journal(store).start_run(run_record(run_id=OTHER, mode=Mode.DRY_RUN))


def test_open_runs_are_as_another_process_has_left_them(store: Store) -> None:
    first, second = Journal(store), Journal(store)
    first.start_run(run_record())
    assert second.run(RUN).approvals == ()
    first.ask(RUN, "hash", at=NOW)
    assert [state.question for state in second.open_runs(ACCOUNT)] == ["hash"]


# --- quarantine ---


def test_a_run_that_ends_with_an_unknown_order_stays_open_and_its_account_is_not_traded(store: Store) -> None:
    left_unknown(store)
    assert open_ids(store) == [RUN]
    assert Journal(store).run(RUN).exit_code is ExitCode.UNKNOWN
    with pytest.raises(OrderStateUnknown, match=f"{REF} is not known") as refused:
        Journal(store).start_run(run_record(run_id=OTHER))
    assert refused.value.next_step.endswith(f"rebalance resolve {REF} --found TEXT --ini FILE")
    assert "567" in refused.value.message
    assert ACCOUNT not in str(refused.value)


def test_what_a_person_found_ends_the_quarantine_and_leaves_the_order_unknown(store: Store) -> None:
    left_unknown(store).resolve(REF, FILLED)
    again = Journal(store)
    record = record_of(again)
    assert (record.state, record.finding, record.fills) == (OrderState.UNKNOWN, FILLED, ())
    assert open_ids(store) == []
    again.start_run(run_record(run_id=OTHER))
    assert again.run(RUN).exit_code is ExitCode.UNKNOWN


def test_a_quarantine_ends_with_the_last_of_its_orders(store: Store) -> None:
    journal = approved_journal(Journal(store))
    sent(journal, quantity=D(4))
    journal.record(update(OrderState.CANCELLED))
    second = sent(journal, quantity=D(4), attempt=2)
    for ref in (REF, second.ref):
        journal.record(update(OrderState.WORKING, order_ref=ref, perm_id=8 if ref == REF else 9))
        journal.unknown(ref, reason="nothing was reported")
    end(journal, ExitCode.UNKNOWN)
    journal.resolve(second.ref, FILLED)
    assert open_ids(store) == [RUN]
    journal.resolve(REF, FILLED)
    assert open_ids(store) == []


def test_an_order_is_resolved_once_and_only_when_it_needs_a_person(store: Store) -> None:
    journal = approved_journal(Journal(store))
    sent(journal)
    with pytest.raises(SafetyRefused, match="needs no finding: it is Sending"):
        journal.resolve(REF, FILLED)
    journal.unknown(REF, reason="nothing was reported")
    journal.resolve(REF, FILLED)
    with pytest.raises(SafetyRefused, match="needs no finding"):
        journal.resolve(REF, FILLED)


def test_a_run_that_had_ended_is_open_again_when_a_late_fill_contradicts_its_order(store: Store) -> None:
    journal = approved_journal(Journal(store))
    sent(journal)
    journal.record(part("10"))
    end(journal)
    journal.record(part("3", 2))
    assert record_of(Journal(store)).state is OrderState.UNKNOWN
    assert open_ids(store) == [RUN]


def test_more_fills_than_a_person_found_need_a_person_again(store: Store) -> None:
    journal = left_unknown(store)
    journal.resolve(REF, Finding("Ann", NOW, "cancelled, filled 4", D(4), D(100)))
    journal.record(part("4"))
    assert open_ids(store) == []
    journal.record(part("3", 2))
    assert open_ids(store) == [RUN]
    with pytest.raises(OrderStateUnknown):
        Journal(store).start_run(run_record(run_id=OTHER))


# --- absent ---


def test_an_order_that_the_broker_has_shown_no_sign_of_can_be_closed_as_absent(store: Store) -> None:
    journal = approved_journal(Journal(store))
    sent(journal)
    journal.absent(REF, reason="in no list, twice")
    assert (record_of(Journal(store)).state, record_of(journal).reason) == (OrderState.ABSENT, "in no list, twice")
    end(journal)
    assert open_ids(store) == []


@pytest.mark.parametrize(
    "sign",
    [
        update(OrderState.WORKING, perm_id=0),
        update(OrderState.SENT),
        update(OrderState.SENT, "1", perm_id=0),
        part("1"),
        update(OrderState.CANCELLED, perm_id=0),
    ],
)
def test_an_order_that_the_broker_has_shown_is_never_absent(sign) -> None:
    journal = approved_journal(Journal(MemoryStore()))
    sent(journal)
    journal.record(sign)
    with pytest.raises(SafetyRefused, match="cannot be closed as absent"):
        journal.absent(REF, reason="in no list")


def test_an_absent_order_that_is_reported_after_all_needs_a_person(store: Store) -> None:
    journal = approved_journal(Journal(store))
    sent(journal)
    journal.absent(REF, reason="in no list, twice")
    end(journal)
    journal.record(part("3"))
    assert record_of(Journal(store)).needs_person
    assert open_ids(store) == [RUN]


# --- stages ---


def test_the_account_before_each_stage_is_kept(store: Store) -> None:
    journal = approved_journal(Journal(store))
    before = Holdings({Symbol("VTI"): D("300.5")}, {USD: D("20000.01")}, NOW)
    journal.start_stage(RUN, Stage.BUY, before)
    assert Journal(store).state(RUN).before == {Stage.BUY: before}


def test_a_run_that_ends_with_an_order_whose_end_is_not_on_record_stays_open(store: Store) -> None:
    journal = approved_journal(Journal(store))
    sent(journal)
    end(journal, ExitCode.OUTPUT)
    (state,) = Journal(store).open_runs(ACCOUNT)
    assert state.needs_recovery
    with pytest.raises(AccountBusy, match="has not ended"):
        Journal(store).start_run(run_record(run_id=OTHER))
    again = Journal(store)
    again.record(update(OrderState.CANCELLED))
    end(again, ExitCode.OUTPUT)
    assert open_ids(store) == []


def test_a_run_that_waits_for_a_person_alone_needs_no_recovery(store: Store) -> None:
    (state,) = left_unknown(store).open_runs(ACCOUNT)
    assert not state.needs_recovery
