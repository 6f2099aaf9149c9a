"""The journal of a rehearsal: everything the port promises, for as long as the object lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from core.errors import AccountBusy, ExitCode, SafetyRefused, UsageError
from core.journal import transitions as states
from core.journal.rules import Lines, approved_lines, check_belongs, check_within, run_of
from core.masking import mask_account
from core.model import (
    AccountId,
    Approval,
    BrokerEvent,
    CommissionReport,
    Fill,
    Notice,
    Order,
    OrderRecord,
    OrderRef,
    OrderUpdate,
    Plan,
    RunId,
    RunRecord,
)


@dataclass(slots=True)
class _Run:
    """A run with its open question, the hash a yes waits to be used for, its approved lines and its orders."""

    record: RunRecord
    question: str | None = None
    consent: str | None = None
    lines: Lines = field(default_factory=dict)
    refs: list[OrderRef] = field(default_factory=list)


class MemoryJournal:
    """A `Journal` that shares nothing with any other instance and forgets all when it goes."""

    def __init__(self) -> None:
        self._holders: dict[AccountId, RunId] = {}
        self._runs: dict[RunId, _Run] = {}
        self._orders: dict[OrderRef, OrderRecord] = {}
        self._filled_by: dict[str, OrderRef] = {}
        self._early: dict[str, CommissionReport] = {}

    @contextmanager
    def lock(self, account_id: AccountId, run_id: RunId) -> Iterator[None]:
        holder = self._holders.get(account_id)
        if holder is not None:
            raise AccountBusy(
                f"account {mask_account(account_id)} is busy with run {holder}",
                next_step="wait for that run to end, or cancel it",
            )
        self._holders[account_id] = run_id
        try:
            yield
        finally:
            del self._holders[account_id]

    def start_run(self, run: RunRecord) -> None:
        if run.run_id in self._runs:
            raise AccountBusy(
                f"run {run.run_id} was started before and is never run twice",
                next_step="start a new run: it reads the account anew and plans what is still needed",
            )
        self._runs[run.run_id] = _Run(run)

    def end_run(self, run_id: RunId, *, at: datetime, exit_code: ExitCode, reason: str) -> None:
        run = self._run(run_id)
        run.record = replace(run.record, ended_at=at, exit_code=exit_code, reason=reason)

    def run(self, run_id: RunId) -> RunRecord:
        return self._run(run_id).record

    def ask(self, run_id: RunId, plan_hash: str, *, at: datetime) -> None:  # noqa: ARG002 - lasting journals keep the time
        run = self._run(run_id)
        run.question, run.consent = plan_hash, None

    def answer(self, run_id: RunId, approval: Approval) -> None:
        run = self._run(run_id)
        if run.question is None or run.question != approval.plan_hash:
            raise _no_consent("this answer is for a plan that was not asked about, or was answered before")
        run.question = None
        run.consent = approval.plan_hash if approval.approved else None
        run.record = replace(run.record, approvals=(*run.record.approvals, approval))

    def approve_lines(self, plan: Plan) -> None:
        run = self._run(plan.run_id)
        if run.consent is None or run.consent != plan.hash:
            raise _no_consent("this plan was not approved, or its approval was used before")
        run.consent = None
        run.lines = approved_lines(plan)

    def intend(self, order: Order, *, at: datetime) -> None:
        if order.ref in self._orders:
            raise SafetyRefused(
                f"order reference {order.ref} was used before",
                next_step="recover the run it belongs to; nothing is sent twice",
            )
        run = self._run(run_of(order))
        check_belongs(order, run.record)
        check_within(order, run.lines, self.orders(run.record.run_id))
        self._orders[order.ref] = states.intended(order, at=at)
        run.refs.append(order.ref)

    def sending(self, ref: OrderRef, *, at: datetime) -> None:
        self._change(ref, lambda record: states.sending(record, at=at))

    def not_sent(self, ref: OrderRef, *, reason: str) -> None:
        self._change(ref, lambda record: states.not_sent(record, reason=reason))

    def cancelling(self, ref: OrderRef) -> None:
        self._change(ref, states.cancelling)

    def unknown(self, ref: OrderRef, *, reason: str) -> None:
        self._change(ref, lambda record: states.unknown(record, reason=reason))

    def record(self, event: BrokerEvent) -> None:
        match event:
            case OrderUpdate() if event.order_ref in self._orders:
                self._change(event.order_ref, lambda record: states.updated(record, event))
            case Fill() if event.order_ref in self._orders:
                self._change(event.order_ref, lambda record: states.filled(record, event))
                self._filled_by[event.exec_id] = event.order_ref
                if event.exec_id in self._early:
                    self.record(self._early.pop(event.exec_id))
            case CommissionReport():
                self._charge(event)
            case Notice(order_ref=ref) if ref is not None and ref in self._orders:
                self._change(ref, lambda record: states.noted(record, event))
            case _:
                pass  # connection, general notices and other people's orders change no order of ours

    def orders(self, run_id: RunId) -> tuple[OrderRecord, ...]:
        return tuple(self._orders[ref] for ref in self._run(run_id).refs)

    def order(self, ref: OrderRef) -> OrderRecord | None:
        return self._orders.get(ref)

    def _charge(self, report: CommissionReport) -> None:
        ref = self._filled_by.get(report.exec_id)
        if ref is None:
            self._early[report.exec_id] = report
        else:
            self._change(ref, lambda record: states.charged(record, report))

    def _change(self, ref: OrderRef, change: Callable[[OrderRecord], OrderRecord]) -> None:
        record = self._orders.get(ref)
        if record is None:
            raise SafetyRefused(f"order {ref} was never intended", next_step="nothing was sent; report this")
        self._orders[ref] = change(record)

    def _run(self, run_id: RunId) -> _Run:
        run = self._runs.get(run_id)
        if run is None:
            raise UsageError(
                f"the journal knows no run {run_id}", next_step="take the id from the name of the run's report folder"
            )
        return run


def _no_consent(why: str) -> SafetyRefused:
    return SafetyRefused(why, next_step="nothing was sent; start a new run and approve its plan")
