"""The record of a run, entry by entry, and the state that the entries add up to.

A run is the sequence of its entries, and nothing else: whoever replays them has the run with its approvals, its orders
and their fills exactly as they stood. So a store needs to know nothing of orders, and a record cannot disagree with
its own history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from core.errors import ExitCode
from core.journal import transitions
from core.model import (
    Approval,
    BrokerEvent,
    CommissionReport,
    Fill,
    Finding,
    Holdings,
    Notice,
    Order,
    OrderRecord,
    OrderRef,
    OrderState,
    OrderUpdate,
    Plan,
    RunRecord,
    RunResult,
    Side,
    Stage,
    Symbol,
)

LineKey = tuple[Stage, Symbol, Side]
"""What a person approves a quantity of."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first entry of every run."""

    run: RunRecord


@dataclass(frozen=True, slots=True)
class PlanMade:
    """A plan, before anybody is asked about it; a later one stands in its place."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class PlanAsked:
    """Approval of the plan of this hash was requested; an earlier question, and a yes not used, are void."""

    plan_hash: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PlanAnswered:
    """The answer, which closes the question."""

    approval: Approval


@dataclass(frozen=True, slots=True)
class LinesApproved:
    """The yes was used: `lines` are the most shares (USD of the conversion) that may ever be traded of each."""

    plan_hash: str
    lines: tuple[tuple[LineKey, Decimal], ...]


@dataclass(frozen=True, slots=True)
class StageStarted:
    """The account right before the first order of the stage: what it would hold without it."""

    stage: Stage
    before: Holdings


@dataclass(frozen=True, slots=True)
class OrderIntended:
    """INTENT."""

    order: Order
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderSending:
    """SENDING: the last entry before the order leaves."""

    ref: OrderRef
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderNotSent:
    """An intended order was closed without being sent."""

    ref: OrderRef
    reason: str


@dataclass(frozen=True, slots=True)
class OrderCancelling:
    """A cancel is about to be requested."""

    ref: OrderRef


@dataclass(frozen=True, slots=True)
class OrderUnknown:
    """Nobody can tell what became of the order."""

    ref: OrderRef
    reason: str


@dataclass(frozen=True, slots=True)
class OrderAbsent:
    """The order is proved never to have reached the broker; `reason` says by what."""

    ref: OrderRef
    reason: str


@dataclass(frozen=True, slots=True)
class OrderDiscovered:
    """The broker has this order under a reference of the run, and no intent of it is on record; a person has to look.

    `order` is what the broker's lists show of it.
    """

    order: Order
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class OrderResolved:
    """A person looked the order up."""

    ref: OrderRef
    finding: Finding


@dataclass(frozen=True, slots=True)
class OrderReported:
    """What the broker reported of an order of the run: an update, a fill, a commission or a notice."""

    ref: OrderRef
    event: BrokerEvent


@dataclass(frozen=True, slots=True)
class RunReported:
    """What the run's report was made from; a later one stands in its place."""

    result: RunResult


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last entry of a run that ended, by its own process or by recovery; nothing of it needs a person."""

    at: datetime
    exit_code: ExitCode
    reason: str


@dataclass(frozen=True, slots=True)
class AccountQuarantined:
    """The run ended with an order that has not, or that needs a person: no trading until `RunEnded` follows."""

    at: datetime
    exit_code: ExitCode
    reason: str


RunEntry = (
    RunStarted
    | PlanMade
    | PlanAsked
    | PlanAnswered
    | LinesApproved
    | StageStarted
    | RunReported
    | AccountQuarantined
    | RunEnded
)
OrderEntry = (
    OrderIntended
    | OrderDiscovered
    | OrderSending
    | OrderNotSent
    | OrderCancelling
    | OrderUnknown
    | OrderAbsent
    | OrderResolved
    | OrderReported
)
Entry = RunEntry | OrderEntry


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as its entries leave it.

    `plan` is the newest one. `question` is the hash of the plan that waits for an answer, `consent` that of a yes that
    waits to be used, None where there is none. `result` is what its report was last made from, None without one.
    `before` is the account before each stage that has begun. `orders` stand in the order in which they came on record.
    A run `is_open` while its end is not on record, or is but not that of each of its orders.
    """

    record: RunRecord
    plan: Plan | None = None
    question: str | None = None
    consent: str | None = None
    lines: Mapping[LineKey, Decimal] = field(default_factory=dict)
    before: Mapping[Stage, Holdings] = field(default_factory=dict)
    orders: Mapping[OrderRef, OrderRecord] = field(default_factory=dict)
    result: RunResult | None = None
    is_open: bool = True

    @property
    def needs_recovery(self) -> bool:
        """Whether the run is open for another reason than that it waits for a person."""
        return self.is_open and (self.record.ended_at is None or bool(self.unsettled) or not self.needing_person)

    @property
    def unsettled(self) -> tuple[OrderRecord, ...]:
        """The orders whose end, or whose fills, are not all on record, as far as the broker can tell more of them."""
        return tuple(
            record
            for record in self.orders.values()
            if not record.is_settled and record.state is not OrderState.UNKNOWN
        )

    @property
    def needing_person(self) -> tuple[OrderRecord, ...]:
        """The orders that nobody can tell the fate of, and that no person has looked up yet."""
        return tuple(record for record in self.orders.values() if record.needs_person)


def ref_of(entry: OrderEntry) -> OrderRef:
    """The reference of the order that the entry is about."""
    return entry.order.ref if isinstance(entry, OrderIntended | OrderDiscovered) else entry.ref


def replayed(entries: Iterable[Entry]) -> RunState | None:
    """The state that the entries add up to; None without any. Raises ValueError for entries that begin no run."""
    state: RunState | None = None
    for entry in entries:
        state = applied(state, entry)
    return state


def applied(state: RunState | None, entry: Entry) -> RunState:
    """`state` after one more entry, which judges nothing: whether it may be made is for `core.journal.rules`.

    Raises ValueError for an entry before the first, SafetyRefused for an order that is sent twice.
    """
    if isinstance(entry, RunStarted):
        return RunState(entry.run)
    if state is None:
        raise ValueError(f"a run begins with its start, not with {type(entry).__name__}")
    if isinstance(entry, OrderEntry):
        record = _order_after(state, entry)
        return replace(state, orders={**state.orders, record.order.ref: record})
    if isinstance(entry, PlanMade):
        return replace(state, plan=entry.plan)
    return _run_after(state, entry)


def _run_after(
    state: RunState,
    entry: PlanAsked | PlanAnswered | LinesApproved | StageStarted | RunReported | AccountQuarantined | RunEnded,
) -> RunState:
    record = state.record
    match entry:
        case PlanAsked():
            return replace(state, question=entry.plan_hash, consent=None)
        case PlanAnswered(approval):
            consent = approval.plan_hash if approval.approved else None
            asked = replace(record, approvals=(*record.approvals, approval))
            return replace(state, record=asked, question=None, consent=consent)
        case LinesApproved():
            return replace(state, lines=dict(entry.lines), consent=None)
        case StageStarted(stage, before):
            return replace(state, before={**state.before, stage: before})
        case RunReported(result):
            return replace(state, result=result)
        case AccountQuarantined() | RunEnded():
            ended = replace(record, ended_at=entry.at, exit_code=entry.exit_code, reason=entry.reason)
            return replace(state, record=ended, is_open=isinstance(entry, AccountQuarantined))


_CLOSING: Mapping[type[OrderEntry], Callable[..., OrderRecord]] = {
    OrderNotSent: transitions.not_sent,
    OrderUnknown: transitions.unknown,
    OrderAbsent: transitions.absent,
}


def _new_order(entry: OrderIntended | OrderDiscovered) -> OrderRecord:
    if isinstance(entry, OrderIntended):
        return transitions.intended(entry.order, at=entry.at)
    return transitions.discovered(entry.order, at=entry.at, reason=entry.reason)


def _order_after(state: RunState, entry: OrderEntry) -> OrderRecord:
    if isinstance(entry, OrderIntended | OrderDiscovered):
        return _new_order(entry)
    record = state.orders[entry.ref]
    match entry:
        case OrderSending():
            return transitions.sending(record, at=entry.at)
        case OrderCancelling():
            return transitions.cancelling(record)
        case OrderResolved():
            return transitions.found(record, entry.finding)
        case OrderReported():
            return _reported(record, entry.event)
        case _:
            return _CLOSING[type(entry)](record, reason=entry.reason)


def _reported(record: OrderRecord, event: BrokerEvent) -> OrderRecord:
    match event:
        case OrderUpdate():
            return transitions.updated(record, event)
        case Fill():
            return transitions.filled(record, event)
        case CommissionReport():
            return transitions.charged(record, event)
        case Notice():
            return transitions.noted(record, event)
        case _:
            return record  # a change of the connection concerns no single order
