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
    AccountQuarantined,
    Entry,
    LinesApproved,
    OrderAbsent,
    OrderCancelling,
    OrderDiscovered,
    OrderEntry,
    OrderIntended,
    OrderNotSent,
    OrderReported,
    OrderResolved,
    OrderSending,
    OrderUnknown,
    PlanAnswered,
    PlanAsked,
    PlanMade,
    RunEnded,
    RunReported,
    RunStarted,
    RunState,
    StageStarted,
    applied,
    ref_of,
    replayed,
)
from core.journal.rules import approved_lines, check_answer, check_approval, check_intent, check_start, run_of
from core.journal.store import Store, TakenCode
from core.model import (
    AccountId,
    Approval,
    BrokerEvent,
    CommissionReport,
    ConnectionChange,
    Fill,
    Finding,
    Holdings,
    Order,
    OrderRecord,
    OrderRef,
    Plan,
    RunId,
    RunRecord,
    RunResult,
    Stage,
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

    def client_lock(self, client: str) -> AbstractContextManager[None]:
        """Hold a client of a gateway, called so by all who use it. Raises LockTaken, OutputFailed."""
        return self._store.client_lock(client)

    def close(self) -> None:
        """Let go of what the store holds open."""
        self._store.close()

    def start_run(self, run: RunRecord) -> None:
        """Open the run.

        Raises AccountBusy when a run of this id was started before, since a retry never trades again, and for a run
        that sends orders what `core.journal.rules.check_start` does.
        """
        if self._find(run.run_id) is not None:
            raise AccountBusy(
                f"run {run.run_id} was started before and is never run twice",
                next_step="start a new run: it reads the account anew and plans what is still needed",
            )
        check_start(run, self.open_runs(run.account_id) if run.mode.sends_orders else ())
        self._put(run.run_id, RunStarted(run))

    def end_run(self, run_id: RunId, *, at: datetime, exit_code: ExitCode, reason: str) -> None:
        """Put on record how the run ended; it sends nothing more. Raises UsageError.

        While an order of it has not ended for certain, the account is quarantined from here on: a disk that was full
        may have kept that end from the record.
        """
        state = self.state(run_id)
        kind = AccountQuarantined if state.needing_person or state.unsettled else RunEnded
        self._put(run_id, kind(at, exit_code, reason))

    def report(self, run_id: RunId, result: RunResult) -> None:
        """Put on record what the run's report is made from; nothing if the same is on record. Raises UsageError."""
        if result != self.state(run_id).result:
            self._put(run_id, RunReported(result))

    def runs(self) -> tuple[RunRecord, ...]:
        """All runs as they were started, the newest first."""
        return tuple(self._store.runs())

    def find(self, name: str) -> RunRecord:
        """The run of this name, the unique beginning of its run id or flow-run id. Raises UsageError."""
        short, long = name.upper(), name.lower()
        runs = [run for run in self.runs() if run.run_id.startswith(short) or run.flow_run_id.startswith(long)]
        if name and len(runs) == 1:
            return runs[0]
        raise UsageError(
            f"the journal knows {'more than one run' if name and runs else 'no run'} named {name!r}",
            next_step="take the run id from `rebalance history --ini FILE`",
        )

    def last_traded(self, account_id: AccountId) -> RunState | None:
        """The account's newest run that sent an order, or may have; None without one."""
        runs = (run for run in self.runs() if run.account_id == account_id and run.mode.sends_orders)
        states = (self.state(run.run_id) for run in runs)
        return next((state for state in states if any(each.sent_at for each in state.orders.values())), None)

    def open_runs(self, account_id: AccountId) -> tuple[RunState, ...]:
        """The account's runs that send orders and have not ended, or have an order that needs a person; oldest first.

        With the account held, none of them is under way in another process.
        """
        ids = self._store.open_runs(account_id)
        for run_id in ids:
            # another process may have written to it since it was loaded here
            self._states.pop(run_id, None)
        return tuple(state for state in map(self.state, ids) if state.record.mode.sends_orders)

    def state(self, run_id: RunId) -> RunState:
        """The run of this id with all that is on record of it. Raises UsageError when there is none."""
        state = self._find(run_id)
        if state is None:
            raise UsageError(
                f"the journal knows no run {run_id}", next_step="take the id from the name of the run's report folder"
            )
        return state

    def run(self, run_id: RunId) -> RunRecord:
        """The run of this id. Raises UsageError when there is none, as every call that names a run does."""
        return self.state(run_id).record

    def plan(self, plan: Plan) -> None:
        """Put the plan on record, so that a report has it whatever becomes of the run. Raises UsageError."""
        self._put(plan.run_id, PlanMade(plan))

    def ask(self, run_id: RunId, plan_hash: str, *, at: datetime) -> None:
        """Store the question: the plan of this hash waits for an answer. A question still open is dropped."""
        self._put(run_id, PlanAsked(plan_hash, at))

    def take_code(self, code: TakenCode) -> None:
        """Use up an approver's one-time code, before the answer that it came with counts.

        Raises CodeUsed when it was used before, for whatever plan; SafetyRefused unless its plan was asked about last.
        """
        check_answer(self.state(code.run_id), code.plan_hash)
        self._store.take_code(code)

    def answer(self, run_id: RunId, approval: Approval) -> None:
        """Store the answer, which closes the question. Raises SafetyRefused unless its hash is the one asked last."""
        check_answer(self.state(run_id), approval.plan_hash)
        self._put(run_id, PlanAnswered(approval))

    def approve_lines(self, plan: Plan) -> None:
        """Make the plan's quantities the most its lines may ever trade, in place of an earlier plan's.

        Uses up the yes. Raises SafetyRefused unless the last answer was a yes to this hash, not used before.
        """
        check_approval(self.state(plan.run_id), plan)
        self._put(plan.run_id, LinesApproved(plan.hash, tuple(approved_lines(plan).items())))

    def start_stage(self, run_id: RunId, stage: Stage, before: Holdings) -> None:
        """Put on record what the account holds right before the first order of the stage."""
        self._put(run_id, StageStarted(stage, before))

    def intend(self, order: Order, *, at: datetime) -> None:
        """INTENT.

        Raises SafetyRefused when the reference was used before or is not this order's, the run has ended or sends no
        orders, an earlier order of the line has not ended, or this one and what those have filled exceed the
        approved line.
        """
        run_id = run_of(order)
        check_intent(self.state(run_id), order)
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

    def absent(self, ref: OrderRef, *, reason: str) -> None:
        """Close an order as proved never to have reached the broker. Raises SafetyRefused if it may have shown up."""
        self._put_of_order(OrderAbsent(ref, reason))

    def discover(self, order: Order, *, at: datetime, reason: str) -> None:
        """Put on record an order that the broker has under a reference of a run which never intended it.

        It needs a person. Raises SafetyRefused for one that is on record.
        """
        if self.order(order.ref) is not None:
            raise SafetyRefused(f"order {order.ref} is on record already", next_step="recover its run")
        self._put(run_of(order), OrderDiscovered(order, at, reason))

    def resolve(self, ref: OrderRef, finding: Finding) -> None:
        """Put on record what a person found out about an order at UNKNOWN; the last one of a run ends its quarantine.

        Raises SafetyRefused for an order that is not at UNKNOWN, or was resolved before.
        """
        self._put_of_order(OrderResolved(ref, finding))
        state = self.state(_run_of_ref(ref))
        run = state.record
        if run.ended_at is not None and run.exit_code is not None and not (state.needing_person or state.unsettled):
            self.end_run(run.run_id, at=run.ended_at, exit_code=run.exit_code, reason=run.reason)

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
        return tuple(self.state(run_id).orders.values())

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
        ref = ref_of(entry)
        if self.order(ref) is None:
            raise SafetyRefused(f"order {ref} was never intended", next_step="nothing was sent; report this")
        self._put(_run_of_ref(ref), entry)

    def _put(self, run_id: RunId, entry: Entry) -> None:
        """Append one entry, unless it would change nothing, as a repeated report does."""
        before = None if isinstance(entry, RunStarted) else self.state(run_id)
        after = applied(before, entry)
        if isinstance(entry, OrderEntry) and after == before:
            return
        # a run that had ended is found again only if it is open: so that comes first
        if before is not None and not before.is_open and after.needing_person:
            self._quarantine_again(before.record)
            after = applied(self.state(run_id), entry)
        length = self._lengths.get(run_id, 0)
        self._store.append(run_id, length, entry)
        self._states[run_id], self._lengths[run_id] = after, length + 1

    def _quarantine_again(self, ended: RunRecord) -> None:
        if ended.ended_at is not None and ended.exit_code is not None:
            self._put(ended.run_id, AccountQuarantined(ended.ended_at, ended.exit_code, ended.reason))

    def _find(self, run_id: RunId) -> RunState | None:
        if run_id in self._states:
            return self._states[run_id]
        entries = self._store.load(run_id)
        state = replayed(entries)
        if state is not None:
            self._states[run_id], self._lengths[run_id] = state, len(entries)
            self._filled_by |= {fill.exec_id: ref for ref, record in state.orders.items() for fill in record.fills}
        return state


def _run_of_ref(ref: OrderRef) -> RunId:
    parsed = parse_ref(ref)
    if parsed is None:
        raise ValueError(f"{ref!r} is not an order reference of ours")
    return parsed.run_id
