"""One connection from the first byte to the last: everything is sent at our pace and awaited under a time-out."""

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
from core.broker.ib.requests import ConnectionGone
from core.broker.rate_limit import Pace
from core.clock import Clock
from core.errors import BrokerError
from core.model import AccountId

T = TypeVar("T")

SILENCE = timedelta(seconds=10)
SILENT = "the gateway is silent"
UNFINISHED = "an answer of the gateway was left unfinished"


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """Where the gateway is and who we are there.

    A read-only client sends no order and need not be sure of the time. No more than 50 messages in a second may leave.
    """

    host: str
    port: int
    client_id: int
    account_id: AccountId
    is_read_only: bool = False
    connect_timeout_seconds: float = 15
    request_timeout_seconds: float = 20
    messages_per_second: int = 45


class GatewaySession:
    """A connection to the gateway; when it is gone it stays gone, and another is made."""

    def __init__(self, options: LiveOptions, clock: Clock, pace: Pace) -> None:
        self.options = options
        self.clock = clock
        self.dispatcher = Dispatcher(clock, options.client_id, options.account_id, is_trading=not options.is_read_only)
        self.line = GatewayClient(self.dispatcher.hear, self.dispatcher.end, clock.now)
        self.dispatcher.on_end = self.line.hang_up
        self.open_lines: set[int] = set()
        self._pace = pace
        self._asked_at = clock.now()

    @property
    def is_up(self) -> bool:
        """Whether the gateway is there, and IBKR behind it."""
        return self.dispatcher.is_up

    async def open(self) -> None:
        """Connect and greet. Raises ConnectionLost, PacingExceeded."""
        options = self.options
        dialling = asyncio.ensure_future(
            self.line.dial(options.host, options.port, options.client_id, is_read_only=options.is_read_only)
        )
        try:
            await self.clock.within(options.connect_timeout_seconds, self._first_of(dialling))
        except TimeoutError:
            raise self._mute() from None
        except OSError as error:
            raise self.dispatcher.refusal or self._not_connected(error) from None
        finally:
            await _put_away(dialling)
        self._pace.spend(self.line.messages_sent)

    def close(self, why: str = "") -> None:
        """Hang up; nothing more is heard or told."""
        self.dispatcher.end(why)

    def next_id(self) -> int:
        """An id for a request. Raises ConnectionLost."""
        self.require_up()
        return self.line.next_id()

    async def send(self, message: Callable[[], T]) -> T:
        """Send one message, when it is its turn. Raises ConnectionLost, and then it was not sent."""
        await self._pace.turn()
        self.require_up()
        return message()

    async def ask(self, key: Key, message: Callable[[], None], what: str) -> list[Any]:
        """All that answers `message`. Raises ConnectionLost naming `what`, PacingExceeded, RequestRefused.

        After a time-out in which not a word came the line is closed: only a new one may help. So it is when a list did
        not end: its rest could be taken for the next one, and an order that works be missing there.
        """
        words, seconds = self.dispatcher.words, self.options.request_timeout_seconds
        answer = await self.ask_for(seconds, key, message, what)
        if answer is not None:
            return answer
        if self.dispatcher.words == words or key in LISTS:
            self.close(SILENT)
        raise lost(f"the gateway did not answer within {seconds:g} s while reading the {what}")

    async def ask_for(self, seconds: float, key: Key, message: Callable[[], None], what: str) -> list[Any] | None:
        """As `ask`, with None for no answer within so many seconds."""
        await self._pace.turn()
        if self.dispatcher.is_gone:
            raise lost(broke_while_reading(what, self.dispatcher.why_gone))
        self.require_up()
        if self.dispatcher.requests.is_unfinished(key):
            self.close(UNFINISHED)
            raise lost(UNFINISHED)
        answer = self.dispatcher.requests.begin(key)
        try:
            message()
            return await self.clock.within(seconds, answer)
        except TimeoutError:
            return None
        except ConnectionGone:
            raise lost(broke_while_reading(what, self.dispatcher.why_gone)) from None
        finally:
            self.dispatcher.requests.forget(key)

    def require_up(self) -> None:
        """Raises ConnectionLost unless the connection is whole."""
        if not self.is_up:
            raise lost(self.dispatcher.why_down)

    async def await_news(self, seconds: float) -> None:
        """Return when something has happened since the last time, or so many seconds have passed."""
        with suppress(TimeoutError):
            await self.clock.within(seconds, self.dispatcher.news.wait())
        self.dispatcher.news.clear()

    async def look_for_life(self) -> float:
        """Ask a gateway that has been silent whether it is there, hang up on one that does not answer.

        What comes back is how many seconds it may still be silent before the next look. It answers without IBKR as
        well: that it does says nothing of IBKR.
        """
        now, heard_at = self.clock.now(), self.dispatcher.heard_at
        until = heard_at + SILENCE
        if now >= until:
            if self._asked_at <= heard_at:
                self._asked_at = now
                await self._pace.turn()
                if self.dispatcher.is_gone:
                    return 0.0
                self.line.ask_time()
            until = self._asked_at + timedelta(seconds=self.options.request_timeout_seconds)
            if now >= until:
                self.close(SILENT)
        return max((until - now).total_seconds(), 0.0)

    async def _first_of(self, dialling: asyncio.Future[None]) -> None:
        """Return when connected; ib_async itself would wait for ever although the gateway has hung up."""
        dispatcher = self.dispatcher
        await asyncio.wait((dialling, dispatcher.ended), return_when=asyncio.FIRST_COMPLETED)
        if dispatcher.refusal:
            raise dispatcher.refusal
        if not dialling.done():
            raise lost(dispatcher.why_gone) if dispatcher.why_gone else closed_at(self.options.host, self.options.port)
        dialling.result()

    def _not_connected(self, error: OSError) -> BrokerError:
        host, port = self.options.host, self.options.port
        if isinstance(error, ConnectionRefusedError):
            return refused_at(host, port)
        # ib_async's own ConnectionError carries no number: the gateway has hung up
        return unreachable(host, port, error.strerror or str(error)) if error.errno else closed_at(host, port)

    def _mute(self) -> BrokerError:
        where, seconds = f"{self.options.host}:{self.options.port}", self.options.connect_timeout_seconds
        if self.line.link() is None:
            return lost(f"nobody answers at {where} within {seconds:g} s")
        if not self.dispatcher.accounts:
            return not_ready(where, f"and did not get ready within {seconds:g} s")
        return lost(f"the gateway at {where} did not list our open orders and positions within {seconds:g} s")


async def _put_away(task: asyncio.Future[None]) -> None:
    """End a task whose outcome is known from elsewhere."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()
