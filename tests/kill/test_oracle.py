"""The oracle of the kill campaign: it is content with a case in which all is well, and each rule can be broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from builders import NOW
from kill.cases import ALL_ORDERS, ORDERS, every_case
from kill.oracle import FIRST, RULES, SECOND, Line, Played, violations
from kill.recovery import Recovered
from trading import RUN, approve

from core.journal import Journal, MemoryStore
from core.model import Fill, Order, OrderRef, OrderState, Stage
from core.money import D

SELL, BUY = ORDERS[Stage.SELL][0], ORDERS[Stage.BUY][0]
CASE = every_case()[0]


def line(what: str, **values: Any) -> Line:
    return {"t": NOW.isoformat(), "what": what, **values}


def arrival(order: Order, **changes: Any) -> Line:
    values = {
        "ref": order.ref,
        "account": order.account_id,
        "con_id": order.contract.con_id,
        "side": order.side.value,
        "quantity": "10",
        "is_what_if": False,
        "is_sending_on_record": True,
        "is_approval_used": True,
    }
    return line("arrival", **(values | changes))


def report(order: Order, state: OrderState, filled: str = "0", **changes: Any) -> Line:
    values = {"perm_id": order.line + 1000 * (order is BUY), "client": 42, "ref": order.ref, "quantity": "10"}
    return line("report", **(values | {"state": state.name, "filled": filled} | changes))


def message(name: str) -> Line:
    return {"t": NOW.isoformat(), "message": name, "dir": "in", "fields": []}


def filling(order: Order) -> list[Line]:
    """All that a gateway logs of an order that arrives and fills."""
    fill = {"exec_id": f"{order.ref}.01", "shares": "10"}
    return [arrival(order), report(order, OrderState.WORKING), report(order, OrderState.FILLED, "10", **fill)]


def on_record(*orders: Order) -> Recovered:
    """What is on record when these orders have filled and their run has been recovered."""
    store = MemoryStore()
    journal = Journal(store)
    approve(journal, ALL_ORDERS)
    for order in orders:
        journal.intend(order, at=NOW)
        journal.sending(order.ref, at=NOW)
        journal.record(
            Fill(f"{order.ref}.01", order.ref, order.contract.symbol, order.side, D(10), D(100), NOW, D(1), "USD")
        )
    return Recovered(28, "recovered", tuple(store.load(RUN)))


LOG = (
    *filling(SELL),
    *filling(BUY),
    line("killed"),
    line(FIRST),
    message("reqExecutions"),
    line("over"),
    line(SECOND),
    line("over"),
)
WELL = Played(CASE, LOG, on_record(SELL, BUY), on_record(SELL, BUY), "K2", 0.1)


def with_line(at: int, added: Line) -> Played:
    return replace(WELL, log=(*LOG[:at], added, *LOG[at:]))


def without_line(at: int) -> Played:
    return replace(WELL, log=(*LOG[:at], *LOG[at + 1 :]))


def with_changes(at: int, **changes: Any) -> Played:
    return replace(WELL, log=(*LOG[:at], {**LOG[at], **changes}, *LOG[at + 1 :]))


def unknown(exit_code: int, text: str) -> Played:
    """The buy's fill never came to the journal, which calls the order unknown."""
    store = MemoryStore()
    journal = Journal(store)
    approve(journal, ALL_ORDERS)
    for order in (SELL, BUY):
        journal.intend(order, at=NOW)
        journal.sending(order.ref, at=NOW)
        journal.unknown(order.ref, reason="nobody knows")
    recovered = Recovered(exit_code, text, tuple(store.load(RUN)), next_run=41)
    return replace(WELL, first=recovered, second=recovered)


def absent(*in_recovery: Line, reports: tuple[Line, ...] = ()) -> Played:
    """The buy arrived, was lost, and is called absent after all this in the recovery."""
    store = MemoryStore()
    journal = Journal(store)
    approve(journal, ALL_ORDERS)
    journal.intend(BUY, at=NOW)
    journal.sending(BUY.ref, at=NOW)
    journal.absent(BUY.ref, reason="in no list")
    recovered = Recovered(28, "recovered", tuple(store.load(RUN)))
    log = (arrival(BUY), *reports, line(FIRST), *in_recovery, line("over"), line(SECOND), line("over"))
    return Played(CASE, log, recovered, recovered, "K2", 0.1)


def look(seconds: int) -> Line:
    """All lists had been read, so many seconds after the order was sent."""
    return message("execDetailsEnd") | later(seconds)


def trouble(code: int) -> Line:
    return message("error") | {"fields": ["4", "2", "-1", str(code), "a text"]}


def later(at: int) -> dict[str, str]:
    return {"t": (NOW + timedelta(seconds=at)).isoformat()}


LAST_REPORT, BUY_ARRIVES, IN_RECOVERY, IN_SECOND = 5, 3, 8, 11
BROKEN: dict[str, tuple[str, Callable[[], Played]]] = {
    "a reference arrives twice": ("(a)", lambda: with_line(5, arrival(BUY))),
    "a reference is two orders": ("(a)", lambda: with_line(5, report(BUY, OrderState.CANCELLED, perm_id=7))),
    "a line takes more than was approved": ("(b)", lambda: with_changes(4, quantity="11")),
    "two attempts work at once": (
        "(b)",
        lambda: with_line(5, report(replace(BUY, ref=OrderRef("RB-ABCDEFGHIJ23-B1-2")), OrderState.WORKING)),
    ),
    "an order arrives before SENDING": ("(c)", lambda: with_changes(BUY_ARRIVES, is_sending_on_record=False)),
    "a fill is not on record": ("(d)", lambda: replace(WELL, first=on_record(SELL), second=on_record(SELL))),
    "a fill on record never happened": ("(d)", lambda: without_line(LAST_REPORT)),
    "a fill is of other shares": ("(d)", lambda: with_changes(LAST_REPORT, shares="9")),
    "an order is left working": ("(d)", lambda: with_line(6, report(BUY, OrderState.WORKING, "10"))),
    "an unknown order ends with another code": ("(d)", lambda: unknown(28, f"unknown: {SELL.ref} {BUY.ref}")),
    "an unknown order is not named": ("(d)", lambda: unknown(41, f"unknown: {SELL.ref}")),
    "an order is for another account": ("(e)", lambda: with_changes(BUY_ARRIVES, account="DU7654321")),
    "an order is for another contract": ("(e)", lambda: with_changes(BUY_ARRIVES, con_id=1)),
    "an order is on the other side": ("(e)", lambda: with_changes(BUY_ARRIVES, side="SELL")),
    "an order is of no line": ("(e)", lambda: with_changes(BUY_ARRIVES, ref="RB-ABCDEFGHIJ23-B9-1")),
    "an approval is not used up": ("(e)", lambda: with_changes(BUY_ARRIVES, is_approval_used=False)),
    "a second recovery writes": ("(f)", lambda: replace(WELL, first=on_record(SELL))),
    "a second recovery ends otherwise": ("(f)", lambda: replace(WELL, second=replace(WELL.second, exit_code=0))),
    "a second recovery cancels": ("(f)", lambda: with_line(IN_SECOND, message("cancelOrder"))),
    "a buy comes while a sell works": ("(g)", lambda: with_line(2, arrival(BUY))),
    "a sell comes after a buy": ("(g)", lambda: replace(WELL, log=(*LOG[3:6], *LOG[:3], *LOG[6:]))),
    "a buy comes after the kill switch": (
        "(g)",
        lambda: replace(WELL, log=(line("kill switch"), *LOG[:3], arrival(BUY, **later(9)), *LOG[4:])),
    ),
    "an absent order is at the gateway": (
        "(h)",
        lambda: absent(look(0), look(60), reports=(report(BUY, OrderState.WORKING),)),
    ),
    "an absent order was looked for once": ("(proof)", lambda: absent(look(0))),
    "an absent order was looked for twice at once": ("(proof)", lambda: absent(look(0), look(59))),
    "an absent order was looked for around a trouble": (
        "(proof)",
        lambda: absent(look(0), trouble(1100), trouble(1102), look(70)),
    ),
    "an absent order was looked for while a data farm broke": (
        "(proof)",
        lambda: absent(look(0), trouble(2103), look(70)),
    ),
    "an absent order was looked for on another day": ("(proof)", lambda: absent(look(86_400), look(86_500))),
    "recovery sends": ("(sends)", lambda: with_line(IN_RECOVERY, message("placeOrder"))),
    "a foreign order is cancelled": ("(sends)", lambda: with_line(9, report(BUY, OrderState.CANCELLED, ref=""))),
    "a run may start while an order is unknown": (
        "(next run)",
        lambda: replace(unknown(41, f"{SELL.ref} {BUY.ref}"), second=replace(WELL.second, next_run=0)),
    ),
    "no run may start though all is known": (
        "(next run)",
        lambda: replace(WELL, first=replace(WELL.first, next_run=40)),
    ),
    "what the broker lists is called unknown": ("(known)", lambda: unknown(41, f"unknown: {SELL.ref} {BUY.ref}")),
}


def test_a_case_in_which_all_is_well_breaks_no_rule():
    assert violations(WELL) == []


def test_an_order_that_is_proved_absent_breaks_no_rule():
    assert violations(absent(look(0), look(60))) == []
    assert violations(absent(look(0), trouble(1100), trouble(1101), look(10), look(70))) == []


@pytest.mark.parametrize(("letter", "played"), BROKEN.values(), ids=BROKEN)
def test_the_oracle_notices_that(letter, played):
    assert letter in {text.partition(") ")[0] + ")" for text in violations(played())}


def test_every_rule_can_be_broken():
    assert {letter for letter, _ in BROKEN.values()} == {f"({name})" for name in RULES}


def test_the_cases_are_every_crash_point_with_every_stage_behaviour_and_environment():
    names = [case.name for case in every_case()]
    assert len(names) == len(set(names)) == 756
