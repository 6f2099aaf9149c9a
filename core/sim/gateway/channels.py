"""The two directions of a connection, each past the scripted faults.

Messages to a client go out in order, after the answer's latency.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from core.clock import Clock, Timer
from core.sim.gateway.error_texts import text_of
from core.sim.gateway.faults import NO_SUBJECT, Envelope, Faults, Subject
from core.sim.wire import session as wire_session
from core.sim.wire.fields import Fields
from core.sim.wire.frames import frame
from core.sim.wire.names import answer_name

MOST_HELD = 1000  # a fault may hold messages for ever; memory is bounded


class Socket(Protocol):
    """The connection as its outbox sees it."""

    client: int

    def write(self, envelope: Envelope, written: bytes) -> None:
        """Write, and log the message."""
        ...

    def check_backlog(self) -> None:
        """Disconnect the client when too much waits to be read by it."""
        ...

    def note(self, what: str, *details: str) -> None: ...

    def close(self, why: str) -> None: ...

    def send_error(self, subject: Subject, code: int, text: str = "") -> None: ...

    def go_half_open(self) -> None: ...


class HeldMessages:
    """The messages that wait for another one to pass."""

    def __init__(self) -> None:
        self._held: list[tuple[str, Envelope]] = []

    def add(self, envelope: Envelope, until: str) -> None:
        if len(self._held) < MOST_HELD:
            self._held.append((until, envelope))

    def clear(self) -> None:
        self._held.clear()

    def released_by(self, passed: Envelope) -> list[Envelope]:
        """Those that waited for this one, in order; they wait no more."""
        due = [entry for entry in self._held if _is_awaited(entry[0], entry[1], passed)]
        self._held = [entry for entry in self._held if entry not in due]
        return [envelope for _, envelope in due]


class Inbox:
    """What a client sends, until it is handled."""

    def __init__(self, socket: Socket, clock: Clock, faults: Faults, handle: Callable[[Envelope], None]) -> None:
        self._socket = socket
        self._clock = clock
        self._faults = faults
        self._handle = handle
        self._waiting = HeldMessages()

    def receive(self, envelope: Envelope) -> None:
        """Have the message handled, unless a fault prevents it."""
        action = self._faults.action_for(envelope.name, self._socket.client, envelope.subject)
        if action is None:
            self.pass_on(envelope)
            return
        self._socket.note("fault", envelope.name, repr(action))
        action.apply(self, envelope)

    def pass_on(self, envelope: Envelope) -> None:
        self._handle(envelope)
        # a released message may in turn release others
        for released in self._waiting.released_by(envelope):
            self.pass_on(released)

    def drop(self, envelope: Envelope, at: int | None) -> None:
        # of a request either all arrives or nothing: half of one is no message
        if at is None:
            self.pass_on(envelope)
        self._socket.close("as scripted")

    def go_half_open(self) -> None:
        self._socket.go_half_open()

    def send_error(self, subject: Subject, code: int, text: str) -> None:
        self._socket.send_error(subject, code, text)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._clock.call_at(self._clock.now() + timedelta(seconds=seconds), callback)

    def hold(self, envelope: Envelope, until: str) -> None:
        self._waiting.add(envelope, until)


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message to be written at `due`; the connection closes after the last, or `truncate_at` bytes of it."""

    due: datetime
    envelope: Envelope
    frame: bytes
    is_last: bool = False
    truncate_at: int | None = None


class Outbox:
    """First the faults, then one queue: a message overtakes another only by a fault."""

    def __init__(self, socket: Socket, clock: Clock, faults: Faults, latency: float) -> None:
        self._socket = socket
        self._clock = clock
        self._faults = faults
        self._latency = timedelta(seconds=latency)
        self._queue: deque[QueuedMessage] = deque()
        self._waiting = HeldMessages()
        self._timer: Timer | None = None
        self._is_over = False
        self.queued_bytes = 0

    def send(self, fields: Fields, subject: Subject = NO_SUBJECT, *, name: str = "") -> None:
        """Send this to the client, unless the connection is over or a fault prevents it."""
        if self._is_over:
            return
        envelope = Envelope(name or answer_name(fields[0]), fields, subject)
        action = self._faults.action_for(envelope.name, self._socket.client, subject)
        if action is None:
            self.pass_on(envelope)
            return
        self._socket.note("fault", envelope.name, repr(action))
        action.apply(self, envelope)

    def send_error(self, subject: Subject, code: int, text: str = "") -> None:
        """Send an error about this request or order."""
        self.send(wire_session.error(subject.id, code, text or text_of(code)), subject)

    def end(self) -> None:
        """Send nothing more."""
        self._is_over = True
        self._queue.clear()
        self._waiting.clear()
        self.queued_bytes = 0
        if self._timer:
            self._timer.cancel()

    def pass_on(self, envelope: Envelope) -> None:
        self._enqueue(QueuedMessage(self._clock.now() + self._latency, envelope, frame(envelope.fields)))
        for released in self._waiting.released_by(envelope):
            self.pass_on(released)

    def drop(self, envelope: Envelope, at: int | None) -> None:
        due = self._clock.now() + self._latency
        self._enqueue(QueuedMessage(due, envelope, frame(envelope.fields), is_last=True, truncate_at=at))

    def go_half_open(self) -> None:
        self._socket.go_half_open()

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._clock.call_at(self._clock.now() + timedelta(seconds=seconds), callback)

    def hold(self, envelope: Envelope, until: str) -> None:
        self._waiting.add(envelope, until)

    def finish(self, why: str) -> None:
        """Close the connection once everything queued has been written."""
        if not self._queue:
            self._socket.close(why)
            return
        newest = self._queue.pop()
        self._queue.append(QueuedMessage(newest.due, newest.envelope, newest.frame, is_last=True))

    def _enqueue(self, queued: QueuedMessage) -> None:
        # without latency nothing waits, so that a test needs no clock to see an answer
        if not self._latency:
            self._write(queued)
            return
        self._queue.append(queued)
        self.queued_bytes += len(queued.frame)
        if len(self._queue) == 1:
            self._arm()
        self._socket.check_backlog()

    def _arm(self) -> None:
        self._timer = self._clock.call_at(self._queue[0].due, self._flush)

    def _flush(self) -> None:
        while self._queue and self._queue[0].due <= self._clock.now():
            queued = self._queue.popleft()
            self.queued_bytes -= len(queued.frame)
            self._write(queued)
        if self._queue:
            self._arm()

    def _write(self, queued: QueuedMessage) -> None:
        written = (
            queued.frame[: queued.truncate_at] if queued.is_last and queued.truncate_at is not None else queued.frame
        )
        if written:
            self._socket.write(queued.envelope, written)
        if queued.is_last:
            self._socket.close("as scripted")


def _is_awaited(until: str, envelope: Envelope, passed: Envelope) -> bool:
    ours, theirs = envelope.subject.order_ref, passed.subject.order_ref
    return until == passed.name and (ours == theirs or not ours or not theirs)
