"""The order journal: an order's intent is on record before it is sent, states only go forward, fills count once.

Every call first judges by the rules, then appends one entry to the store, and only then changes what it answers.
Recording is synchronous and has happened when the call returns. When it cannot be done, OutputFailed is raised, and
the caller sends nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime

from core.errors import AccountBusy, ExitCode, SafetyRefused, UsageError
from core.journal.entries import (
    Entry,
    LinesApproved,
    OrderCancelling,
    OrderEntry,
    OrderIntended,
    OrderNotSent,
    OrderReported,
    OrderSending,
    OrderUnknown,
    PlanAnswered,
    PlanAsked,
    RunEnded,
    RunStarted,
    RunState,
    applied,
    replayed,
)
from core.journal.rules import approved_lines, check_answer, check_approval, check_intent, run_of
from core.journal.store import Store
from core.model import (
    AccountId,
    Approval,
    BrokerEvent,
    CommissionReport,
    ConnectionChange,
    Fill,
    Order,
    OrderRecord,
    OrderRef,
    Plan,
    RunId,
    RunRecord,
)
from core.model.refs import parse_ref


class Journal:
    """The state of runs, approvals, orders and fills, as the store has them on record.

    Runs that an earlier process wrote are loaded when they are asked for. A run has one writer: it holds the account,
    and the store refuses a second one, so what is held here of it stays true.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._states: dict[RunId, RunState] = {}
        self._lengths: dict[RunId, int] = {}
        self._filled_by: dict[str, OrderRef] = {}
        self._early: dict[str, CommissionReport] = {}

    def lock(self, account_id: AccountId, run_id: RunId) -> AbstractContextManager[None]:
        """Hold the account for this run. Raises AccountBusy naming the run that has it."""
        return self._store.lock(account_id, run_id)

    def start_run(self, run: RunRecord) -> None:
        """Open the run. Raises AccountBusy when a run of this id was started before: a retry never trades again."""
        if self._find(run.run_id) is not None:
            raise AccountBusy(
                f"run {run.run_id} was started before and is never run twice",
                next_step="start a new run: it reads the account anew and plans what is still needed",
            )
        self._put(run.run_id, RunStarted(run))

    def end_run(self, run_id: RunId, *, at: datetime, exit_code: ExitCode, reason: str) -> None:
        """Put on record how the run ended; it sends nothing more. Raises UsageError."""
        self._put(run_id, RunEnded(at, exit_code, reason))

    def run(self, run_id: RunId) -> RunRecord:
        """The run of this id. Raises UsageError when there is none, as every call that names a run does."""
        return self._state(run_id).record

    def ask(self, run_id: RunId, plan_hash: str, *, at: datetime) -> None:
        """Store the question: the plan of this hash waits for an answer. A question still open is dropped."""
        self._put(run_id, PlanAsked(plan_hash, at))

    def answer(self, run_id: RunId, approval: Approval) -> None:
        """Store the answer, which closes the question. Raises SafetyRefused unless its hash is the one asked last."""
        check_answer(self._state(run_id), approval)
        self._put(run_id, PlanAnswered(approval))

    def approve_lines(self, plan: Plan) -> None:
        """Make the plan's quantities the most its lines may ever trade, in place of an earlier plan's.

        Uses up the yes. Raises SafetyRefused unless the last answer was a yes to this hash, not used before.
        """
        check_approval(self._state(plan.run_id), plan)
        self._put(plan.run_id, LinesApproved(plan.hash, tuple(approved_lines(plan).items())))

    def intend(self, order: Order, *, at: datetime) -> None:
        """INTENT.

        Raises SafetyRefused when the reference was used before or is not this order's, the run has ended or sends no
        orders, an earlier order of the line has not ended, or this one and what those have filled exceed the
        approved line.
        """
        run_id = run_of(order)
        check_intent(self._state(run_id), order)
        self._put(run_id, OrderIntended(order, at))

    def sending(self, ref: OrderRef, *, at: datetime) -> None:
        """SENDING: the last record before the order leaves. Raises SafetyRefused unless the order is at INTENT."""
        self._put_of_order(OrderSending(ref, at))

    def not_sent(self, ref: OrderRef, *, reason: str) -> None:
        """Close an INTENT that was never SENDING. Raises SafetyRefused when it is past that."""
        self._put_of_order(OrderNotSent(ref, reason))

    def cancelling(self, ref: OrderRef) -> None:
        """CANCELLING: a cancel is about to be requested; nothing if the order has ended."""
        self._put_of_order(OrderCancelling(ref))

    def unknown(self, ref: OrderRef, *, reason: str) -> None:
        """Close an order nobody can tell the fate of; it needs a person.

        Nothing if the order has ended and all its fills are here.
        """
        self._put_of_order(OrderUnknown(ref, reason))

    def record(self, event: BrokerEvent) -> None:
        """Put on record what the broker reports of an order of ours; anything else changes nothing here.

        Late and repeated reports change no state further on, fills always count, a notice is kept with its order. A
        commission that comes before its execution waits for it.
        """
        if isinstance(event, CommissionReport):
            self._charge(event)
        elif not isinstance(event, ConnectionChange) and event.order_ref and self.order(event.order_ref):
            self._put_of_order(OrderReported(event.order_ref, event))
            if isinstance(event, Fill):
                self._filled_by[event.exec_id] = event.order_ref
                if event.exec_id in self._early:
                    self._charge(self._early.pop(event.exec_id))

    def orders(self, run_id: RunId) -> tuple[OrderRecord, ...]:
        """The run's orders, in the order they were intended. Raises UsageError."""
        return tuple(self._state(run_id).orders.values())

    def order(self, ref: OrderRef) -> OrderRecord | None:
        """The order of this reference, of whichever run; None for one that no run on record has intended."""
        parsed = parse_ref(ref)
        state = self._find(parsed.run_id) if parsed else None
        return state.orders.get(ref) if state else None

    def _charge(self, report: CommissionReport) -> None:
        ref = self._filled_by.get(report.exec_id)
        if ref is None:
            # not on record until its execution is: which run it is of cannot be told, and both are reported again
            self._early[report.exec_id] = report
        else:
            self._put_of_order(OrderReported(ref, report))

    def _put_of_order(self, entry: OrderEntry) -> None:
        ref = entry.order.ref if isinstance(entry, OrderIntended) else entry.ref
        parsed = parse_ref(ref)
        if parsed is None or self.order(ref) is None:
            raise SafetyRefused(f"order {ref} was never intended", next_step="nothing was sent; report this")
        self._put(parsed.run_id, entry)

    def _put(self, run_id: RunId, entry: Entry) -> None:
        """Append one entry, unless it would change nothing, as a repeated report does."""
        before = None if isinstance(entry, RunStarted) else self._state(run_id)
        after = applied(before, entry)
        if isinstance(entry, OrderEntry) and after == before:
            return
        length = self._lengths.get(run_id, 0)
        self._store.append(run_id, length, entry)
        self._states[run_id], self._lengths[run_id] = after, length + 1

    def _state(self, run_id: RunId) -> RunState:
        state = self._find(run_id)
        if state is None:
            raise UsageError(
                f"the journal knows no run {run_id}", next_step="take the id from the name of the run's report folder"
            )
        return state

    def _find(self, run_id: RunId) -> RunState | None:
        if run_id in self._states:
            return self._states[run_id]
        entries = self._store.load(run_id)
        state = replayed(entries)
        if state is not None:
            self._states[run_id], self._lengths[run_id] = state, len(entries)
            self._filled_by |= {fill.exec_id: ref for ref, record in state.orders.items() for fill in record.fills}
        return state
