"""Bringing orders of ours to an end: cancel, await the broker's word, hear the witnesses, call unknown what none knows.

Nothing here ever sends an order. Recovery after a crash ends the orders of a dead run the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from core.errors import ConnectionLost
from core.execution.outcome import said_of
from core.execution.watch import Watch
from core.model import OrderRecord, OrderRef, OrderState

ROUNDS = 3
POLL_SECONDS = 1.0


async def wind_down(watch: Watch, refs: Sequence[OrderRef], *, seconds: float) -> tuple[OrderRecord, ...]:
    """Cancel whatever of `refs` may still fill and await its end, at most `seconds` of venue time.

    What comes back are the orders that nobody can tell the fate of; none is the rule. They are not closed
    here. After a lost connection the witnesses come first. Raises OutputFailed.
    """
    deadline = watch.broker.now() + timedelta(seconds=seconds)
    if not watch.broker.is_connected:
        watch.lose(ConnectionLost("the connection to the broker is closed"))
    for _ in range(ROUNDS):
        if watch.cut and await watch.ask_witnesses(refs) is None:
            break
        await _cancel_all(watch, refs)
        await _await_ends(watch, refs, deadline)
        if not watch.unsettled(refs):
            break
        if not watch.cut:
            await watch.ask_witnesses(refs)
    return tuple(watch.unsettled(refs))


async def close_unknown(watch: Watch, refs: Sequence[OrderRef], *, seconds: float) -> None:
    """Wind down, and close as UNKNOWN what stays open after that: an alarm for each. Raises OutputFailed."""
    for record in await wind_down(watch, refs, seconds=seconds):
        said = f"; it said: {said_of(record)}" if record.notices else ""
        watch.doubt(record.order.ref, f"the broker does not say what became of it{said}")


async def cancel_off_record(watch: Watch, refs: Iterable[OrderRef], *, seconds: float) -> frozenset[OrderRef]:
    """Cancel orders that the journal does not follow; the references whose end the broker has not confirmed.

    For orders of an earlier run, and for our own when the journal can no longer be written. Confirmed is
    what the broker has told the end of, or lists as ended, and does not list as open.
    """
    wanted = frozenset(refs)
    deadline = watch.broker.now() + timedelta(seconds=seconds)
    asked: set[OrderRef] = set()
    while True:
        evidence = await watch.ask_witnesses(())
        if evidence is None:
            return wanted
        alive = wanted & evidence.working_refs()
        unconfirmed = alive | (wanted - evidence.ended_refs() - watch.ended)
        if not unconfirmed or watch.broker.now() >= deadline:
            return unconfirmed
        for ref in sorted(alive - asked):
            await _cancel(watch, ref)
        await _listen(watch, unconfirmed)
        # what was asked may have gone with the line, which is heard only afterwards
        asked = set() if watch.cut else asked | alive


async def ask_cancel(watch: Watch, ref: OrderRef) -> None:
    """Put CANCELLING on record and ask for the cancel. Raises OutputFailed; a connection that goes is noted."""
    watch.journal.cancelling(ref)
    await _cancel(watch, ref)


async def _cancel_all(watch: Watch, refs: Sequence[OrderRef]) -> None:
    for record in map(watch.record, refs):
        # one that contradicts itself may work all the same
        if not watch.cut and (record.state is OrderState.UNKNOWN or not record.state.is_final):
            await ask_cancel(watch, record.order.ref)


async def _cancel(watch: Watch, ref: OrderRef) -> None:
    try:
        await watch.broker.cancel(ref)
    except ConnectionLost as error:
        watch.lose(error)


async def _await_ends(watch: Watch, refs: Sequence[OrderRef], deadline: datetime) -> None:
    while watch.unsettled(refs) and not watch.cut and watch.broker.now() < deadline:
        await watch.take((deadline - watch.broker.now()).total_seconds())


async def _listen(watch: Watch, refs: frozenset[OrderRef]) -> None:
    until = watch.broker.now() + timedelta(seconds=POLL_SECONDS)
    while not refs <= watch.ended and not watch.cut and watch.broker.now() < until:
        await watch.take((until - watch.broker.now()).total_seconds())
