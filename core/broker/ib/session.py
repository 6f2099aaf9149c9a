"""One connection from the first byte to the last: every message is rate-limited, every answer has a time-out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from core.broker.errors import broke_while_reading, closed_at, lost, not_ready, refused_at, unreachable
from core.broker.ib.client import GatewayClient
from core.broker.ib.dispatcher import Dispatcher
from core.broker.ib.messages import LISTS, Key
from core.broker.ib.requests import RequestInterrupted
from core.broker.rate_limit import RateLimiter
from core.clock import Clock, discard
from core.errors import BrokerError
from core.model import AccountId
from core.pacing import OUR_LIMIT

T = TypeVar("T")

PING_AFTER = timedelta(seconds=10)
NO_REPLY = "the gateway does not respond"
UNFINISHED = "the gateway left an answer unfinished"


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """Where the gateway is, and as which client of which account we connect.

    A read-only client sends no orders. Never more than 48 messages a second are sent; time-outs are in seconds.
    """

    host: str
    port: int
    client_id: int
    account_id: AccountId
    is_read_only: bool = False
    connect_timeout_seconds: float = 15
    request_timeout_seconds: float = 20
    messages_per_second: int = OUR_LIMIT


class GatewaySession:
    """A connection to the gateway; once closed it stays closed, and another one is made."""

    def __init__(self, options: LiveOptions, clock: Clock, limiter: RateLimiter) -> None:
        self.options = options
        self.clock = clock
        self.dispatcher = Dispatcher(clock, options.client_id, options.account_id, is_trading=not options.is_read_only)
        self.client = GatewayClient(self.dispatcher.handle, self.dispatcher.close, clock.now)
        self.dispatcher.on_closed = self.client.disconnect
        self.open_subscriptions: set[int] = set()
        self._limiter = limiter
        self._pinged_at = clock.now()

    @property
    def is_up(self) -> bool:
        """Whether we are connected to the gateway, and the gateway to IBKR."""
        return self.dispatcher.is_up

    async def open(self) -> None:
        """Connect and wait until the gateway is ready. Raises ConnectionLost, PacingExceeded."""
        options = self.options
        connecting = asyncio.ensure_future(
            self.client.connect(options.host, options.port, options.client_id, is_read_only=options.is_read_only)
        )
        try:
            await self.clock.within(options.connect_timeout_seconds, self._connected(connecting))
        except TimeoutError:
            raise self._timed_out() from None
        except OSError as error:
            raise self.dispatcher.connect_error or self._not_connected(error) from None
        finally:
            await discard(connecting)
        # ib_async sends what belongs to connecting at once; it counts against the limit all the same
        self._limiter.count(self.client.messages_sent)

    def close(self, reason: str = "") -> None:
        """Close the connection; no message is received and no event emitted any more."""
        self.dispatcher.close(reason)

    def next_id(self) -> int:
        """An id for a request. Raises ConnectionLost."""
        self.require_up()
        return self.client.next_id()

    async def send(self, transmit: Callable[[], T]) -> T:
        """Send one message as soon as the rate limit allows. Raises ConnectionLost, and then it was not sent."""
        await self._limiter.acquire()
        self.require_up()
        return transmit()

    async def request(self, key: Key, transmit: Callable[[], None], what: str) -> list[Any]:
        """All messages that answer the request. Raises ConnectionLost naming `what`, PacingExceeded, RequestRefused.

        The connection is closed when nothing at all arrived within the time-out, for only a new one may help, and when
        a list did not end: its remainder could be taken for the next list, in which a working order would then be
        missing.
        """
        count, seconds = self.dispatcher.message_count, self.options.request_timeout_seconds
        answer = await self.request_within(seconds, key, transmit, what)
        if answer is not None:
            return answer
        if self.dispatcher.message_count == count or key in LISTS:
            self.close(NO_REPLY)
        raise lost(f"the gateway did not answer within {seconds:g} s while reading the {what}")

    async def request_within(
        self, seconds: float, key: Key, transmit: Callable[[], None], what: str
    ) -> list[Any] | None:
        """As `request`, with None where no answer came within so many seconds."""
        dispatcher = self.dispatcher
        await self._limiter.acquire()
        if dispatcher.is_closed:
            raise lost(broke_while_reading(what, dispatcher.close_reason))
        self.require_up()
        if dispatcher.requests.is_unfinished(key):
            self.close(UNFINISHED)
            raise lost(UNFINISHED)
        answer = dispatcher.requests.begin(key)
        try:
            transmit()
            return await self.clock.within(seconds, answer)
        except TimeoutError:
            return None
        except RequestInterrupted:
            raise lost(broke_while_reading(what, dispatcher.close_reason)) from None
        finally:
            dispatcher.requests.forget(key)

    def require_up(self) -> None:
        """Raises ConnectionLost unless we are connected to the gateway, and the gateway to IBKR."""
        if not self.is_up:
            raise lost(self.dispatcher.down_reason)

    async def wait_for_activity(self, seconds: float) -> None:
        """Return when something has happened since the last call, or when so many seconds have passed."""
        with suppress(TimeoutError):
            await self.clock.within(seconds, self.dispatcher.activity.wait())
        self.dispatcher.activity.clear()

    async def check_alive(self) -> float:
        """Ask a gateway that has sent nothing for 10 s for its time, and disconnect when it does not answer.

        Returns after how many seconds without a message the next check is due. The gateway answers while it is not
        connected to IBKR as well: its answer proves nothing about IBKR.
        """
        now, received_at = self.clock.now(), self.dispatcher.received_at
        due = received_at + PING_AFTER
        if now >= due:
            if self._pinged_at <= received_at:
                self._pinged_at = now
                await self._limiter.acquire()
                if self.dispatcher.is_closed:
                    return 0.0
                self.client.request_current_time()
            due = self._pinged_at + timedelta(seconds=self.options.request_timeout_seconds)
            if now >= due:
                self.close(NO_REPLY)
        return max((due - now).total_seconds(), 0.0)

    async def _connected(self, connecting: asyncio.Future[None]) -> None:
        """Return when connected; ib_async itself would wait for ever when the gateway closes the connection first."""
        dispatcher = self.dispatcher
        await asyncio.wait((connecting, dispatcher.interrupted), return_when=asyncio.FIRST_COMPLETED)
        if dispatcher.connect_error:
            raise dispatcher.connect_error
        if not connecting.done():
            reason = dispatcher.close_reason
            raise lost(reason) if reason else closed_at(self.options.host, self.options.port)
        connecting.result()

    def _not_connected(self, error: OSError) -> BrokerError:
        host, port = self.options.host, self.options.port
        if isinstance(error, ConnectionRefusedError):
            return refused_at(host, port)
        # ib_async's own ConnectionError carries no errno: the gateway has closed the connection
        return unreachable(host, port, error.strerror or str(error)) if error.errno else closed_at(host, port)

    def _timed_out(self) -> BrokerError:
        where, seconds = f"{self.options.host}:{self.options.port}", self.options.connect_timeout_seconds
        if self.client.socket_traffic() is None:
            return lost(f"nothing answered at {where} within {seconds:g} s")
        if not self.dispatcher.accounts:
            return not_ready(where, f"and was not ready within {seconds:g} s")
        return lost(f"the gateway at {where} did not list our open orders and positions within {seconds:g} s")
