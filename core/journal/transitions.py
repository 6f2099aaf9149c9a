"""How the record of one order changes: a pure function from what is on record and what is said to the new record.

States only go forward (the order of `OrderState`), whatever the order in which news arrives. Fills are
counted by the root of their execution id, the highest revision of each, and they outrank every word: an
order is FILLED when its fills add up to its quantity and not before, and a fill that arrives after the
end still counts. What contradicts itself (more filled than ordered, two orders under one reference,
news of an order that never left) makes the order UNKNOWN, which only a person can lift.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from core.errors import SafetyRefused
from core.model import CommissionReport, Fill, Notice, Order, OrderRecord, OrderState, OrderUpdate
from core.model.executions import fill_of_execution, latest_fills
from core.money import ZERO

NEVER_LEFT = (OrderState.NOT_SENT, OrderState.ABSENT)


def intended(order: Order, *, at: datetime) -> OrderRecord:
    """The record of `order` at INTENT."""
    return OrderRecord(order=order, state=OrderState.INTENT, created_at=at)


def sending(record: OrderRecord, *, at: datetime) -> OrderRecord:
    """`record` at SENDING. Raises SafetyRefused unless it is at INTENT, so that nothing is ever sent twice."""
    _demand_intent(record, "sent")
    return replace(record, state=OrderState.SENDING, sent_at=at)


def not_sent(record: OrderRecord, *, reason: str) -> OrderRecord:
    """`record` at NOT_SENT. Raises SafetyRefused unless it is at INTENT: a later one may have left."""
    _demand_intent(record, "closed as not sent")
    return replace(record, state=OrderState.NOT_SENT, reason=reason)


def cancelling(record: OrderRecord) -> OrderRecord:
    """`record` at CANCELLING; unchanged when it has ended."""
    return replace(record, state=_later(record.state, OrderState.CANCELLING))


def noted(record: OrderRecord, notice: Notice) -> OrderRecord:
    """`record` with what the broker said of it besides.

    A notice by which the gateway keeps the order back gives its reason: the end of the order will be a refusal.
    """
    if notice.words not in record.notices:
        record = replace(record, notices=(*record.notices, notice.words))
    if notice.reject_reason is None or record.state.is_final or record.is_kept_back:
        return record
    return replace(record, reject_reason=notice.reject_reason, reason=" ".join(notice.text.split()), code=notice.code)


def unknown(record: OrderRecord, *, reason: str) -> OrderRecord:
    """`record` at UNKNOWN; unchanged when the broker has ended the order and all its fills are here."""
    if record.is_settled:
        return record
    return replace(record, state=OrderState.UNKNOWN, reason=reason)


def updated(record: OrderRecord, update: OrderUpdate) -> OrderRecord:
    """`record` after the broker's word; repeated and late news change nothing that is further on.

    The word FILLED alone is no fill: the order stays open until the fills are here. The cancel of an order that was
    kept back is its refusal, for the reason that it was kept back for.
    """
    if record.perm_id and update.perm_id and record.perm_id != update.perm_id:
        return _contradicted(record, f"two orders at the broker, {record.perm_id} and {update.perm_id}")
    if record.state in NEVER_LEFT:
        return _contradicted(
            record, f"was closed as {record.state.label}, yet the broker calls it {update.state.label}"
        )
    state = _later(record.state, _meant(record, update.state))
    is_news = _gives_the_reason(record, update) and (state is not record.state or not record.reason)
    return _weighed(
        replace(
            record,
            state=state,
            reason=(is_news and update.reason) or record.reason,
            code=(is_news and update.code) or record.code,
            reject_reason=record.reject_reason or update.reject_reason,
            perm_id=record.perm_id or update.perm_id,
            reported_filled=max(record.reported_filled, update.filled),
        )
    )


def filled(record: OrderRecord, fill: Fill) -> OrderRecord:
    """`record` with `fill` counted once; a higher revision of a known execution replaces it, a lower one is late."""
    order = record.order
    if (fill.symbol, fill.side) != (order.contract.symbol, order.side):
        return _contradicted(record, f"execution {fill.exec_id} is a {fill.side} of {fill.symbol}")
    if record.state in NEVER_LEFT:
        record = _contradicted(record, f"closed as {record.state.label}, yet execution {fill.exec_id} filled it")
    fills = latest_fills((*record.fills, fill))
    added = sum((each.shares for each in fills), ZERO) - record.filled
    is_correction = fill_of_execution(record.fills, fill.exec_id) is not None
    counted = record.reported_filled + (added if is_correction else ZERO)
    state = _later(record.state, OrderState.WORKING)
    return _weighed(replace(record, fills=fills, state=state, reported_filled=counted))


def charged(record: OrderRecord, report: CommissionReport) -> OrderRecord:
    """`record` with the commission on the execution it belongs to; unchanged when no fill has exactly that id."""
    fills = tuple(
        replace(fill, commission=report.commission, commission_currency=report.currency)
        if fill.exec_id == report.exec_id
        else fill
        for fill in record.fills
    )
    return replace(record, fills=fills)


def committed(records: Iterable[OrderRecord]) -> Decimal:
    """Shares that these orders have filled or may still fill; all of an UNKNOWN order may."""
    return sum((_committed(record) for record in records), ZERO)


def _committed(record: OrderRecord) -> Decimal:
    done = max(record.filled, record.reported_filled)
    is_closed = record.state.is_final and record.state is not OrderState.UNKNOWN
    return done if is_closed else max(done, record.order.quantity)


def _weighed(record: OrderRecord) -> OrderRecord:
    """`record` with the state that its fills prove."""
    if record.filled > record.order.quantity:
        return _contradicted(record, f"filled {record.filled:f} of {record.order.quantity:f}")
    if record.filled == record.order.quantity and record.state is not OrderState.UNKNOWN:
        return replace(record, state=OrderState.FILLED)
    return record


def _meant(record: OrderRecord, said: OrderState) -> OrderState:
    """The state that the broker's word stands for."""
    if said is OrderState.FILLED:
        return OrderState.WORKING
    is_refusal = record.is_kept_back and said in (OrderState.CANCELLED, OrderState.EXPIRED)
    return OrderState.REJECTED if is_refusal else said


def _gives_the_reason(record: OrderRecord, update: OrderUpdate) -> bool:
    """Of an order that was kept back the reason is known, and only an outright refusal has a better one."""
    return not record.is_kept_back or update.state is OrderState.REJECTED


def _contradicted(record: OrderRecord, reason: str) -> OrderRecord:
    return replace(record, state=OrderState.UNKNOWN, reason=reason)


def _later(current: OrderState, said: OrderState) -> OrderState:
    return said if not current.is_final and said.value > current.value else current


def _demand_intent(record: OrderRecord, done: str) -> None:
    if record.state is not OrderState.INTENT:
        raise SafetyRefused(
            f"order {record.order.ref} cannot be {done}: it is {record.state.label} already",
            next_step="recover the run; nothing is sent twice",
        )
