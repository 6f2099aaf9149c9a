"""One world behind both brokers: the in-memory one, and the real client over the wire; what each answers to the same.

The two may differ in what is listed here and in nothing else:

- `APART`: the client keeps a gap of 1/45 s between messages, which takes time of the venue's; memory takes none.
- `STAMP_APART`: the wire has the times of the last trade and of an execution in whole seconds, and those of one
  second have no order.
- an order is refused by an error message, which names no permId.
- an average cost, the one figure that is no sum, comes as a floating-point number of 16 digits.
- an order names its contract by number alone, so of a number that the broker does not know it has no symbol to list.
- `_once`: of two lost orders under one reference a client cancels each, and is answered twice that there is none.
- `_costs_last`: a gateway sends the status of a fill before its commission, and promises no order of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from functools import partial

from worlds import ACCOUNT

from core.broker.fake import FakeIB
from core.broker.ib import LiveOptions
from core.broker.simulated import SimulatedIB
from core.errors import RebalanceError
from core.model import CommissionReport, CompletedOrder, Fill, Notice, OrderState, OrderUpdate, Position, Quote
from core.sim.gateway import GatewayOptions
from core.sim.venue.sessions import xnys_hours

APART = timedelta(milliseconds=400)
STAMP_APART = timedelta(seconds=1)
SECOND = timedelta(seconds=1)
NOT_FOUND = 10147
UNKNOWN_CONTRACT = "No security definition has been found for the request"


@dataclass(frozen=True)
class Ask:
    """One call of the broker port; `events` is `next_event` until there is none, `reach` the script's."""

    what: str
    arguments: tuple[object, ...] = ()
    is_snapshot: bool | None = None

    async def of(self, broker):
        """What the broker answers, be it an error."""
        call = partial(_events, broker) if self.what == "events" else getattr(broker, self.what)
        options = {} if self.is_snapshot is None else {"is_snapshot": self.is_snapshot}
        try:
            answer = call(*self.arguments, **options)
            answer = answer if self.what == "reach" else await answer
        except RebalanceError as error:
            return type(error).__name__, error.message, error.next_step, error.faults
        return sorted(answer, key=lambda fill: fill.exec_id) if self.what == "executions" else answer


@dataclass(frozen=True, eq=False)
class Moment:
    """A time that equals every other that is near enough."""

    at: datetime
    apart: timedelta

    def __eq__(self, other):
        return isinstance(other, Moment) and abs(self.at - other.at) <= self.apart

    __hash__ = None


@dataclass
class Both:
    """Two brokers of one world."""

    fake: FakeIB
    real: SimulatedIB

    async def ask(self, ask):
        """What each answers and whether it is connected then, as values that compare; then they meet again."""
        for broker in self._each:
            await broker.sleep(0)  # what was sent has arrived before the world is moved
        answers = [plain(await ask.of(broker)) for broker in self._each]
        answers = [
            {"answer": one, "connected": broker.is_connected} for one, broker in zip(answers, self._each, strict=True)
        ]
        await self._meet()
        return answers

    @property
    def _each(self):
        return self.fake, self.real

    async def _meet(self):
        """Once the wire has cost time, both wait for the next whole second, so that the gaps do not add up."""
        latest = max(broker.now() for broker in self._each)
        if all(broker.now() == latest for broker in self._each):
            return
        until = latest.replace(microsecond=0) + SECOND
        for broker in self._each:
            await broker.sleep((until - broker.now()).total_seconds())


@asynccontextmanager
async def both(world):
    """The two brokers of this world, not connected; raises what the gateway did wrong."""
    real = SimulatedIB.of(world, LiveOptions("", 0, 42, ACCOUNT), GatewayOptions(hours_around=xnys_hours))
    try:
        yield Both(FakeIB.of(world), real)
    finally:
        await real.disconnect()
    real.gateway.check()


async def _events(broker, seconds):
    events = []
    event = await broker.next_event(seconds)
    while event is not None:
        events.append(event)
        event = await broker.next_event(0)
    return _costs_last(_once(events))


def _once(events):
    lost = [(isinstance(one, Notice) and one.code == NOT_FOUND and one.order_ref) for one in events]
    return [one for number, one in enumerate(events) if not lost[number] or lost[number] not in lost[:number]]


def _costs_last(events):
    return sorted(events, key=lambda event: isinstance(event, CommissionReport))


def plain(value, apart=APART):
    """The value as names, numbers and moments, without what may differ between the two."""
    if isinstance(value, datetime):
        return Moment(value, apart)
    if isinstance(value, list | tuple):
        return [plain(one, apart) for one in value]
    if isinstance(value, Mapping):
        return {key: plain(one, apart) for key, one in value.items()}
    if is_dataclass(value):
        wide = STAMP_APART if isinstance(value, Quote | Fill) else apart
        named = {each.name: plain(getattr(value, each.name), wide) for each in fields(value)}
        return {"is": type(value).__name__, **named, **_excused(value)}
    return value


def _excused(value):
    match value:
        case OrderUpdate(state=OrderState.REJECTED):
            return {"perm_id": None}
        case CompletedOrder() if value.reason == UNKNOWN_CONTRACT:
            return {"symbol": None}
        case Position():
            return {"average_cost": round(value.average_cost, 8)}
    return {}
