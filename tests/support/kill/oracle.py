"""The oracle: what the gateway's own log says of a case, against what must hold whatever happened.

The journal is read only for what is a statement about it: (c) SENDING before an order, (d) its fills, (f) that a second
recovery changes nothing, (h) the orders that it calls ABSENT.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from core.errors import ExitCode
from core.journal.entries import replayed
from core.model import NEW_YORK, Order, OrderRecord, OrderState, Stage
from core.model.refs import parse_ref
from core.money import ZERO, D
from kill.cases import ALL_ORDERS, Case, Environment, approved_quantities, line_of
from kill.recovery import Recovered

Line = Mapping[str, Any]
LINES: Mapping[str, Order] = {line_of(order.ref): order for order in ALL_ORDERS}
KILLED, FIRST, SECOND, OVER = "killed recovery", "recovery 1", "recovery 2", "over"
# a switch that is set while an order is on its way does not stop that order
ON_ITS_WAY = timedelta(seconds=1)
A_MINUTE = timedelta(seconds=60)
ERROR_CODE = 3  # field of an error
TROUBLE = ("1100", "1101", "1102", "2110", "2103", "2105", "2157")


@dataclass(frozen=True, slots=True)
class Played:
    """A case that was played: the gateway's log, both recoveries, and what went wrong with the playing itself."""

    case: Case
    log: tuple[Line, ...]
    first: Recovered
    second: Recovered
    stopped_at: str
    seconds: float

    def lines(self, what: str) -> Iterator[Line]:
        """The log's lines of one kind: arrival, report, or a note of the case."""
        return (line for line in self.log if line.get("what") == what)

    @property
    def reports(self) -> list[Line]:
        """What the exchange reported of orders with a reference of the plan's lines."""
        return [line for line in self.lines("report") if line_of(line["ref"]) in LINES]

    @property
    def arrivals(self) -> list[Line]:
        """The orders that came in, whatever became of them; none that was only asked about."""
        return [line for line in self.lines("arrival") if not line["is_what_if"]]

    @property
    def records(self) -> Mapping[str, OrderRecord]:
        """The orders on record after the first recovery."""
        state = replayed(self.first.entries)
        return {record.order.ref: record for record in state.orders.values()} if state else {}

    def named(self, state: OrderState) -> list[str]:
        """The references of the orders in this state after the first recovery."""
        return [ref for ref, record in self.records.items() if record.state is state]

    def is_excused(self, ref: str) -> bool:
        """Whether recovery has said that nobody knows this order's fate, and has named it."""
        record = self.records.get(ref)
        is_unknown = record is not None and record.state is OrderState.UNKNOWN
        return is_unknown and self.first.exit_code == ExitCode.UNKNOWN and ref in self.first.text


def read_log(path: Path) -> tuple[Line, ...]:
    """The lines of a gateway's log."""
    return tuple(json.loads(line) for line in path.read_text().splitlines())


def a_reference_is_one_order(played: Played) -> Iterator[str]:
    """(a)"""
    arrived: defaultdict[str, int] = defaultdict(int)
    for line in played.arrivals:
        arrived[line["ref"]] += 1
    yield from (f"{ref} arrived {count} times" for ref, count in arrived.items() if count > 1)
    at_the_exchange: defaultdict[str, set[int]] = defaultdict(set)
    for line in played.reports:
        at_the_exchange[line["ref"]].add(line["perm_id"])
    yield from (f"{ref} is {len(ids)} orders" for ref, ids in at_the_exchange.items() if len(ids) > 1)


def a_line_takes_no_more_than_was_approved(played: Played) -> Iterator[str]:
    """(b)"""
    approved = approved_quantities()
    taken: defaultdict[str, dict[int, Decimal]] = defaultdict(dict)
    for report in played.reports:
        is_over = OrderState[report["state"]].is_final
        line = line_of(report["ref"])
        taken[line][report["perm_id"]] = D(report["filled"] if is_over else report["quantity"])
        total = sum(taken[line].values(), ZERO)
        if total > approved[line]:
            yield f"{line} took {total} of {approved[line]}"


def an_order_was_on_record_before_it_arrived(played: Played) -> Iterator[str]:
    """(c)"""
    return (f"{line['ref']} arrived before SENDING" for line in played.arrivals if not line["is_sending_on_record"])


def the_journal_has_the_fills_of_the_gateway(played: Played) -> Iterator[str]:
    """(d): or the order is named as unknown; and nothing of ours is left working unnoticed."""
    theirs: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
    last: dict[str, Line] = {}
    for report in played.reports:
        last[report["ref"]] = report
        if "exec_id" in report:
            theirs[report["ref"]][report["exec_id"]] = D(report["shares"])
    for ref in {*theirs, *last, *played.records}:
        record = played.records.get(ref)
        ours = {fill.exec_id: fill.shares for fill in record.fills} if record else {}
        if ours != theirs[ref] and not played.is_excused(ref):
            yield f"{ref}: {_sum(ours)} on record, {_sum(theirs[ref])} at the gateway"
    for ref, report in last.items():
        if not OrderState[report["state"]].is_final and not played.is_excused(ref):
            yield f"{ref} is left {report['state']}"


def an_order_is_one_of_the_approved_lines(played: Played) -> Iterator[str]:
    """(e)"""
    for line in played.arrivals:
        order = LINES.get(line_of(line["ref"]))
        if order is None:
            yield f"{line['ref']} is of no line"
            continue
        wanted = (order.account_id, order.contract.con_id, order.side.value)
        found = (line["account"], line["con_id"], line["side"])
        if found != wanted:
            yield f"{line['ref']} is {found}, not {wanted}"
        if not line["is_approval_used"]:
            yield f"{line['ref']} arrived before the approval was used"


def a_second_recovery_changes_nothing(played: Played) -> Iterator[str]:
    """(f)"""
    if played.second.entries != played.first.entries:
        added = played.second.entries[len(played.first.entries) :]
        yield f"the second recovery wrote {[type(entry).__name__ for entry in added]}"
    if played.second.exit_code != played.first.exit_code:
        yield f"it ended {played.first.exit_code}, then {played.second.exit_code}"
    asked = [line["message"] for line in _phase(played, SECOND) if line.get("message") == "cancelOrder"]
    if asked:
        yield f"the second recovery sent {asked}"


def no_buy_comes_before_its_money_or_after_the_kill_switch(played: Played) -> Iterator[str]:
    """(g)"""
    open_now: dict[int, str] = {}
    has_bought, stopped_at = False, None
    for line in played.log:
        match line.get("what"):
            case "kill switch":
                stopped_at = datetime.fromisoformat(line["t"])
            case "report" if line_of(line["ref"]) in LINES:
                open_now[line["perm_id"]] = line["ref"]
                if OrderState[line["state"]].is_final:
                    del open_now[line["perm_id"]]
            case "arrival" if not line["is_what_if"] and _is_buy(line["ref"]):
                has_bought = True
                yield from _why_too_early_or_late(line, open_now.values(), stopped_at)
            case "arrival" if not line["is_what_if"] and has_bought:
                yield f"{line['ref']} arrived after a buy"


def _why_too_early_or_late(buy: Line, working: Iterable[str], stopped_at: datetime | None) -> Iterator[str]:
    funding = [ref for ref in working if not _is_buy(ref)]
    if funding:
        yield f"{buy['ref']} arrived while {funding} worked"
    if stopped_at and datetime.fromisoformat(buy["t"]) - stopped_at > ON_ITS_WAY:
        yield f"{buy['ref']} arrived after the kill switch was set"


def _is_buy(ref: str) -> bool:
    parsed = parse_ref(ref)
    return parsed is not None and parsed.stage is Stage.BUY


def an_absent_order_never_is_at_the_gateway(played: Played) -> Iterator[str]:
    """(h): one that had ended there without a fill, on no list that was shown, does no harm."""
    absent = set(played.named(OrderState.ABSENT))
    last = {line["ref"]: line for line in played.reports if line["ref"] in absent}
    for ref, line in last.items():
        is_harmless = OrderState[line["state"]].is_final and not D(line["filled"])
        if not is_harmless or played.case.environment is not Environment.BLANK:
            yield f"{ref} is called absent, yet the exchange had it: {line['state']}, {line['filled']} filled"


def an_absent_order_was_looked_for_twice(played: Played) -> Iterator[str]:
    """A minute apart, on the day it was sent, with nothing wrong with the connection from the first to the last."""
    absent = [played.records[ref] for ref in played.named(OrderState.ABSENT)]
    rounds = [looks for name in (KILLED, FIRST) if (looks := _undisturbed_looks(_phase(played, name)))]
    for record in absent:
        days = {_day(record.sent_at or record.created_at)}
        if not any(looks[-1] - looks[0] >= A_MINUTE and {*map(_day, looks)} == days for looks in rounds):
            yield f"{record.order.ref} is called absent after looks at {[str(at) for looks in rounds for at in looks]}"


def _undisturbed_looks(phase: Sequence[Line]) -> list[datetime]:
    """When all lists had been read, since the last trouble with the connection."""
    looks: list[datetime] = []
    for line in phase:
        if line.get("message") == "error" and line["fields"][ERROR_CODE] in TROUBLE:
            looks.clear()
        elif line.get("message") == "execDetailsEnd":
            looks.append(datetime.fromisoformat(line["t"]))
    return looks


def recovery_never_sends(played: Played) -> Iterator[str]:
    """Nor does it touch what somebody else ordered."""
    for phase in (KILLED, FIRST, SECOND):
        sent = [line for line in _phase(played, phase) if line.get("message") == "placeOrder"]
        yield from (f"{phase} sent an order: {line['fields'][:4]}" for line in sent)
    foreign = [line for line in played.lines("report") if line_of(line["ref"]) not in LINES]
    yield from (f"a foreign order is {line['state']}" for line in foreign if line["state"] == "CANCELLED")


def what_the_broker_lists_is_known(played: Played) -> Iterator[str]:
    """UNKNOWN is for what nobody can tell: while the lists are complete and of the day, an order in them is told.

    Without this a recovery that looks at nothing would break no rule.
    """
    if played.case.environment in (Environment.NEXT_DAY, Environment.BLIND, Environment.BLANK):
        return iter(())
    there = {line["ref"] for line in played.reports}
    return (f"{ref} is called unknown" for ref in played.named(OrderState.UNKNOWN) if ref in there)


def the_next_run_is_refused_while_an_order_is_unknown(played: Played) -> Iterator[str]:
    """With 41, and not otherwise: a recovery that succeeds leaves the account free."""
    wanted = ExitCode.UNKNOWN if played.named(OrderState.UNKNOWN) else ExitCode.DONE
    for name, recovered in ((FIRST, played.first), (SECOND, played.second)):
        if recovered.next_run != wanted:
            yield f"after {name} the next run ends {recovered.next_run}, not {wanted}"


Rule = Callable[[Played], Iterator[str]]
RULES: Mapping[str, Rule] = {
    "a": a_reference_is_one_order,
    "b": a_line_takes_no_more_than_was_approved,
    "c": an_order_was_on_record_before_it_arrived,
    "d": the_journal_has_the_fills_of_the_gateway,
    "e": an_order_is_one_of_the_approved_lines,
    "f": a_second_recovery_changes_nothing,
    "g": no_buy_comes_before_its_money_or_after_the_kill_switch,
    "h": an_absent_order_never_is_at_the_gateway,
    "proof": an_absent_order_was_looked_for_twice,
    "sends": recovery_never_sends,
    "known": what_the_broker_lists_is_known,
    "next run": the_next_run_is_refused_while_an_order_is_unknown,
}


def violations(played: Played) -> list[str]:
    """What is wrong, each with the name of its rule in front; as a rule nothing."""
    return [f"({name}) {text}" for name, rule in RULES.items() for text in rule(played)]


def _phase(played: Played, name: str) -> Sequence[Line]:
    """The log of a recovery; empty where there was none of this name."""
    names = [line.get("what") for line in played.log]
    if name not in names:
        return ()
    begin = names.index(name)
    return played.log[begin : names.index(OVER, begin)]


def _day(at: datetime) -> date:
    return at.astimezone(NEW_YORK).date()


def _sum(fills: Mapping[str, Decimal]) -> Decimal:
    return sum(fills.values(), ZERO)
