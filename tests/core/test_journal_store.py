"""What every store promises a journal, and that a journal opened again knows what the first one recorded."""

from __future__ import annotations

import pytest
from builders import NOW, plan
from hypothesis import given
from hypothesis import strategies as st
from journals import EVENTS, REF, RUN, approve, approved_journal, order, part, play, record_of, run_record, sent

from core.errors import AccountBusy, ExitCode, OutputFailed, SafetyRefused
from core.journal import Journal, MemoryStore, Store
from core.journal.entries import OrderCancelling, OrderEntry, PlanAsked, RunStarted, replayed
from core.journal.store import CodeUsed, LockTaken, TakenCode
from core.model import USD, AccountId, BrokerEvent, CommissionReport, OrderState, RunId
from core.money import D

OTHER = RunId("OTHER")


def code(**changes: object) -> TakenCode:
    """Ann's code of the first time step, for the plan `one`."""
    values: dict[str, object] = {"approver": "ANN", "step": 1, "run_id": RUN, "plan_hash": "one", "at": NOW}
    return TakenCode(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


# --- append and load ---


def test_the_entries_of_a_run_are_loaded_in_the_order_they_were_appended(store: Store) -> None:
    entries = [RunStarted(run_record()), PlanAsked("one", NOW), PlanAsked("two", NOW)]
    for position, entry in enumerate(entries):
        store.append(RUN, position, entry)
    assert list(store.load(RUN)) == entries


def test_a_run_that_was_never_started_has_no_entries(store: Store) -> None:
    store.append(OTHER, 0, RunStarted(run_record(run_id=OTHER)))
    assert not store.load(RUN)


@pytest.mark.parametrize("position", [0, 2])
def test_an_entry_at_any_position_but_the_next_is_refused(store: Store, position: int) -> None:
    store.append(RUN, 0, RunStarted(run_record()))
    with pytest.raises(AccountBusy, match="another process writes to the journal of run ABCDEFGHIJ23"):
        store.append(RUN, position, PlanAsked("one", NOW))
    assert len(store.load(RUN)) == 1


# --- one run at a time by a client of a gateway ---


def test_a_client_of_a_gateway_is_held_by_one_at_a_time(store: Store) -> None:
    for _ in range(2):
        with store.client_lock("client 7 of a gateway"):
            with pytest.raises(LockTaken), store.client_lock("client 7 of a gateway"):
                pytest.fail("the client was held twice")
            with store.client_lock("client 8 of a gateway"):
                pass


# --- a journal opened again ---


def test_a_run_is_not_started_again_after_its_process_died(store: Store) -> None:
    Journal(store).start_run(run_record())
    with pytest.raises(AccountBusy, match="started before"):
        Journal(store).start_run(run_record())


def test_an_approval_that_was_used_is_used_for_every_process(store: Store) -> None:
    approved_journal(Journal(store))
    with pytest.raises(SafetyRefused, match="used before"):
        Journal(store).approve_lines(plan())


def test_a_code_is_good_once_for_whatever_run_account_and_process(store: Store) -> None:
    journal = Journal(store)
    journal.start_run(run_record())
    journal.start_run(run_record(run_id=OTHER, account_id=AccountId("DU7654321")))
    for run_id in (RUN, OTHER):
        journal.ask(run_id, "one", at=NOW)
    journal.take_code(code())
    for used in (code(), code(run_id=OTHER)):
        with pytest.raises(CodeUsed, match="the code of ANN was used before - wait for the next one"):
            Journal(store).take_code(used)
    journal.take_code(code(step=2))
    journal.take_code(code(approver="BOB"))


def test_a_code_is_taken_only_for_the_plan_that_was_asked_about_last(store: Store) -> None:
    journal = Journal(store)
    journal.start_run(run_record())
    journal.ask(RUN, "one", at=NOW)
    journal.ask(RUN, "two", at=NOW)
    with pytest.raises(SafetyRefused, match="not asked about"):
        journal.take_code(code())
    journal.take_code(code(plan_hash="two"))


def test_an_order_that_may_have_left_is_not_sent_by_another_process(store: Store) -> None:
    sent(approved_journal(Journal(store)))
    again = Journal(store)
    with pytest.raises(SafetyRefused, match="was used before"):
        again.intend(order(), at=NOW)
    with pytest.raises(SafetyRefused, match="is Sending already"):
        again.sending(REF, at=NOW)


def test_of_two_that_write_to_one_run_the_second_is_refused(store: Store) -> None:
    first = approved_journal(Journal(store))
    second = Journal(store)
    assert second.run(RUN) == first.run(RUN)
    first.intend(order(quantity=D(6)), at=NOW)
    with pytest.raises(AccountBusy, match="another process writes"):
        second.intend(order(quantity=D(6)), at=NOW)
    assert Journal(store).orders(RUN) == first.orders(RUN)


def test_runs_do_not_share_their_entries(store: Store) -> None:
    journal = approved_journal(Journal(store))
    journal.start_run(run_record(run_id=OTHER, account_id=AccountId("DU7654321")))
    journal.end_run(OTHER, at=NOW, exit_code=ExitCode.DONE, reason="done")
    again = Journal(store)
    assert (again.run(OTHER).reason, again.run(RUN).ended_at) == ("done", None)


def test_a_commission_finds_the_execution_that_an_earlier_process_recorded(store: Store) -> None:
    journal = approved_journal(Journal(store))
    sent(journal)
    journal.record(part("4", commission=None, commission_currency=None))
    again = Journal(store)
    assert again.order(REF) is not None
    again.record(CommissionReport("0000e0d5.01.01", D("1.25"), USD))
    assert record_of(Journal(store)).fills[0].commission == D("1.25")


@given(events=st.lists(EVENTS, max_size=12))
def test_what_is_replayed_is_what_was_recorded(events: list[BrokerEvent | str]) -> None:
    store = MemoryStore()
    journal = approved_journal(Journal(store))
    sent(journal)
    for event in events:
        play(journal, event)
        assert Journal(store).orders(RUN) == journal.orders(RUN)
    assert Journal(store).run(RUN) == journal.run(RUN)


@given(events=st.lists(EVENTS, max_size=8))
def test_an_event_that_changes_nothing_is_not_written(events: list[BrokerEvent | str]) -> None:
    store = MemoryStore()
    journal = approved_journal(Journal(store))
    sent(journal)
    for event in events:
        before, length = journal.orders(RUN), len(store.load(RUN))
        play(journal, event)
        changes = [entry for entry in store.load(RUN)[length:] if isinstance(entry, OrderEntry)]
        assert bool(changes) is (journal.orders(RUN) != before)


# --- faults ---


class FullStore(MemoryStore):
    """A store whose disk is full."""

    is_full = False

    def append(self, run_id, position, entry):
        if self.is_full:
            raise OutputFailed("the journal cannot be written: disk full", next_step="free space, then recover")
        super().append(run_id, position, entry)


def test_what_could_not_be_written_has_not_happened() -> None:
    store = FullStore()
    journal = approved_journal(Journal(store))
    store.is_full = True
    with pytest.raises(OutputFailed):
        journal.intend(order(), at=NOW)
    assert journal.orders(RUN) == ()
    store.is_full = False
    journal.intend(order(), at=NOW)
    assert record_of(journal).state is OrderState.INTENT


def test_a_yes_whose_use_could_not_be_written_may_be_used() -> None:
    store = FullStore()
    journal = Journal(store)
    journal.start_run(run_record())
    journal.ask(RUN, "other", at=NOW)
    store.is_full = True
    with pytest.raises(OutputFailed):
        journal.ask(RUN, plan().hash, at=NOW)
    store.is_full = False
    approve(journal, plan())


@pytest.mark.parametrize("entries", [[PlanAsked("one", NOW)], [OrderCancelling(REF)]])
def test_entries_that_do_not_begin_with_the_start_are_no_run(entries) -> None:
    with pytest.raises(ValueError, match="a run begins with its start"):
        replayed(entries)
