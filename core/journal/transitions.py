"""How the record of one order changes: one table, state × event → state, and nothing else decides.

The states, and what each means:

    INTENT      on record, not sent. Committed before anything else happens to the order.
    SENDING     on record that the next step is to send it. From here on the order may be at the broker.
    SENT        the gateway has it and has not passed it on, or has reported nothing more yet.
    WORKING     the broker works it, or part of it has filled: it may fill at any moment.
    CANCELLING  its cancel is requested and not confirmed: it may still fill. A report that it works changes nothing.
    FILLED      its executions add up to its quantity.
    CANCELLED, REJECTED, EXPIRED    ended by the broker, with or without fills.
    NOT_SENT    closed at INTENT: it never left, which the journal alone proves.
    ABSENT      proved never to have reached the broker, which only recovery proves (`core.execution.absence`).
    UNKNOWN     nobody can tell what became of it, or what is reported contradicts itself. A person has to look.

Why the table looks as it does:

*   States only go forward: following the arrows one never comes back. Reports are repeated, and overtake each other
    (an execution can precede the acknowledgement, a Submitted can follow a Cancelled), so a report that is behind
    the state has no arrow and changes nothing. Hence neither the order in which reports arrive nor their repetition
    matters, but for which of two different ends comes first, and for a correction that takes a fill back.
*   The report "filled" alone is no fill. The broker's count runs ahead of its executions, and money, remainders and
    commissions are taken from executions; so this report is WORKING, and only ALL_FILLED, which is our own count,
    leads to FILLED.
*   An end is not the end of fills. A fill can cross a cancel on its way, and the broker can execute what an error code
    alone has called refused (a code is not its last report: 10349 has been seen on orders that filled). So the ends
    have an arrow to FILLED when all of it fills after all, and fills always count. What does not fill stays
    REJECTED though a later report calls it working: the order tracker, which knows the codes, raises an alarm for a
    REJECTED without permId that comes back so, and the stage stops. A state that quietly went back would hide it.
*   FILLED stays FILLED when a correction takes shares back: the broker has ended the order, and nothing more comes.
*   NOT_SENT and ABSENT mean that the broker cannot have the order. Any report or fill proves that wrong: UNKNOWN.
*   Nothing leaves UNKNOWN. Whatever is reported later may be as wrong as what led there, and a state that corrected
    itself would let trading go on with an account that nobody has looked at. Fills are still counted. What a person
    found stands beside it: that frees the account, and does not become the broker's word.
*   ABSENT has arrows only from states that the broker's answer was not needed for. What it has called working was
    there, and can have ended, but cannot never have been.
*   SEND and SKIP are ours and have an arrow from INTENT only. Anywhere else they are refused, so nothing is sent twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum, auto

from core.errors import SafetyRefused
from core.model import CommissionReport, Fill, Finding, Notice, Order, OrderRecord, OrderState, OrderUpdate
from core.model.executions import fill_of_execution, latest_fills
from core.money import ZERO


class OrderEvent(StrEnum):
    """What can happen to an order: what we do (the first five), what is reported, what its fills add up to."""

    SEND = auto()
    SKIP = auto()
    CANCEL = auto()
    GIVE_UP = auto()
    PROVE_ABSENT = auto()
    REPORTED_SENT = auto()
    REPORTED_WORKING = auto()
    REPORTED_CANCELLING = auto()
    REPORTED_CANCELLED = auto()
    REPORTED_REJECTED = auto()
    REPORTED_EXPIRED = auto()
    PART_FILLED = auto()
    ALL_FILLED = auto()
    CONTRADICTION = auto()


_S, _E = OrderState, OrderEvent
_FAILED = {_E.GIVE_UP: _S.UNKNOWN, _E.CONTRADICTION: _S.UNKNOWN}
_ENDED = _FAILED | {_E.ALL_FILLED: _S.FILLED}
_ENDS = _ENDED | {
    _E.REPORTED_CANCELLED: _S.CANCELLED,
    _E.REPORTED_REJECTED: _S.REJECTED,
    _E.REPORTED_EXPIRED: _S.EXPIRED,
}
_CANCELS = _ENDS | {_E.CANCEL: _S.CANCELLING, _E.REPORTED_CANCELLING: _S.CANCELLING}
_WORKS = _CANCELS | {_E.REPORTED_WORKING: _S.WORKING, _E.PART_FILLED: _S.WORKING}
_LEAVES = _WORKS | {_E.REPORTED_SENT: _S.SENT}
_UNPROVED = {_E.PROVE_ABSENT: _S.ABSENT}
_OURS = (_E.SEND, _E.SKIP, _E.CANCEL, _E.GIVE_UP, _E.PROVE_ABSENT)
_NEVER_LEFT: dict[OrderEvent, OrderState] = {event: _S.UNKNOWN for event in OrderEvent if event not in _OURS}

TABLE: Mapping[OrderState, Mapping[OrderEvent, OrderState]] = {
    # no report can precede SENDING, which is on record before the wire; should one, it is evidence as at SENDING
    _S.INTENT: _LEAVES | {_E.SEND: _S.SENDING, _E.SKIP: _S.NOT_SENT},
    _S.SENDING: _LEAVES | _UNPROVED,
    _S.SENT: _WORKS | _UNPROVED,
    _S.WORKING: _CANCELS,
    # a cancel can be requested of an order that nobody has acknowledged
    _S.CANCELLING: _ENDS | _UNPROVED,
    _S.FILLED: _FAILED,
    _S.CANCELLED: _ENDED,
    _S.REJECTED: _ENDED,
    _S.EXPIRED: _ENDED,
    _S.NOT_SENT: _NEVER_LEFT,
    _S.ABSENT: _NEVER_LEFT,
    _S.UNKNOWN: {},
}

_REPORTED = {
    _S.SENT: _E.REPORTED_SENT,
    _S.WORKING: _E.REPORTED_WORKING,
    _S.CANCELLING: _E.REPORTED_CANCELLING,
    _S.FILLED: _E.REPORTED_WORKING,
    _S.CANCELLED: _E.REPORTED_CANCELLED,
    _S.REJECTED: _E.REPORTED_REJECTED,
    _S.EXPIRED: _E.REPORTED_EXPIRED,
}


def next_state(state: OrderState, event: OrderEvent) -> OrderState:
    """Where `event` leads from `state`; the same state where the table has no arrow.

    >>> next_state(OrderState.CANCELLED, OrderEvent.REPORTED_WORKING).name
    'CANCELLED'
    >>> next_state(OrderState.CANCELLED, OrderEvent.ALL_FILLED).name
    'FILLED'
    """
    return TABLE[state].get(event, state)


def intended(order: Order, *, at: datetime) -> OrderRecord:
    """The record of `order` at INTENT."""
    return OrderRecord(order=order, state=OrderState.INTENT, created_at=at)


def discovered(order: Order, *, at: datetime, reason: str) -> OrderRecord:
    """The record of an `order` that the broker has and the journal did not: at UNKNOWN, for a person to look at."""
    return OrderRecord(order=order, state=OrderState.UNKNOWN, created_at=at, reason=reason)


def sending(record: OrderRecord, *, at: datetime) -> OrderRecord:
    """`record` at SENDING. Raises SafetyRefused unless it is at INTENT, so that nothing is ever sent twice."""
    return replace(record, state=_own_step(record, OrderEvent.SEND, "sent"), sent_at=at)


def not_sent(record: OrderRecord, *, reason: str) -> OrderRecord:
    """`record` at NOT_SENT. Raises SafetyRefused unless it is at INTENT: a later one may have left."""
    return replace(record, state=_own_step(record, OrderEvent.SKIP, "closed as not sent"), reason=reason)


def cancelling(record: OrderRecord) -> OrderRecord:
    """`record` at CANCELLING; unchanged when it has ended."""
    return replace(record, state=next_state(record.state, OrderEvent.CANCEL))


def unknown(record: OrderRecord, *, reason: str) -> OrderRecord:
    """`record` at UNKNOWN; unchanged when the broker has ended the order and all its fills are here."""
    return record if record.is_settled else _given_up(record, OrderEvent.GIVE_UP, reason)


def absent(record: OrderRecord, *, reason: str) -> OrderRecord:
    """`record` at ABSENT. Raises SafetyRefused for one that the broker has, or may have, shown anything of."""
    state = _own_step(record, OrderEvent.PROVE_ABSENT, "closed as absent")
    if not could_be_absent(record):
        raise SafetyRefused(
            f"order {record.order.ref} cannot be closed as absent: the broker has reported on it",
            next_step="look the order up in TWS",
        )
    return replace(record, state=state, reason=reason)


def could_be_absent(record: OrderRecord) -> bool:
    """Whether the order may have left and the broker has shown no sign of it: no number, fill or count, no hold."""
    is_seen = record.perm_id or record.fills or record.reported_filled or record.is_held
    return OrderEvent.PROVE_ABSENT in TABLE[record.state] and not is_seen


def found(record: OrderRecord, finding: Finding) -> OrderRecord:
    """`record` with what a person found. Raises SafetyRefused unless it is at UNKNOWN with no finding yet."""
    if not record.needs_person:
        raise SafetyRefused(
            f"order {record.order.ref} needs no finding: it is {record.state.label}",
            next_step="`rebalance recover --ini FILE` names the orders that need a person",
        )
    return replace(record, finding=finding)


def noted(record: OrderRecord, notice: Notice) -> OrderRecord:
    """`record` with a message of the broker's about it, which changes no state.

    A notice that the gateway holds the order gives its reason: the end of the order will then be a rejection.
    """
    if notice.in_full not in record.notices:
        record = replace(record, notices=(*record.notices, notice.in_full))
    if notice.reject_reason is None or record.state.is_final or record.is_held:
        return record
    return replace(record, reject_reason=notice.reject_reason, reason=" ".join(notice.text.split()), code=notice.code)


def updated(record: OrderRecord, update: OrderUpdate) -> OrderRecord:
    """`record` after the broker's report; a repeated or late one changes nothing that is further on.

    The reason and the code are those of the report that changed the state. The cancel of an order that was held is
    its rejection, for the reason that it was held for; only an outright rejection gives a better one. Raises ValueError
    for a state that no broker reports.
    """
    if record.perm_id and update.perm_id and record.perm_id != update.perm_id:
        # a re-sent order id has once left two orders alive under one reference (nautilus_trader #4564)
        return _contradicted(record, f"two orders at the broker, {record.perm_id} and {update.perm_id}")
    state = next_state(record.state, _event_of(record, update))
    if state is OrderState.UNKNOWN and record.state is not OrderState.UNKNOWN:
        return _contradicted(
            record, f"was closed as {record.state.label}, yet the broker calls it {update.state.label}"
        )
    gives_reason = not record.is_held or update.state is OrderState.REJECTED
    takes_reason = gives_reason and (state is not record.state or not record.reason)
    return replace(
        record,
        state=state,
        reason=(takes_reason and update.reason) or record.reason,
        code=(takes_reason and update.code) or record.code,
        reject_reason=record.reject_reason or update.reject_reason,
        perm_id=record.perm_id or update.perm_id,
        reported_filled=max(record.reported_filled, update.filled),
    )


def filled(record: OrderRecord, fill: Fill) -> OrderRecord:
    """`record` with `fill` counted once; a higher revision of a known execution replaces it, a lower one is late.

    60 shares (`….01`) corrected to 50 (`….02`) are 50 and not 110, and the broker's count goes down by 10 with them.
    """
    order = record.order
    if (fill.symbol, fill.side) != (order.contract.symbol, order.side):
        return _contradicted(record, f"execution {fill.exec_id} is a {fill.side} of {fill.symbol}")
    fills = latest_fills((*record.fills, fill))
    added = sum((each.shares for each in fills), ZERO) - record.filled
    # only a correction changes the broker's count: a new execution is in it already, or will be with its next report
    is_correction = fill_of_execution(record.fills, fill.exec_id) is not None
    counted = record.reported_filled + (added if is_correction else ZERO)
    after = replace(record, fills=fills, reported_filled=counted)
    if record.finding is not None and after.filled > record.finding.filled:
        # more than the person found: somebody has to look again
        after = replace(after, finding=None)
    if after.filled > order.quantity:
        return _contradicted(after, f"filled {after.filled:f} of {order.quantity:f}")
    is_complete = after.filled == order.quantity
    state = next_state(record.state, OrderEvent.ALL_FILLED if is_complete else OrderEvent.PART_FILLED)
    if state is OrderState.UNKNOWN and record.state is not OrderState.UNKNOWN:
        return _contradicted(after, f"closed as {record.state.label}, yet execution {fill.exec_id} filled it")
    return replace(after, state=state)


def charged(record: OrderRecord, report: CommissionReport) -> OrderRecord:
    """`record` with the commission on the execution it belongs to; unchanged when no fill has exactly that id."""
    fills = tuple(
        replace(fill, commission=report.commission, commission_currency=report.currency)
        if fill.exec_id == report.exec_id
        else fill
        for fill in record.fills
    )
    return replace(record, fills=fills)


def _event_of(record: OrderRecord, update: OrderUpdate) -> OrderEvent:
    event = _REPORTED.get(update.state)
    if event is None:
        raise ValueError(f"no broker reports an order as {update.state.label}")
    is_cancel = event in (OrderEvent.REPORTED_CANCELLED, OrderEvent.REPORTED_EXPIRED)
    return OrderEvent.REPORTED_REJECTED if record.is_held and is_cancel else event


def _contradicted(record: OrderRecord, reason: str) -> OrderRecord:
    return _given_up(record, OrderEvent.CONTRADICTION, reason)


def _given_up(record: OrderRecord, event: OrderEvent, reason: str) -> OrderRecord:
    return replace(record, state=next_state(record.state, event), reason=reason)


def _own_step(record: OrderRecord, event: OrderEvent, done: str) -> OrderState:
    if event not in TABLE[record.state]:
        raise SafetyRefused(
            f"order {record.order.ref} cannot be {done}: it is {record.state.label} already",
            next_step="recover the run; nothing is sent twice",
        )
    return TABLE[record.state][event]
