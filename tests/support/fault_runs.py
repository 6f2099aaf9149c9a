"""The whole story through the real client to a simulated gateway where something goes wrong.

What is judged is what the gateway saw: its log of the wire, and the exchange behind it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from campaign.playing import Case, Played, Venue, play_out

from core.broker.ib import LiveOptions
from core.broker.simulated import SimulatedIB
from core.clock import AutojumpClock
from core.journal import Journal, MemoryStore
from core.model import AccountId, Order, OrderRef, OrderType, Side
from core.model.refs import parse_ref
from core.safety import write_kill_switch
from core.settings import Settings
from core.sim.gateway import GatewayOptions, SimulatedGateway
from core.sim.gateway.faults import NO_SUBJECT, Action, Channel, Do, Envelope, Faults, Match, Subject
from core.sim.gateway.log import Direction
from core.sim.venue.script import FaultScript
from core.sim.venue.sessions import xnys_hours
from core.sim.wire.frames import frame
from core.sim.wire.names import ANSWER_NAMES, REQUEST_NAMES
from core.sim.wire.parsing import parse_request
from core.sim.wire.placing import PlaceOrder
from core.sim.wire.requests import CancelOrder

LONGEST = 60.0  # real seconds, after which a run counts as hanging
SAMPLED = 12


@dataclass(slots=True)
class Scene:
    """A gateway that a run is about to use, and what is to happen at it besides."""

    gateway: SimulatedGateway
    clock: AutojumpClock
    at: defaultdict[str, list[Happening]] = field(default_factory=lambda: defaultdict(list))
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    has_begun: bool = False

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Have this happen so many seconds of the venue's clock from now."""
        self.clock.call_at(self.clock.now() + timedelta(seconds=seconds), what)

    def begin(self, what: Coroutine[Any, Any, None]) -> None:
        """Start what takes a while; the run does not wait for it."""
        self.tasks.append(asyncio.ensure_future(what))


Spoil = Callable[[Scene], None]
Happening = Callable[[Scene, Subject], None]


def on(message: str, action: Action, symbol: str | None = None, *, skip: int = 0, times: int | None = 1) -> Spoil:
    """Let this become of the messages of that name, of all symbols or of one; none about an order only asked about."""
    match = Match(symbol=symbol, is_what_if=False)
    return lambda scene: _add(scene.gateway.faults, message, action, match, skip, times)


def on_what_if(message: str, action: Action, symbol: str | None = None, *, times: int | None = 1) -> Spoil:
    """Let this become of the messages of that name that are about an order only asked about."""
    match = Match(symbol=symbol, is_what_if=True)
    return lambda scene: _add(scene.gateway.faults, message, action, match, 0, times)


def when(message: str, what: Happening, symbol: str | None = None, *, skip: int = 0) -> Spoil:
    """Let this happen once such a message has passed; it gets what the message was about."""
    return lambda scene: on(message, Do(lambda subject: what(scene, subject)), symbol, skip=skip)(scene)


def sends(*codes: int, after: float = 0.0) -> Happening:
    """A system message to every client, and the next ones so many seconds later each."""

    def happen(scene: Scene, _subject: Subject) -> None:
        scene.gateway.broadcast(codes[0])
        for number, code in enumerate(codes[1:], 1):
            scene.after(number * after, lambda code=code: scene.gateway.broadcast(code))

    return happen


def broken(farm: str) -> Happening:
    """That this market-data farm is broken, to every client."""
    return lambda scene, _subject: scene.gateway.broadcast(2103, f"Market data farm connection is broken:{farm}")


def restart(*, ids_roll_back: bool = False) -> Happening:
    return lambda scene, _subject: scene.begin(scene.gateway.restart(ids_roll_back=ids_roll_back))


def reaching(point: str, what: Happening) -> Spoil:
    """Let this happen when the run comes to this point."""
    return lambda scene: scene.at[point].append(what)


def all_of(*spoils: Spoil) -> Spoil:
    def spoil(scene: Scene) -> None:
        for each in spoils:
            each(scene)

    return spoil


def nothing(_scene: Scene) -> None:
    """All is well."""


def _add(faults: Faults, message: str, action: Action, match: Match, skip: int, times: int | None) -> None:
    faults.on(message, action, match, skip=skip, times=times)


@dataclass(frozen=True, slots=True)
class Lacking:
    """Messages with this text in a field are lost, others of the name pass."""

    text: str

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        if self.text not in envelope.fields:
            channel.pass_on(envelope)


@dataclass(slots=True)
class Stuck:
    """Account values with this key show for ever, in each currency, what the first of them has shown."""

    key: str
    shown: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        fields = envelope.fields
        if self.key in fields:
            fields = self.shown.setdefault(fields[-2], fields)
        channel.pass_on(Envelope(envelope.name, fields, envelope.subject))


@dataclass(frozen=True, slots=True)
class Hangup:
    """What the action says, and then the connection closes."""

    action: Action

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        self.action.apply(channel, envelope)
        channel.drop(Envelope(envelope.name, (), envelope.subject), 0)


@dataclass(slots=True)
class DropAtByte:
    """Everything passes, but the connection closes at this byte of all that goes one way; None: it never does."""

    at: int | None = None
    is_inward: bool = False
    passed: int = 0

    def __call__(self, scene: Scene) -> None:
        names = (*REQUEST_NAMES.values(), "handshake") if self.is_inward else (*ANSWER_NAMES.values(), "serverVersion")
        for name in names:
            on(name, self, times=None)(scene)

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        before, self.passed = self.passed, self.passed + len(frame(envelope.fields))
        if self.at is not None and before <= self.at < self.passed:
            channel.drop(envelope, self.at - before)
        else:
            channel.pass_on(envelope)


class SceneBroker(SimulatedIB):
    """A broker whose scene goes on with the points that the run reaches."""

    scene: Scene

    def reach(self, point: str) -> None:
        super().reach(point)
        for what in self.scene.at.pop(point, []):
            self.scene.has_begun = True
            what(self.scene, NO_SUBJECT)


@dataclass(slots=True)
class PlayedOverGateway(Played):
    """A run over the gateway, with what only the gateway knows."""

    spoil: Spoil = nothing
    scenes: list[Scene] = field(default_factory=list)

    @property
    def gateway(self) -> SimulatedGateway:
        return self.scenes[-1].gateway

    @property
    def venue(self) -> Venue:
        assert isinstance(self.gateway.exchange, Venue)
        return self.gateway.exchange

    @property
    def messages(self) -> int:
        return len(self.gateway.log) if self.scenes else 0

    @property
    def sent(self) -> list[tuple[int, Order]]:
        """Every order that the gateway received, with its place in the log."""
        placed = [(at, found) for at, found in self._requests() if isinstance(found, PlaceOrder)]
        return [(at, self._order(request)) for at, request in placed if not request.terms.what_if]

    @property
    def cancels(self) -> list[str]:
        """References of the orders that the gateway was asked to cancel."""
        refs: dict[int, str] = {}
        asked = []
        for _, request in self._requests():
            if isinstance(request, PlaceOrder):
                refs[request.order_id] = request.terms.order_ref
            elif isinstance(request, CancelOrder):
                # of an order of an earlier run only its number is known here
                asked.append(refs.get(request.order_id, f"order {request.order_id}"))
        return asked

    @property
    def was_spoilt(self) -> bool:
        """Whether anything that was to go wrong did."""
        has_fault = any(entry.direction is Direction.NOTE and entry.message == "fault" for entry in self.gateway.log)
        return has_fault or self.scenes[-1].has_begun

    def sent_messages(self, message: str) -> list[tuple[str, ...]]:
        """The messages of that name that the client was sent."""
        return [
            entry.fields for entry in self.gateway.log if entry.direction is Direction.OUT and entry.message == message
        ]

    def ids_of(self, ref: str) -> set[int]:
        """The order ids under which the gateway received an order with this reference."""
        found = [request for _, request in self._requests() if isinstance(request, PlaceOrder)]
        return {request.order_id for request in found if request.terms.order_ref == ref and not request.terms.what_if}

    def make_broker(self, settings: Settings) -> SceneBroker:
        world, ibkr = self.case.scenario.world, settings.ibkr
        clock = AutojumpClock(world.as_of)
        options = GatewayOptions(ibkr.client_id, hours_around=xnys_hours, on_kill_switch=lambda: self.stop(settings))
        gateway = SimulatedGateway([Venue(self.case.scenario, ibkr.client_id)], FaultScript(world), clock, options)
        self.scenes.append(Scene(gateway, clock))
        self.spoil(self.scenes[-1])
        own = LiveOptions(
            host=ibkr.host,
            port=ibkr.port,
            client_id=ibkr.client_id,
            account_id=ibkr.account_id,
            connect_timeout_seconds=ibkr.connect_timeout_seconds,
            request_timeout_seconds=ibkr.request_timeout_seconds,
            messages_per_second=ibkr.max_messages_per_second,
        )
        broker = SceneBroker(gateway, clock, own)
        broker.scene = self.scenes[-1]
        self.brokers.append(broker)
        return broker

    def stop(self, settings: Settings) -> None:
        self.stopped_after.append(self.messages)
        write_kill_switch(settings.safety.kill_switch_file, by="the script", at=datetime.now(UTC))

    def _requests(self) -> list[tuple[int, object]]:
        wanted = ("placeOrder", "cancelOrder")
        log = self.gateway.log if self.scenes else ()
        entries = [(at, one) for at, one in enumerate(log) if one.direction is Direction.IN and one.message in wanted]
        return [(at, parse_request(entry.fields)) for at, entry in entries]

    def _order(self, request: PlaceOrder) -> Order:
        terms, parsed = request.terms, parse_ref(request.terms.order_ref)
        assert parsed, f"an order without a reference of ours: {request}"
        by_id = {contract.con_id: contract for contract in self.venue.contracts.values()}
        return Order(
            ref=OrderRef(terms.order_ref),
            account_id=AccountId(terms.account),
            contract=by_id[request.contract.con_id],
            stage=parsed.stage,
            line=parsed.line,
            attempt=parsed.attempt,
            side=Side(terms.action),
            quantity=terms.quantity,
            order_type=OrderType(terms.order_type),
            limit_price=terms.limit_price,
            outside_rth=terms.outside_rth,
        )


async def rehearse(case: Case, folder: Path, spoil: Spoil = nothing) -> PlayedOverGateway:
    """The case from the models to the report over a gateway that is spoilt like this; one that hangs fails."""
    played = PlayedOverGateway(case, folder, Journal(MemoryStore()), [], spoil=spoil)
    async with asyncio.timeout(LONGEST):
        await play_out(played)
        for scene in played.scenes:
            await asyncio.gather(*scene.tasks)
            await scene.gateway.stop()
    return played


@dataclass(frozen=True, slots=True)
class Row:
    """What goes wrong, as a sentence, and how the run then ends: its code, and texts of its reason.

    `warns` are texts of its warnings; `spared` are the judges that do not apply, `also` those that do besides.
    """

    sentence: str
    spoil: Spoil
    code: int = 0
    texts: tuple[str, ...] = ()
    case: Case | None = None
    warns: tuple[str, ...] = ()
    also: tuple[Callable[[PlayedOverGateway], None], ...] = ()
    spared: tuple[Callable[[Any], None], ...] = ()


def cases(*tables: tuple[Row, ...]) -> list[Any]:
    """Every row as a case of its own, named by its sentence; `make test` takes one of twelve of each table."""
    return [
        pytest.param(row, id=row.sentence, marks=pytest.mark.slow if number % SAMPLED else ())
        for rows in tables
        for number, row in enumerate(rows)
    ]
