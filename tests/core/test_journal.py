"""What every journal promises; another journal joins by one more factory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from builders import NOW, fill, order_record, plan, still_line, trade_line
from hypothesis import given
from hypothesis import strategies as st

from core.errors import AccountBusy, ExitCode, SafetyRefused, UsageError
from core.journal.memory import MemoryJournal
from core.journal.port import Journal
from core.model import (
    USD,
    AccountId,
    Approval,
    BrokerEvent,
    CommissionReport,
    ConnectionChange,
    Failure,
    FxLeg,
    Mode,
    Notice,
    Order,
    OrderRecord,
    OrderRef,
    OrderState,
    OrderType,
    OrderUpdate,
    Plan,
    RunId,
    RunRecord,
    Side,
    Stage,
    Symbol,
)
from core.money import D
from core.refs import order_ref

RUN = RunId("ABCDEFGHIJ23")
ACCOUNT = AccountId("DU1234567")
REF = OrderRef("RB-ABCDEFGHIJ23-B1-1")

FACTORIES: tuple[Callable[[], Journal], ...] = (MemoryJournal,)


@pytest.fixture(params=FACTORIES, ids=lambda factory: factory.__name__)
def journal(request: pytest.FixtureRequest) -> Journal:
    return request.param()


def run_record(**changes: object) -> RunRecord:
    values: dict[str, object] = {
        "run_id": RUN,
        "flow_run_id": "flow",
        "account_id": ACCOUNT,
        "mode": Mode.PAPER,
        "started_at": NOW,
    }
    return RunRecord(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def answer(plan_hash: str, *, approved: bool = True) -> Approval:
    return Approval(plan_hash, approved, "Ann", NOW)


def approve(journal: Journal, approved: Plan) -> None:
    journal.ask(RUN, approved.hash, at=NOW)
    journal.answer(RUN, answer(approved.hash))
    journal.approve_lines(approved)


def approved_journal(journal: Journal, *lines: object) -> Journal:
    """A journal with a paper run under way, whose plan (one buy of 10 VTI) is approved."""
    journal.start_run(run_record())
    approve(journal, plan(*lines))  # type: ignore[arg-type]  # trade lines
    return journal


def order(**changes: object) -> Order:
    """The first attempt at 10 VTI; its reference follows from stage, line and attempt."""
    stage, line, attempt = changes.get("stage", Stage.BUY), changes.get("line", 1), changes.get("attempt", 1)
    symbol = changes.pop("symbol", "VTI")
    changes.setdefault("ref", order_ref(RUN, stage, line, attempt))  # type: ignore[arg-type]  # as given
    return order_record(str(symbol), **changes).order


def sent(journal: Journal, **changes: object) -> Order:
    """An order that has left."""
    made = order(**changes)
    journal.intend(made, at=NOW)
    journal.sending(made.ref, at=NOW)
    return made


def update(state: OrderState, filled: str = "0", **changes: object) -> OrderUpdate:
    values: dict[str, object] = {"order_ref": REF, "state": state, "filled": D(filled), "at": NOW, "perm_id": 7}
    return OrderUpdate(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def part(shares: str, number: int = 1, revision: int = 1, **changes: object) -> BrokerEvent:
    """The execution of this number, of so many shares."""
    return fill(shares, exec_id=f"0000e0d5.{number:02d}.{revision:02d}", **changes)


def record_of(journal: Journal, ref: OrderRef = REF) -> OrderRecord:
    found = journal.order(ref)
    assert found is not None
    return found


def told(journal: Journal, *events: BrokerEvent) -> OrderRecord:
    """The record after an order for 10 VTI was sent and the broker said all this."""
    approved_journal(journal)
    sent(journal)
    for event in events:
        journal.record(event)
    return record_of(journal)


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
    first, second = MemoryJournal(), MemoryJournal()
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
        ({"quantity": D(0)}, "no order"),
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
    told(journal, part("4"), update(OrderState.CANCELLED, "4"))
    journal.intend(order(attempt=2, quantity=D(6)), at=NOW)
    assert len(journal.orders(RUN)) == 2


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((part("4"), update(OrderState.CANCELLED, "4")), "on top of 4 exceeds the approved 10"),
        ((), "is Sending, not ended"),
        ((part("4"),), "is Working, not ended"),
        ((update(OrderState.CANCELLED, "4"),), "is Cancelled, not ended"),
        ((part("4"), part("7", 2)), "is Unknown, not ended"),
    ],
)
def test_fills_and_open_and_new_never_exceed_the_approved_line(
    journal: Journal, said: tuple[BrokerEvent, ...], why: str
) -> None:
    told(journal, *said)
    with pytest.raises(SafetyRefused, match=why):
        journal.intend(order(attempt=2, quantity=D(7)), at=NOW)


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
    ("said", "state"),
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
    journal: Journal, said: tuple[BrokerEvent, ...], state: OrderState
) -> None:
    assert told(journal, *said).state is state


def test_the_reason_of_the_news_that_moved_the_state_is_kept(journal: Journal) -> None:
    record = told(
        journal,
        update(OrderState.REJECTED, reason="no margin", code=201, failure=Failure.MARGIN),
        update(OrderState.CANCELLED, reason="cancelled", code=202),
    )
    assert (record.reason, record.code, record.failure) == ("no margin", 201, Failure.MARGIN)


def test_cancelling_an_order_that_has_ended_changes_nothing(journal: Journal) -> None:
    before = told(journal, part("10"))
    journal.cancelling(REF)
    assert record_of(journal) == before


def test_an_order_being_cancelled_still_fills(journal: Journal) -> None:
    told(journal)
    journal.cancelling(REF)
    assert record_of(journal).state is OrderState.CANCELLING
    journal.record(part("10"))
    assert record_of(journal).state is OrderState.FILLED


def test_an_order_of_unknown_fate_is_closed_for_a_person_and_keeps_counting_fills(journal: Journal) -> None:
    told(journal)
    journal.unknown(REF, reason="no word")
    journal.record(part("10"))
    record = record_of(journal)
    assert (record.state, record.reason, record.filled) == (OrderState.UNKNOWN, "no word", D(10))


def test_an_order_that_ended_with_all_its_fills_cannot_become_unknown(journal: Journal) -> None:
    before = told(journal, part("4"), update(OrderState.CANCELLED, "4"))
    journal.unknown(REF, reason="no word")
    assert record_of(journal) == before


def test_an_end_whose_fills_are_not_all_here_is_not_settled(journal: Journal) -> None:
    record = told(journal, update(OrderState.CANCELLED, "4"))
    assert not record.is_settled
    journal.record(part("4"))
    assert record_of(journal).is_settled


@pytest.mark.parametrize("event", [update(OrderState.WORKING), part("4")])
def test_news_of_an_order_that_never_left_needs_a_person(journal: Journal, event: BrokerEvent) -> None:
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


# --- fills ---


def test_an_execution_told_twice_counts_once(journal: Journal) -> None:
    record = told(journal, part("4"), part("4"))
    assert record.filled == D(4)


def test_a_correction_replaces_the_execution_it_corrects(journal: Journal) -> None:
    record = told(journal, part("6"), update(OrderState.WORKING, "6"), part("5", revision=2))
    assert (record.filled, record.reported_filled) == (D(5), D(5))


def test_an_execution_that_was_corrected_before_is_not_put_back(journal: Journal) -> None:
    record = told(journal, part("5", revision=2), part("6", revision=1))
    assert record.filled == D(5)


def test_a_correction_down_leaves_an_ended_order_ended_and_short(journal: Journal) -> None:
    record = told(journal, part("10"), part("6", revision=2))
    assert (record.state, record.filled, record.open_quantity) == (OrderState.FILLED, D(6), D(0))


def test_execution_ids_without_a_revision_are_each_their_own(journal: Journal) -> None:
    record = told(journal, fill("4", exec_id="a"), fill("3", exec_id="b"), fill("3", exec_id="b.x"))
    assert (record.filled, len(record.fills)) == (D(10), 3)


def test_fills_stand_in_order_of_time_whenever_they_arrive(journal: Journal) -> None:
    late, early = part("4", 1, at=NOW + timedelta(seconds=9)), part("6", 2, at=NOW)
    assert told(journal, late, early).fills == (early, late)


def test_a_commission_is_unknown_until_it_is_told(journal: Journal) -> None:
    told(journal, part("4", commission=None, commission_currency=None))
    assert record_of(journal).fills[0].commission is None
    journal.record(CommissionReport("0000e0d5.01.01", D("1.25"), USD))
    assert (record_of(journal).fills[0].commission, record_of(journal).fills[0].commission_currency) == (D("1.25"), USD)


def test_a_commission_that_comes_before_its_fill_is_kept_for_it(journal: Journal) -> None:
    early = CommissionReport("0000e0d5.01.01", D("1.25"), USD)
    record = told(journal, early, part("4", commission=None, commission_currency=None))
    assert record.fills[0].commission == D("1.25")


def test_a_repeated_fill_brings_the_commission_that_the_first_lacked(journal: Journal) -> None:
    record = told(journal, part("4", commission=None, commission_currency=None), part("4"))
    assert (record.filled, record.fills[0].commission) == (D(4), D("1.00"))


EVENTS = st.one_of(
    st.builds(
        lambda shares, number, revision: part(str(shares), number, revision),
        st.integers(1, 6),
        st.integers(1, 3),
        st.integers(1, 2),
    ),
    st.builds(
        lambda state, filled: update(state, str(filled)),
        st.sampled_from(
            [OrderState.SENT, OrderState.WORKING, OrderState.CANCELLING, OrderState.CANCELLED, OrderState.FILLED]
        ),
        st.integers(0, 10),
    ),
)


@given(events=st.lists(EVENTS, max_size=12))
def test_whatever_the_broker_says_states_never_go_back_and_fills_are_the_truth(events: list[BrokerEvent]) -> None:
    journal = approved_journal(MemoryJournal())
    sent(journal)
    for event in events:
        before = record_of(journal)
        journal.record(event)
        after = record_of(journal)
        assert after.state is before.state or after.state.value > before.state.value or after.state is OrderState.FILLED
        assert after.filled <= D(10) or after.state is OrderState.UNKNOWN


@given(fills=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=8), data=st.data())
def test_fills_add_up_to_the_latest_revisions_in_whatever_order_they_arrive(
    fills: list[tuple[int, int]], data: st.DataObject
) -> None:
    news = [part(str(revision), number, revision) for number, revision in fills]
    shuffled = data.draw(st.permutations(news + news[: len(news) // 2]))
    latest = {number: max(revision for other, revision in fills if other == number) for number, _ in fills}
    assert told(MemoryJournal(), *shuffled).filled == sum(latest.values())
