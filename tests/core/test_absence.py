"""The rule for ABSENT, row by row: everything must speak for it, and whatever does not is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, fill, plan
from journals import REF, RUN, approve, approved_journal, order, part, run_record, sent, update

from core.errors import SafetyRefused
from core.execution.absence import Witnesses, WitnessRound, why_not_absent
from core.execution.reconcile import Evidence
from core.journal import Journal, MemoryStore
from core.journal.entries import RunState
from core.model import (
    CAD,
    USD,
    CompletedOrder,
    Fill,
    FxLeg,
    Holdings,
    Notice,
    OrderRef,
    OrderState,
    OrderType,
    RejectReason,
    Side,
    Stage,
    Symbol,
    WorkingOrder,
)
from core.money import D

VTI = Symbol("VTI")
A_MINUTE = timedelta(minutes=1)
NOTHING = Evidence((), (), ())
HELD = Holdings({VTI: D(290)}, {USD: D("2500.00"), CAD: D(5000)}, NOW)
LATER = replace(HELD, taken_at=NOW + A_MINUTE)


def one_look(minutes: float = 0, **changes: object) -> WitnessRound:
    """All four witnesses, who know nothing of the order, so many minutes after it was sent."""
    return replace(WitnessRound(NOW + timedelta(minutes=minutes), NOTHING, LATER), **changes)


def two_looks(**changes: object) -> Witnesses:
    """Two rounds a minute apart; `first` and `second` change one of them."""
    first, second = changes.pop("first", {}), changes.pop("second", {})
    values = {"first": one_look(1, **first), "second": one_look(2, **second), "apart": A_MINUTE}  # type: ignore[arg-type]
    return Witnesses(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def sending_run(*events, before: Holdings | None = HELD, **changes) -> RunState:
    """A run that sent 10 VTI, of which the broker reported these events."""
    journal = approved_journal(Journal(MemoryStore()))
    if before is not None:
        journal.start_stage(RUN, Stage.BUY, before)
    sent(journal, **changes)
    for event in events:
        journal.record(event)
    return journal.state(RUN)


def why(run: RunState, witnesses: Witnesses | None = None) -> str:
    return why_not_absent(run.orders[REF], run, witnesses or two_looks())


def working(**changes) -> Evidence:
    values = {"order_ref": REF, "symbol": VTI, "side": Side.BUY, "quantity": D(10), "filled": D(0)}
    return Evidence((WorkingOrder(**(values | changes), order_type=OrderType.LMT, limit_price=D(100)),), (), ())


COMPLETED = Evidence((), (CompletedOrder(REF, VTI, Side.BUY, D(10), D(0), OrderState.CANCELLED),), ())
EXECUTED = Evidence((), (), (fill("10", order_ref=REF),))


def test_an_order_that_all_four_witnesses_do_not_know_twice_is_absent():
    assert why(sending_run()) == ""


@pytest.mark.parametrize("which", ["first", "second"])
@pytest.mark.parametrize("missing", ["lists", "holdings"])
def test_each_witness_is_needed_in_each_look(which, missing):
    assert "could not be read" in why(sending_run(), two_looks(**{which: {missing: None}}))


@pytest.mark.parametrize("which", ["first", "second"])
@pytest.mark.parametrize("lists", [working(), COMPLETED, EXECUTED], ids=["open", "completed", "executions"])
def test_an_order_that_one_list_knows_once_is_not_absent(which, lists):
    assert "the broker's lists show it" in why(sending_run(), two_looks(**{which: {"lists": lists}}))


def test_an_order_of_another_reference_is_no_sign_of_it():
    others = working(order_ref=OrderRef(""), symbol=Symbol("BND"))
    assert why(sending_run(), two_looks(first={"lists": others}, second={"lists": others})) == ""


@pytest.mark.parametrize(("seconds", "is_enough"), [(59.9, False), (60, True), (3600, True)])
def test_the_looks_are_far_enough_apart(seconds, is_enough):
    second = {"at": NOW + A_MINUTE + timedelta(seconds=seconds)}
    assert (why(sending_run(), two_looks(second=second)) == "") is is_enough


@pytest.mark.parametrize("days", [(0, 1), (1, 1)], ids=["second look", "both looks"])
def test_the_lists_are_of_the_day_on_which_it_was_sent(days):
    looks = [{"at": NOW + timedelta(days=day, minutes=minute)} for day, minute in zip(days, (1, 2), strict=True)]
    assert "it was sent on 02 March" in why(sending_run(), two_looks(first=looks[0], second=looks[1]))


def test_the_day_is_new_york_s_not_utc_s():
    # 03:59 UTC of the next day is 22:59 in New York
    evening = NOW.replace(hour=23, minute=59)
    looks = {"first": {"at": evening}, "second": {"at": evening + timedelta(hours=4)}}
    assert why(sending_run(), two_looks(**looks)) == ""


def test_a_disturbed_connection_proves_nothing():
    assert "was disturbed" in why(sending_run(), two_looks(is_disturbed=True))


def other_filled(**changes) -> RunState:
    """A run whose first order was cancelled after 4 shares, and whose second one was sent."""
    journal = approved_journal(Journal(MemoryStore()))
    journal.start_stage(RUN, Stage.BUY, HELD)
    sent(journal)
    journal.record(part("4", **changes))
    journal.record(update(OrderState.CANCELLED, "4"))
    sent(journal, quantity=D(6), attempt=2)
    return journal.state(RUN)


SECOND = OrderRef("RB-ABCDEFGHIJ23-B1-2")
PAID = {"commission": D("1.00"), "commission_currency": USD, "price": D(100)}
AFTER_FOUR = replace(LATER, positions={VTI: D(294)}, cash={USD: D("2099.00"), CAD: D(5000)})


def second_looks(holdings: Holdings = AFTER_FOUR, fills: tuple[Fill, ...] | None = None, **changes) -> Witnesses:
    listed = (part("4", **PAID),) if fills is None else fills
    look = {"lists": Evidence((), (), listed), "holdings": holdings}
    return two_looks(first=look, second=look, **changes)


def why_second(run: RunState, witnesses: Witnesses) -> str:
    return why_not_absent(run.orders[SECOND], run, witnesses)


def test_fills_on_record_explain_shares_and_cash():
    assert why_second(other_filled(**PAID), second_looks()) == ""


def test_an_executions_list_without_a_fill_on_record_is_blind():
    blind = second_looks(fills=())
    assert "lacks 0000e0d5.01.01, which is on record" in why_second(other_filled(**PAID), blind)


def test_a_corrected_execution_is_the_same_one():
    assert why_second(other_filled(**PAID), second_looks(fills=(part("4", 1, 2, **PAID),))) == ""


def test_an_unknown_commission_makes_cash_no_witness():
    unknown = PAID | {"commission": None, "commission_currency": None}
    assert "commission of execution" in why_second(other_filled(**unknown), second_looks())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"positions": {VTI: D(300)}}, "the account shows 300 VTI, the fills on record make 290"),
        ({"positions": {}}, "the account shows 0 VTI"),
        ({"positions": {VTI: D("290.5")}}, "the account shows 290.5 VTI"),
        ({"cash": {USD: D("1499.80"), CAD: D(5000)}}, "the account shows 1,499.80 USD"),
        ({"cash": {}}, "the account shows 0.00 USD"),
        ({"taken_at": NOW - timedelta(seconds=1)}, "the account was read before it was sent"),
    ],
)
@pytest.mark.parametrize("which", ["first", "second"])
def test_the_account_must_hold_what_the_fills_on_record_make(which, changes, text):
    assert text in why(sending_run(), two_looks(**{which: {"holdings": replace(LATER, **changes)}}))


def test_holdings_of_other_symbols_and_cents_of_rounding_are_no_sign():
    now = replace(LATER, positions={VTI: D(290), Symbol("BND"): D(5)}, cash={USD: D("2500.01"), CAD: D(1)})
    assert why(sending_run(), two_looks(first={"holdings": now}, second={"holdings": now})) == ""


def test_without_the_account_before_the_stage_nothing_is_proved():
    assert "is not on record" in why(sending_run(before=None))


@pytest.mark.parametrize(
    "event",
    [
        update(OrderState.WORKING),
        update(OrderState.SENT),
        update(OrderState.CANCELLING, perm_id=7),
        Notice("held", NOW, 383, REF, RejectReason.REJECTED),
    ],
)
def test_an_order_that_the_broker_has_reported_on_is_not_absent(event):
    assert "the broker has reported on it" in why(sending_run(event))


def conversion() -> RunState:
    """A run that sent a conversion of 3 000 USD."""
    journal = Journal(MemoryStore())
    fx = FxLeg(D(3000), OrderType.MKT, None, D("1.36"), D("1.36"), D(4080), D(3000), "needed")
    journal.start_run(run_record())
    approve(journal, replace(plan(), lines=(), fx=fx))
    journal.start_stage(RUN, Stage.FX, HELD)
    made = order(symbol="USD.CAD", stage=Stage.FX, quantity=D(3000), order_type=OrderType.MKT, limit_price=None)
    journal.intend(made, at=NOW)
    journal.sending(made.ref, at=NOW)
    return journal.state(RUN)


@pytest.mark.parametrize(
    ("cash", "is_absent"),
    [
        ({USD: D("2500.00"), CAD: D(5000)}, True),
        ({USD: D("5500.00"), CAD: D(920)}, False),
        ({USD: D("2501.00"), CAD: D(5000)}, False),
        ({USD: D("2500.00"), CAD: D("4998.64")}, False),
    ],
)
def test_a_conversion_shows_in_both_currencies(cash, is_absent):
    run, now = conversion(), replace(LATER, cash=cash)
    (record,) = run.orders.values()
    looks = two_looks(first={"holdings": now}, second={"holdings": now})
    assert (why_not_absent(record, run, looks) == "") is is_absent


def test_the_journal_takes_no_other_word_for_it():
    journal = approved_journal(Journal(MemoryStore()))
    sent(journal)
    journal.record(update(OrderState.WORKING))
    with pytest.raises(SafetyRefused):
        journal.absent(REF, reason="said so")
