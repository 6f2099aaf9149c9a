"""What every journal promises of the lock, of runs, of questions and answers, and of what may be intended at all."""

from __future__ import annotations

import pytest
from builders import NOW, plan, still_line, trade_line
from journals import (
    ACCOUNT,
    REF,
    RUN,
    after_reports,
    answer,
    approve,
    approved_journal,
    order,
    part,
    record_of,
    run_record,
    update,
)

from core.errors import AccountBusy, ExitCode, SafetyRefused, UsageError
from core.journal import Journal, MemoryStore
from core.model import (
    AccountId,
    BrokerEvent,
    FxLeg,
    Mode,
    OrderRecord,
    OrderRef,
    OrderState,
    OrderType,
    RunId,
    Side,
    Stage,
)
from core.money import D

# --- the lock and the run ---


def test_an_account_is_held_by_one_run_at_a_time_and_the_refusal_names_it_masked(journal: Journal) -> None:
    with journal.lock(ACCOUNT, RUN), pytest.raises(AccountBusy, match=r"\*{6}567 is busy with run ABCDEFGHIJ23"):
        journal.lock(ACCOUNT, RunId("OTHER")).__enter__()


def test_the_holder_of_an_account_cannot_take_it_twice(journal: Journal) -> None:
    with journal.lock(ACCOUNT, RUN), pytest.raises(AccountBusy):
        journal.lock(ACCOUNT, RUN).__enter__()


def test_other_accounts_are_free_while_one_is_held(journal: Journal) -> None:
    with journal.lock(ACCOUNT, RUN), journal.lock(AccountId("DU7654321"), RunId("OTHER")):
        pass


def test_a_run_that_fails_lets_go_of_the_account(journal: Journal) -> None:
    with pytest.raises(RuntimeError, match="boom"), journal.lock(ACCOUNT, RUN):
        raise RuntimeError("boom")
    with journal.lock(ACCOUNT, RunId("OTHER")):
        pass


def test_a_run_is_never_started_twice(journal: Journal) -> None:
    journal.start_run(run_record())
    with pytest.raises(AccountBusy, match="started before"):
        journal.start_run(run_record())


def test_a_run_keeps_how_it_ended(journal: Journal) -> None:
    journal.start_run(run_record())
    journal.end_run(RUN, at=NOW, exit_code=ExitCode.KILL_SWITCH, reason="stopped")
    ended = journal.run(RUN)
    assert (ended.ended_at, ended.exit_code, ended.reason) == (NOW, ExitCode.KILL_SWITCH, "stopped")


def test_an_unknown_run_is_named(journal: Journal) -> None:
    with pytest.raises(UsageError, match="no run NOSUCHRUN"):
        journal.run(RunId("NOSUCHRUN"))


def test_two_journals_share_nothing() -> None:
    first, second = Journal(MemoryStore()), Journal(MemoryStore())
    first.start_run(run_record())
    with first.lock(ACCOUNT, RUN), second.lock(ACCOUNT, RUN):
        second.start_run(run_record())


# --- questions and answers ---


def test_an_answer_is_kept_with_the_run(journal: Journal) -> None:
    journal.start_run(run_record())
    journal.ask(RUN, "hash", at=NOW)
    journal.answer(RUN, answer("hash", approved=False))
    assert journal.run(RUN).approvals == (answer("hash", approved=False),)


@pytest.mark.parametrize("asked", [(), ("other",), ("hash", "other")])
def test_an_answer_to_a_plan_that_is_not_the_one_asked_last_is_refused(journal: Journal, asked: tuple[str]) -> None:
    journal.start_run(run_record())
    for plan_hash in asked:
        journal.ask(RUN, plan_hash, at=NOW)
    with pytest.raises(SafetyRefused, match="not asked about"):
        journal.answer(RUN, answer("hash"))


def test_a_question_is_answered_once(journal: Journal) -> None:
    journal.start_run(run_record())
    journal.ask(RUN, "hash", at=NOW)
    journal.answer(RUN, answer("hash", approved=False))
    with pytest.raises(SafetyRefused, match="answered before"):
        journal.answer(RUN, answer("hash"))


def test_lines_are_approved_by_a_yes_only(journal: Journal) -> None:
    journal.start_run(run_record())
    journal.ask(RUN, plan().hash, at=NOW)
    journal.answer(RUN, answer(plan().hash, approved=False))
    with pytest.raises(SafetyRefused, match="not approved"):
        journal.approve_lines(plan())


def test_a_yes_is_used_once(journal: Journal) -> None:
    approved_journal(journal)
    with pytest.raises(SafetyRefused, match="used before"):
        journal.approve_lines(plan())


def test_a_yes_to_another_plan_is_no_yes(journal: Journal) -> None:
    journal.start_run(run_record())
    journal.ask(RUN, "another", at=NOW)
    journal.answer(RUN, answer("another"))
    with pytest.raises(SafetyRefused, match="not approved"):
        journal.approve_lines(plan())


def test_a_new_question_voids_a_yes_that_was_not_used(journal: Journal) -> None:
    journal.start_run(run_record())
    journal.ask(RUN, plan().hash, at=NOW)
    journal.answer(RUN, answer(plan().hash))
    journal.ask(RUN, "another", at=NOW)
    with pytest.raises(SafetyRefused, match="not approved"):
        journal.approve_lines(plan())


def test_a_later_approval_replaces_the_lines_of_the_earlier(journal: Journal) -> None:
    approved_journal(journal)
    approve(journal, plan(trade_line(quantity=D(3)), still_line(), hash="another"))
    with pytest.raises(SafetyRefused, match="exceeds the approved 3"):
        journal.intend(order(quantity=D(4)), at=NOW)


# --- intent ---


def test_an_intended_order_is_on_record_before_it_is_sent(journal: Journal) -> None:
    approved_journal(journal)
    journal.intend(order(), at=NOW)
    assert journal.orders(RUN) == (OrderRecord(order(), OrderState.INTENT, NOW),)
    assert record_of(journal).sent_at is None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"quantity": D("10.0001")}, "exceeds the approved 10"),
        ({"quantity": D(0)}, "quantity must be positive, not 0"),
        ({"quantity": D(-1)}, "quantity must be positive, not -1"),
        ({"symbol": "BND"}, "no BUY of BND"),
        ({"side": Side.SELL}, "no SELL of VTI"),
        ({"stage": Stage.SELL, "side": Side.SELL}, "no SELL of VTI in stage SELL"),
        ({"account_id": AccountId("DU7654321")}, r"account \*{6}321"),
        ({"ref": OrderRef("RB-ABCDEFGHIJ23-B2-1")}, "not the reference"),
        ({"ref": OrderRef("manual")}, "not the reference"),
    ],
)
def test_what_was_not_approved_is_not_intended(journal: Journal, wrong: dict[str, object], why: str) -> None:
    approved_journal(journal)
    with pytest.raises(SafetyRefused, match=why):
        journal.intend(order(**wrong), at=NOW)
    assert journal.orders(RUN) == ()


def test_a_reference_is_used_once_whatever_became_of_its_order(journal: Journal) -> None:
    approved_journal(journal)
    journal.intend(order(quantity=D(1)), at=NOW)
    journal.not_sent(REF, reason="kill switch")
    with pytest.raises(SafetyRefused, match="used before"):
        journal.intend(order(quantity=D(1)), at=NOW)


def test_an_ended_run_sends_nothing_more(journal: Journal) -> None:
    approved_journal(journal)
    journal.end_run(RUN, at=NOW, exit_code=ExitCode.DONE, reason="done")
    with pytest.raises(SafetyRefused, match="has ended"):
        journal.intend(order(), at=NOW)


def test_a_dry_run_sends_nothing(journal: Journal) -> None:
    journal.start_run(run_record(mode=Mode.DRY_RUN))
    approve(journal, plan())
    with pytest.raises(SafetyRefused, match="dry_run sends no orders"):
        journal.intend(order(), at=NOW)


def test_a_conversion_and_a_sell_are_approved_with_the_plan(journal: Journal) -> None:
    fx = FxLeg(D(5000), OrderType.MKT, None, D("1.36"), D("1.36"), D(6800), D(5000), "needed")
    sell = trade_line("BND", side=Side.SELL, quantity=D(4))
    journal.start_run(run_record())
    approve(journal, plan(sell, trade_line(), fx=fx))
    journal.intend(order(symbol="USD.CAD", stage=Stage.FX, quantity=D(5000)), at=NOW)
    journal.intend(order(symbol="BND", stage=Stage.SELL, side=Side.SELL, quantity=D(4)), at=NOW)
    assert [record.order.stage for record in journal.orders(RUN)] == [Stage.FX, Stage.SELL]


def test_a_new_attempt_may_take_what_the_fills_left(journal: Journal) -> None:
    after_reports(journal, part("4"), update(OrderState.CANCELLED, "4"))
    journal.intend(order(attempt=2, quantity=D(6)), at=NOW)
    assert len(journal.orders(RUN)) == 2


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((part("4"), update(OrderState.CANCELLED, "4")), "on top of 4 exceeds the approved 10"),
        ((), "is Sending, not ended"),
        ((part("4"),), "is Working, not ended"),
        ((update(OrderState.CANCELLED, "4"),), "is Cancelled, not ended"),
        ((part("4"), part("7", 2)), "is Unknown, not ended"),
    ],
)
def test_fills_and_open_and_new_never_exceed_the_approved_line(
    journal: Journal, events: tuple[BrokerEvent, ...], why: str
) -> None:
    after_reports(journal, *events)
    with pytest.raises(SafetyRefused, match=why):
        journal.intend(order(attempt=2, quantity=D(7)), at=NOW)
