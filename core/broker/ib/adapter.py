"""LiveIB: a gateway of IBKR behind the broker port.

One session at a time: when the connection closes, the session stays closed and `connect` makes another one. What
outlives it, as the contracts met so far and the rate limiter, is kept here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from core.broker.errors import NOT_CONNECTED, broke_while_sending, lost, unanswered
from core.broker.ib import messages
from core.broker.ib.account import AccountReader
from core.broker.ib.client import SocketTraffic
from core.broker.ib.contracts import ContractCache
from core.broker.ib.orders import OwnOrder, effect_of, refusal_of
from core.broker.ib.quotes import NUMBER_OF_TYPE, QuoteReader
from core.broker.ib.requests import RequestRefused
from core.broker.ib.session import GatewaySession, LiveOptions
from core.broker.port import GatewayInfo
from core.broker.rate_limit import RateLimiter
from core.clock import Clock, RunningClock
from core.errors import SafetyRefused
from core.model import (
    AccountId,
    AccountSnapshot,
    BrokerEvent,
    BrokerKind,
    CompletedOrder,
    Contract,
    Currency,
    Fill,
    MarginEffect,
    MarketDataType,
    Order,
    OrderRef,
    Quote,
    Symbol,
    WorkingOrder,
)

REACTION_SECONDS = 1.0  # how long `place` waits for the first message about its order
CLOCK_TOLERANCE = timedelta(seconds=5)
ONE_SECOND = timedelta(seconds=1)  # the gateway's time has whole seconds
WHAT_IF = "effect of an order"


class LiveIB:
    """A client of one gateway for one account, as described in `core.broker.port`.

    Every wait is on `clock`, by default the computer's, and has a time-out. Only one coroutine at a time may use it.
    """

    kind = BrokerKind.IBKR

    def __init__(self, options: LiveOptions, clock: Clock | None = None) -> None:
        self._options = options
        self._own_clock = RunningClock() if clock is None else None
        self._clock: Clock = clock or self._own_clock or RunningClock()
        self._clock_gap = timedelta(0)
        self._limiter = RateLimiter(self._clock, options.messages_per_second)
        self._contracts = ContractCache()
        self._data_type = MarketDataType.LIVE
        self._base_currency: Currency | None = None
        self._session: GatewaySession | None = None

    @property
    def port(self) -> int | None:
        return self._options.port

    @property
    def is_connected(self) -> bool:
        return self._session is not None and self._session.is_up

    def socket_traffic(self) -> SocketTraffic | None:
        """Our TCP port and the bytes that passed the open socket; None without one."""
        return self._session.client.socket_traffic() if self._session else None

    def use_port(self, port: int) -> None:
        """Have the next connection made to this port."""
        self._options = replace(self._options, port=port)

    @property
    def clock_gap(self) -> timedelta:
        return self._clock_gap

    def now(self) -> datetime:
        return self._clock.now()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    async def connect(self) -> None:
        session = self._session
        if session is not None and not session.dispatcher.is_closed:
            await self._await_connectivity(session)
            if session.is_up:
                return
        session = self._session = GatewaySession(self._options, self._clock, self._limiter)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.disconnect)
            await session.open()
            await self._set_up(session)
            undo.pop_all()

    async def disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
            await asyncio.sleep(0)  # the socket closes in the next round of the event loop

    async def accounts(self) -> tuple[AccountId, ...]:
        return (await self._connected_session()).dispatcher.accounts

    async def info(self) -> GatewayInfo:
        dispatcher = (await self._connected_session()).dispatcher
        return GatewayInfo(dispatcher.version, dict(dispatcher.farms.is_up))

    async def snapshot(self) -> AccountSnapshot:
        snapshot = await (await self._reader()).snapshot()
        self._base_currency = snapshot.base_currency
        return snapshot

    async def resolve(self, symbols: Sequence[Symbol], overrides: Mapping[Symbol, str]) -> Mapping[Symbol, Contract]:
        return await self._contracts.resolve(await self._connected_session(), symbols, overrides)

    async def quotes(self, contracts: Sequence[Contract], *, is_snapshot: bool = False) -> Mapping[Symbol, Quote]:
        return await QuoteReader(await self._connected_session()).read(contracts, is_snapshot=is_snapshot)

    async def market_data_type(self, wanted: MarketDataType) -> None:
        session = await self._connected_session()
        await session.send(lambda: session.client.request_market_data_type(NUMBER_OF_TYPE[wanted]))
        self._data_type = wanted

    async def place(self, order: Order) -> None:
        self._require_trading(order)
        session = await self._connected_session()
        sent = await session.send(lambda: _send(session, order))
        try:
            await self._clock.within(REACTION_SECONDS, sent.is_answered.wait())
        except TimeoutError:
            return  # sent all the same: what becomes of it arrives as events
        if session.dispatcher.is_closed:
            raise lost(broke_while_sending(session.dispatcher.close_reason))

    async def what_if(self, order: Order) -> MarginEffect:
        self._require_trading(order)  # on the wire a what-if is an order like any other
        session = await self._connected_session()
        if self._base_currency is None:
            self._base_currency = await (await self._reader()).base_currency()
        request_id = session.next_id()
        session.dispatcher.orders.note_what_if(request_id)
        try:
            place = partial(session.client.place_order, request_id, order, is_what_if=True)
            rows = await session.request_within(self._options.request_timeout_seconds, request_id, place, WHAT_IF)
        except RequestRefused as refusal:
            raise refusal_of(order, refusal) from None
        if rows is None:
            raise unanswered(order, self._options.request_timeout_seconds)
        return effect_of(rows[0].effect, self._base_currency)

    async def cancel(self, ref: OrderRef) -> None:
        session = await self._connected_session()
        own = session.dispatcher.orders
        if not (found := own.with_ref(ref)):
            own.emit_not_found(ref)
        for order in found:
            if order.state.is_final:
                own.emit_end_again(order)
            else:
                await session.send(partial(session.client.cancel_order, order.order_id))

    async def next_event(self, timeout_seconds: float) -> BrokerEvent | None:
        await asyncio.sleep(0)  # lets messages arrive even when the caller polls without waiting
        session = self._session
        if session is None or session.dispatcher.is_closed:
            raise lost(NOT_CONNECTED)
        deadline = self.now() + timedelta(seconds=timeout_seconds)
        while not session.dispatcher.events:
            session.require_up()
            next_check = await session.check_alive()
            left = (deadline - self.now()).total_seconds()
            await session.wait_for_activity(max(min(left, next_check), 0.0))
            if session.dispatcher.is_closed:
                raise lost(session.dispatcher.close_reason or NOT_CONNECTED)
            if self.now() >= deadline:
                break
        return session.dispatcher.events.popleft() if session.dispatcher.events else None

    async def open_orders(self) -> tuple[WorkingOrder, ...]:
        return await (await self._reader()).open_orders()

    async def completed_orders(self) -> tuple[CompletedOrder, ...]:
        return await (await self._reader()).completed_orders()

    async def executions(self) -> tuple[Fill, ...]:
        return await (await self._reader()).executions()

    def _require_trading(self, order: Order) -> None:
        """Raises SafetyRefused on a read-only client."""
        if self._options.is_read_only:
            raise SafetyRefused(
                f"{order.ref} was not sent: this client of the gateway is read-only",
                next_step="trade with a client that is not",
            )

    async def _reader(self) -> AccountReader:
        return AccountReader(await self._connected_session(), self._contracts)

    async def _connected_session(self) -> GatewaySession:
        """The session, once what has arrived is handled, which may be that it closed. Raises ConnectionLost."""
        if self._session is not None:
            await self._clock.sleep(0)
        session = self._session
        if session is None:
            raise lost(NOT_CONNECTED)
        session.require_up()
        return session

    async def _set_up(self, session: GatewaySession) -> None:
        """End the subscription that connecting began, and request the chosen market data type again."""
        await session.send(session.client.cancel_positions)
        if self._data_type is not MarketDataType.LIVE:
            await session.send(lambda: session.client.request_market_data_type(NUMBER_OF_TYPE[self._data_type]))
        if self._own_clock:  # a given clock is the gateway's own
            await self._compare_clocks(session, self._own_clock)

    async def _compare_clocks(self, session: GatewaySession, clock: RunningClock) -> None:
        """Follow the gateway's clock where this computer's differs: quotes and hours are in the gateway's time."""
        rows: list[messages.CurrentTimeRow] = await session.request(
            messages.TIME, session.client.request_current_time, "time"
        )
        now, theirs = clock.now(), rows[0].at
        if max(theirs - now, now - theirs - ONE_SECOND) > CLOCK_TOLERANCE:
            clock.set(theirs)
            self._limiter.reset()
            self._clock_gap += theirs - now
            session.client.times.adjust(theirs - now)

    async def _await_connectivity(self, session: GatewaySession) -> None:
        """Return when the gateway is connected to IBKR again, or our connection has closed. Raises ConnectionLost."""
        seconds = self._options.connect_timeout_seconds
        deadline = self.now() + timedelta(seconds=seconds)
        while not session.is_up and not session.dispatcher.is_closed:
            # over a dead connection the report of restored connectivity would never arrive
            next_check = await session.check_alive()
            left = (deadline - self.now()).total_seconds()
            if left <= 0 and not session.dispatcher.is_closed:
                raise lost(f"the gateway is not connected to IBKR (waited {seconds:g} s)")
            await session.wait_for_activity(max(min(left, next_check), 0.0))


def _send(session: GatewaySession, order: Order) -> OwnOrder:
    order_id = session.client.next_id()
    sent = session.dispatcher.orders.register(order_id, order.ref)
    session.client.place_order(order_id, order)
    return sent
