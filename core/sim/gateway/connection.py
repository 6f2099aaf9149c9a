"""One client's socket: bytes to messages and back, within limits. A fault there ends this connection alone."""

from __future__ import annotations

import asyncio
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from core.pacing import GATEWAY_LIMIT, SECOND, MessageWindow
from core.sim.gateway.channels import Inbox, Outbox
from core.sim.gateway.error_texts import FARM_NOTICES, text_of
from core.sim.gateway.faults import NO_SUBJECT, Envelope, Subject
from core.sim.gateway.handlers import handle, refuse_too_fast, subject_of
from core.sim.gateway.lists import list_own_orders
from core.sim.gateway.log import Direction, LogEntry
from core.sim.gateway.state import NO_CLIENT, ByteCounts, ClientSession, GatewayState
from core.sim.wire import session as wire_session
from core.sim.wire.fields import Fields, WireError
from core.sim.wire.frames import Unframer
from core.sim.wire.names import answer_name, request_name
from core.sim.wire.parsing import parse_request
from core.sim.wire.requests import StartApi
from core.sim.wire.session import SERVER_VERSION, Handshake, read_handshake

HANDSHAKE = "handshake"
SERVER_VERSION_MESSAGE = "serverVersion"
# a client may send fields of 64 KiB; the log keeps enough of one to recognise it
LOGGED_FIELD = 200
LOGGED_FIELDS = 250
# what a gateway answers by itself, even while it has no connection to IBKR
LOCAL = frozenset({"managedAccounts", "nextValidId", "currentTime"})


class RateDecision(Enum):
    """What becomes of a message: it is handled, answered with error 100, or the client's last."""

    WITHIN = auto()
    TOO_FAST = auto()
    LAST = auto()


class ClientRateLimit:
    """A burst above the limit is one violation, as long as it is short; a second violation ends the connection."""

    def __init__(self) -> None:
        self._window = MessageWindow(GATEWAY_LIMIT)
        self._violated_at: datetime | None = None
        self._refused = 0

    def judge(self, now: datetime) -> RateDecision:
        """What becomes of a message that comes now."""
        if self._window.spend(now):
            return RateDecision.WITHIN
        self._violated_at = self._violated_at or now
        self._refused += 1
        is_repeated = now - self._violated_at >= SECOND or self._refused > GATEWAY_LIMIT
        return RateDecision.LAST if is_repeated else RateDecision.TOO_FAST


class ConnectionRegistry(Protocol):
    """The connections of the gateway, as one of them sees them."""

    def has_capacity(self) -> bool:
        """Whether a new connection may stay."""
        ...

    def remove(self, connection: Connection) -> None:
        """The connection has ended."""
        ...


class Connection(asyncio.Protocol):
    """A client, from its first byte to its last. `client` is −1 until startApi has named its id."""

    def __init__(self, state: GatewayState, number: int, connections: ConnectionRegistry) -> None:
        self.client = NO_CLIENT
        self.number = number
        self.traffic = ByteCounts()
        self.peer_port = 0
        self._state = state
        self._connections = connections
        limits = state.options.limits
        self._unframer = Unframer(limits.frame_bytes)
        self._inbox = Inbox(self, state.clock, state.faults, self._handle)
        self._outbox = Outbox(self, state.clock, state.faults, state.options.latency_seconds)
        self._handshake = b""
        self._has_handshake = self._is_over = self._is_half_open = self._is_leaving = False
        self._session: ClientSession | None = None
        self._rate_limit = ClientRateLimit()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended on this side; the client may not know yet."""
        return self._is_over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream server's transport is one
        self._transport = transport
        self.peer_port = transport.get_extra_info("peername")[1]
        seconds = self._state.options.limits.handshake_seconds
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._too_late)
        self.note("connected", str(self.peer_port))
        # only now: without a transport there is nothing to abort
        if not self._connections.has_capacity():
            self.abort("refused: too many connections")

    def data_received(self, data: bytes) -> None:
        self.traffic.read += len(data)
        if self._ignores_input:
            return
        try:
            self._read(data)
        except WireError as error:
            self.abort(f"refused: {error}")
        except Exception as error:  # noqa: BLE001 - a fault of ours ends this client only; check() raises it
            self._state.fail(error)
            self.abort("an error of the gateway's own")

    def pause_writing(self) -> None:
        # backpressure: no further request is read from a client that does not read its answers
        if self._transport:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport and not self._is_over:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._end("the client closed")
        self._connections.remove(self)

    def send(self, fields: Fields, subject: Subject = NO_SUBJECT) -> None:
        """Send to the client; while IBKR is disconnected (1100) only what the gateway itself knows."""
        name = answer_name(fields[0])
        is_local = name in LOCAL or (name == "error" and subject.id == NO_SUBJECT.id)
        if self._state.is_disconnected and not is_local:
            self.note("not sent: disconnected from IBKR", name)
        else:
            self._outbox.send(fields, subject)

    def send_error(self, subject: Subject, code: int, text: str = "") -> None:
        self.send(wire_session.error(subject.id, code, text or text_of(code)), subject)

    def finish(self, why: str) -> None:
        self._is_leaving = True
        self._outbox.finish(why)

    def write(self, envelope: Envelope, written: bytes) -> None:
        if self._is_over or self._is_half_open or self._transport is None:
            return
        self._log(Direction.OUT, envelope.name, envelope.fields)
        self.traffic.written += len(written)
        self._transport.write(written)
        self.check_backlog()

    def check_backlog(self) -> None:
        if self._is_over or self._transport is None:
            return
        waiting = self._transport.get_write_buffer_size() + self._outbox.queued_bytes
        if waiting > self._state.options.limits.queued_bytes:
            self.abort("refused: the client does not read what is sent to it")

    def close(self, why: str) -> None:
        """End the connection after what was written."""
        if self._end(why) and self._transport:
            self._transport.close()

    def abort(self, why: str) -> None:
        """End the connection now, whatever was still to be written."""
        if self._end(why) and self._transport:
            self._transport.abort()

    def go_half_open(self) -> None:
        self.note("half-open")
        self._is_half_open = True
        self._outbox.end()

    def note(self, what: str, *details: str) -> None:
        self._state.note(what, *details, connection=self.number, client=self.client)

    def _read(self, data: bytes) -> None:
        if not self._has_handshake:
            self._handshake += data
            found = read_handshake(self._handshake)
            if found is None:
                return
            self._receive_handshake(found[0])
            data, self._handshake = found[1], b""
        for fields in self._unframer.feed(data):
            self._receive(fields)
            if self._ignores_input:
                return

    @property
    def _ignores_input(self) -> bool:
        return self._is_over or self._is_half_open or self._is_leaving

    def _receive_handshake(self, handshake: Handshake) -> None:
        self._has_handshake = True
        offered = (f"v{handshake.lowest}..{handshake.highest}", handshake.options)
        self._log(Direction.IN, HANDSHAKE, offered)
        self._inbox.receive(Envelope(HANDSHAKE, offered))

    def _receive(self, fields: Fields) -> None:
        name = request_name(fields[0])
        self._log(Direction.IN, name, fields)
        request = parse_request(fields)
        subject = subject_of(self._state, self.client, request)
        decision = self._rate_limit.judge(self._state.now())
        if decision is RateDecision.WITHIN:
            self._inbox.receive(Envelope(name, fields, subject))
        elif decision is RateDecision.TOO_FAST and self._session:
            self.note("too fast", name)
            self._state.catch_up()
            refuse_too_fast(self._state, self._session, request, subject)
        else:
            self.send_error(subject, 100)
            self.finish("refused: repeatedly above the message limit")

    def _handle(self, envelope: Envelope) -> None:
        """Handle a message; a fault may have delayed it, so errors are caught here as well."""
        if self._is_over or self._is_half_open:
            return
        try:
            self._state.catch_up()
            if envelope.name == HANDSHAKE:
                self._answer_handshake(envelope)
            else:
                self._answer(envelope)
        except Exception as error:  # noqa: BLE001 - a fault of ours ends this client only; check() raises it
            self._state.fail(error)
            self.abort("an error of the gateway's own")

    def _answer_handshake(self, envelope: Envelope) -> None:
        highest = int(envelope.fields[0].partition("..")[2])
        fault = self._state.scripted_faults.at_connect()
        if fault.breaks:
            self.close("as scripted: no connections")
        elif highest < SERVER_VERSION:
            self.close(f"refused: the client does not support version {SERVER_VERSION}")
        else:
            self._outbox.send(wire_session.server_version(self._state.now()), name=SERVER_VERSION_MESSAGE)
            if fault.code:
                self.send_error(NO_SUBJECT, fault.code)
                self.finish("as scripted: too fast")

    def _answer(self, envelope: Envelope) -> None:
        request = parse_request(envelope.fields)
        if isinstance(request, StartApi):
            self._start(request.client_id)
        elif self._session:
            handle(self._state, self._session, request)
        else:
            self.abort("refused: a request before startApi")

    def _start(self, client: int) -> None:
        state = self._state
        if self._session or client < 0:
            self.abort("refused: startApi a second time" if self._session else "refused: a negative client id")
            return
        if client in state.sessions:
            self.send_error(NO_SUBJECT, 326)
            self.finish("refused: the client id is in use")
            return
        self.client = client
        self._session = state.sessions[client] = ClientSession(client, self)
        self._stop_deadline()
        # in the order in which a gateway sends them
        list_own_orders(state, self._session)
        self.send(wire_session.managed_accounts(state.accounts))
        self.send(wire_session.next_valid_id(state.order_ids.next_id(client)))
        for code, text in FARM_NOTICES:
            self.send_error(NO_SUBJECT, code, text)

    def _too_late(self) -> None:
        self.abort("refused: no startApi in time")

    def _stop_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()

    def _end(self, why: str) -> bool:
        """Release all that the connection holds; False if that was done before."""
        if self._is_over:
            return False
        self.note("closed", why)
        self._is_over = True
        self._stop_deadline()
        self._outbox.end()
        if self._session:
            self._state.sessions.pop(self.client, None)
        return True

    def _log(self, direction: Direction, name: str, fields: Fields) -> None:
        shown = tuple(text[:LOGGED_FIELD] for text in fields[:LOGGED_FIELDS])
        self._state.log.add(LogEntry(self._state.now(), self.number, self.client, direction, name, shown))
