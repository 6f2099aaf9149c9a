"""Recovery: what became of the orders of a run whose process is gone, and the end of that run.

It reads and may cancel orders that are ours; it never sends. What is still needed is a new plan with a new approval. A
second recovery finds nothing left to do, and one that was interrupted is simply begun again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from core.broker.port import Broker
from core.errors import (
    TRANSIENT,
    ConnectionLost,
    DataRefused,
    ExitCode,
    OrderIncomplete,
    OrderStateUnknown,
    RebalanceError,
)
from core.execution.absence import Witnesses, WitnessRound, why_not_absent
from core.execution.orders import order_shown
from core.execution.reconcile import ROUNDS, Evidence, cancel_without_journal, reconcile, request_cancel
from core.execution.stage_result import messages_about, order_text
from core.execution.tracker import OrderTracker
from core.journal.entries import RunState
from core.journal.rules import line_of, quarantined
from core.model import Holdings, OrderRef, OrderState, RunId, RunResult, Symbol
from core.model.refs import parse_ref
from core.settings import Settings
from core.text import counted

NEXT_STEP = "run again: what is still needed is planned from the account as it is now"
NOT_ON_RECORD = "the broker has it, and the journal has not: was the journal restored from a copy?"
PROOF = "in none of the broker's lists and not in the account, looked for twice"


Check = Callable[[RunState, Holdings | None], Awaitable[RebalanceError | None]]
"""What is wrong with the fills of a run whose orders are settled, None for nothing.

It gets what the account holds now, None where no order was left to ask about.
"""


async def recover(tracker: OrderTracker, run_id: RunId, settings: Settings, check: Check | None = None) -> RunState:
    """Settle every order of the run by what the broker's lists and the account show, and end the run; how it ended.

    Call it with the account held. A run that has ended is left as it is; one with an order of unknown fate is read
    anew, and stays in need of a person. A run that would end as done ends with what `check` finds. Raises
    ConnectionLost when the broker cannot be asked and OrderStateUnknown when it contradicts the journal: the run then
    stays open. Raises OutputFailed.
    """
    journal = tracker.journal
    state = journal.state(run_id)
    if not state.is_open:
        return state
    for record in state.orders.values():
        # SENDING comes before the wire, so this one cannot have left; the lists are read for it all the same
        if record.state is OrderState.INTENT:
            journal.not_sent(record.order.ref, reason="the process of the run ended before it was sent")
    holds: Holdings | None = None
    if state.orders:
        await tracker.start()
        holds = await _settle(tracker, run_id, settings)
    _end(tracker, run_id, await check(journal.state(run_id), holds) if check else None)
    return journal.state(run_id)


def ending_of(run: RunState) -> tuple[ExitCode, str]:
    """The exit code and the reason of a run that its own process did not end, its orders being settled."""
    needing = run.needing_person
    if needing:
        return ExitCode.UNKNOWN, "; ".join(f"{order_text(record)}: {record.reason}" for record in needing)
    if run.result is not None:
        # its process had judged it, and died between its report and its end
        return run.result.exit_code, run.result.reason
    last = {line_of(record.order): record for record in run.orders.values()}
    complete = sum(record.state is OrderState.FILLED for record in last.values())
    if not any(record.sent_at for record in run.orders.values()):
        return ExitCode.INCOMPLETE, "the process of the run ended before anything was sent"
    trades = counted(len(run.lines), "trade")
    if complete < len(run.lines):
        return ExitCode.INCOMPLETE, f"the process of the run ended early: {complete} of {trades} filled"
    return ExitCode.DONE, f"the process of the run ended when {trades} had filled"


def recovered_result(state: RunState, broker: Broker) -> RunResult:
    """What a recovered run's report is made from: what its process had put on record, else its orders and answers."""
    if state.result is not None:
        return replace(state.result, orders=tuple(state.orders.values()))
    record = state.record
    error = recovered_error(state)
    return RunResult(
        run_id=record.run_id,
        name=record.run_id,
        mode=record.mode,
        broker=broker.kind,
        account_id=record.account_id,
        started_at=record.started_at,
        ended_at=record.ended_at or broker.now(),
        settings={},
        recovered=record.reason,
        plan=state.plan,
        orders=tuple(state.orders.values()),
        not_sent=_not_sent(state),
        approvals=record.approvals,
        errors=(error,) if error else (),
    )


def _not_sent(state: RunState) -> dict[Symbol, str]:
    """Why each trade of the plan has no order: the end of the process; nothing in modes that send none."""
    if state.plan is None or not state.record.mode.sends_orders:
        return {}
    made = {record.order.contract.symbol for record in state.orders.values()}
    return {symbol: state.record.reason for symbol in state.plan.traded if symbol not in made}


def recovered_error(state: RunState) -> RebalanceError | None:
    """The failure that the end of a recovered run is; None for one whose trades had all filled."""
    record = state.record
    if state.needing_person:
        return quarantined(record.account_id, state.needing_person)
    if record.exit_code is ExitCode.UNKNOWN:
        return OrderStateUnknown(record.reason)
    if record.exit_code is ExitCode.DATA:
        return DataRefused(record.reason)
    return OrderIncomplete(record.reason, next_step=NEXT_STEP) if record.exit_code else None


async def _settle(tracker: OrderTracker, run_id: RunId, settings: Settings) -> Holdings | None:
    """Settle each order, by one round of witnesses where that is enough, else by two; what is left is UNKNOWN.

    What the account holds comes back, as it was read last; None where it could not be read.
    """
    refs = tuple(tracker.journal.state(run_id).orders)
    first, seen = await _take_first_look(tracker, run_id, settings)
    if first.lists is None:
        raise ConnectionLost(
            f"the orders of run {run_id} could not be looked up: {tracker.disconnected}",
            next_step="check the gateway, then: rebalance recover --ini FILE",
        )
    if not _unsettled(tracker, refs):
        return first.holdings
    apart = timedelta(seconds=settings.execution.absent_confirm_seconds)
    await _wait(tracker, apart)
    with tracker.reader.single_attempt():
        # a connection that has to be opened again may have lost what the first round counts on
        second = await _read_witnesses(tracker, run_id, settings)
    witnesses = Witnesses(first, second, apart, is_disturbed=tracker.disturbances != seen)
    for ref in _unsettled(tracker, refs):
        record = tracker.record(ref)
        why = why_not_absent(record, tracker.journal.state(run_id), witnesses)
        if why:
            messages = f"; its messages: {messages_about(record)}" if record.notices else ""
            tracker.mark_unknown(ref, f"{why}{messages}")
        else:
            tracker.journal.absent(ref, reason=PROOF)
            tracker.log_event("absent", f"{ref} {PROOF}")
    return second.holdings or first.holdings


async def _take_first_look(tracker: OrderTracker, run_id: RunId, settings: Settings) -> tuple[WitnessRound, int]:
    """The first round, and how often the connection had been disturbed when it began.

    A round within which the connection failed is read again: its parts are of before and of after.
    """
    refs = tuple(tracker.journal.state(run_id).orders)
    for _ in range(ROUNDS):
        seen = tracker.disturbances
        look = await _read_witnesses(tracker, run_id, settings)
        if look.lists is None or tracker.disturbances == seen or not _unsettled(tracker, refs):
            break
    return look, seen


def _unsettled(tracker: OrderTracker, refs: tuple[OrderRef, ...]) -> list[OrderRef]:
    """The orders that recovery has yet to close; one at UNKNOWN is closed, for a person."""
    return [record.order.ref for record in tracker.unsettled(refs) if record.state is not OrderState.UNKNOWN]


async def _read_witnesses(tracker: OrderTracker, run_id: RunId, settings: Settings) -> WitnessRound:
    """The lists, with none of the run's orders working any more, and then the account.

    Raises OrderStateUnknown for orders of the run that the journal calls ended while they work on.
    """
    at = tracker.broker.now()
    lists = await _lists_after_cancelling(tracker, run_id, settings.execution.shutdown_seconds)
    if lists is None:
        return WitnessRound(at, None, None)
    try:
        snapshot = await tracker.reader.take_snapshot()
    except TRANSIENT as error:
        tracker.mark_disconnected(ConnectionLost(error.message, next_step=error.next_step))
        return WitnessRound(at, lists, None)
    while not tracker.disconnected and await tracker.next_event(0) is not None:
        pass  # what was reported meanwhile, a lost connection too, is part of the round
    return WitnessRound(at, lists, snapshot.holdings)


async def _lists_after_cancelling(tracker: OrderTracker, run_id: RunId, seconds: float) -> Evidence | None:
    """The lists, processed, after orders of the run that still worked were cancelled; None when they cannot be read."""
    evidence = await _lists(tracker, run_id)
    # a gateway that holds an order back lists it nowhere, and may transmit it later
    held = [ref for ref in tracker.journal.state(run_id).orders if tracker.record(ref).is_held]
    for ref in held:
        await request_cancel(tracker, ref)
    alive = _working_of(run_id, evidence)
    for ref in alive:
        tracker.journal.cancelling(ref)
    if alive or held:
        await cancel_without_journal(tracker, alive, seconds=seconds)
        evidence = await _lists(tracker, run_id)
    if evidence is not None:
        _check_ended(tracker, run_id, evidence)
    return evidence


async def _lists(tracker: OrderTracker, run_id: RunId) -> Evidence | None:
    """The lists, processed for all orders of the run; None when they cannot be read.

    One of the run that the journal does not have is put on record first, for a person: a journal that was restored
    from a copy lacks what came after it.
    """
    evidence = await reconcile(tracker, tuple(tracker.journal.state(run_id).orders))
    if evidence is None:
        return None
    account_id, known = tracker.journal.run(run_id).account_id, tracker.journal.state(run_id).orders
    missing = sorted(ref for ref in evidence.refs() if _is_of(ref, run_id) and ref not in known)
    for ref in missing:
        order = order_shown(ref, account_id, evidence)
        tracker.journal.discover(order, at=tracker.broker.now(), reason=NOT_ON_RECORD)
        tracker.log_event("unknown", f"{ref} {NOT_ON_RECORD}")
    return await reconcile(tracker, tuple(known) + tuple(missing)) if missing else evidence


def _working_of(run_id: RunId, evidence: Evidence | None) -> list[OrderRef]:
    return sorted(ref for ref in (evidence.working_refs() if evidence else ()) if _is_of(ref, run_id))


def _check_ended(tracker: OrderTracker, run_id: RunId, evidence: Evidence) -> None:
    """Raise OrderStateUnknown where an order works whose end is on record: no state of an order can hold that."""
    orders = tracker.journal.state(run_id).orders
    alive = [ref for ref in _working_of(run_id, evidence) if orders[ref].is_settled]
    if alive:
        raise OrderStateUnknown(
            f"still working, though the broker had reported the end of each: {', '.join(alive)}",
            next_step="cancel them in TWS, then: rebalance recover --ini FILE",
        )


def _is_of(ref: OrderRef, run_id: RunId) -> bool:
    parsed = parse_ref(ref)
    return parsed is not None and parsed.run_id == run_id


async def _wait(tracker: OrderTracker, duration: timedelta) -> None:
    until = tracker.broker.now() + duration
    while tracker.broker.now() < until and not tracker.disconnected:
        await tracker.next_event((until - tracker.broker.now()).total_seconds())


def _end(tracker: OrderTracker, run_id: RunId, refusal: RebalanceError | None) -> None:
    """Put the end on record, unless there is one that stands: of a run that ended itself, only the quarantine ends."""
    state = tracker.journal.state(run_id)
    run = state.record
    if run.ended_at is None or run.exit_code is None:
        code, reason = ending_of(state)
        if refusal and code is ExitCode.DONE:
            code, reason = refusal.exit_code, refusal.in_full
        tracker.journal.end_run(run_id, at=tracker.broker.now(), exit_code=code, reason=reason)
    elif not (state.needing_person or state.unsettled):
        tracker.journal.end_run(run_id, at=run.ended_at, exit_code=run.exit_code, reason=run.reason)
