"""What a journal promises: an order's intent is on record before it is sent, states only go forward, fills count once.

Recording is synchronous and has happened when the call returns. When it cannot be done, OutputFailed
is raised, and the caller sends nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from core.errors import ExitCode
from core.model import AccountId, Approval, BrokerEvent, Order, OrderRecord, OrderRef, Plan, RunId, RunRecord


class Journal(Protocol):
    """Writes and tells the state of runs, approvals, orders and fills."""

    def lock(self, account_id: AccountId, run_id: RunId) -> AbstractContextManager[None]:
        """Hold the account for this run. Raises AccountBusy naming the run that has it."""
        ...

    def start_run(self, run: RunRecord) -> None:
        """Open the run. Raises AccountBusy when a run of this id was started before: a retry never trades again."""
        ...

    def end_run(self, run_id: RunId, *, at: datetime, exit_code: ExitCode, reason: str) -> None: ...

    def run(self, run_id: RunId) -> RunRecord:
        """The run of this id. Raises UsageError when there is none, as every call that names a run does."""
        ...

    def ask(self, run_id: RunId, plan_hash: str, *, at: datetime) -> None:
        """Store the question: the plan of this hash waits for an answer. A question still open is dropped."""
        ...

    def answer(self, run_id: RunId, approval: Approval) -> None:
        """Store the answer, which closes the question. Raises SafetyRefused unless its hash is the one asked last."""
        ...

    def approve_lines(self, plan: Plan) -> None:
        """Make the plan's quantities the most its lines may ever trade, in place of an earlier plan's.

        Uses up the yes. Raises SafetyRefused unless the last answer was a yes to this hash, not used before.
        """
        ...

    def intend(self, order: Order, *, at: datetime) -> None:
        """INTENT.

        Raises SafetyRefused when the reference was used before, the run has ended or sends no orders, an
        earlier order of the line has not ended, or fills + open + this exceed the approved line.
        """
        ...

    def sending(self, ref: OrderRef, *, at: datetime) -> None:
        """SENDING: the last record before the order leaves. Raises SafetyRefused unless the order is at INTENT."""
        ...

    def not_sent(self, ref: OrderRef, *, reason: str) -> None:
        """Close an INTENT that was never SENDING. Raises SafetyRefused when it is past that."""
        ...

    def cancelling(self, ref: OrderRef) -> None:
        """CANCELLING: a cancel is about to be asked for; nothing if the order has ended."""
        ...

    def unknown(self, ref: OrderRef, *, reason: str) -> None:
        """Close an order nobody can tell the fate of; it needs a person.

        Nothing if the order has ended and all its fills are here.
        """
        ...

    def record(self, event: BrokerEvent) -> None:
        """Take in what the broker says; late or repeated news change no state further on, fills always count.

        A notice about an order is kept with it.
        """
        ...

    def orders(self, run_id: RunId) -> tuple[OrderRecord, ...]:
        """The run's orders, in the order they were intended."""
        ...

    def order(self, ref: OrderRef) -> OrderRecord | None: ...
