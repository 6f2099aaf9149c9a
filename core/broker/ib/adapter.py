"""LiveIB: a gateway of IBKR behind the broker port."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from core.broker.errors import NOT_CONNECTED, broke_while_sending, lost, unanswered
from core.broker.ib import messages as heard
from core.broker.ib.account import AccountReader
from core.broker.ib.client import Link
from core.broker.ib.contracts import ContractCache
from core.broker.ib.orders import OwnOrder, effect_of, refusal_of
from core.broker.ib.quotes import NUMBERS, QuoteReader
from core.broker.ib.requests import RequestRefused
from core.broker.ib.session import GatewaySession, LiveOptions
from core.broker.port import GatewayInfo
from core.broker.rate_limit import Pace
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
from core.pacing import GATEWAY_LIMIT

FIRST_MESSAGE_SECONDS = 1.0
TIME_APART = timedelta(seconds=5)
ONE_SECOND = timedelta(seconds=1)
EFFECT = "effect of an order"


class LiveIB:
    """A client of one gateway for one account. What its calls promise stands in `core.broker.port`.

    Every wait is on `clock`, the computer's when None is given, and under a time-out. One coroutine at a time may use
    it.
    """

    kind = BrokerKind.IBKR

    def __init__(self, options: LiveOptions, clock: Clock | None = None) -> None:
        self._options = options
        self._own_clock = RunningClock() if clock is None else None
        self._clock: Clock = clock or self._own_clock or RunningClock()
        self._clock_gap = timedelta(0)
        self._pace = Pace(self._clock, min(options.messages_per_second, GATEWAY_LIMIT))
        self._catalogue = ContractCache()
        self._data_type = MarketDataType.LIVE
        self._base_currency: Currency | None = None
        self._session: GatewaySession | None = None

    @property
    def port(self) -> int | None:
        return self._options.port

    @property
    def is_connected(self) -> bool:
        return self._session is not None and self._session.is_up

    def link(self) -> Link | None:
        """Our TCP port and the bytes that passed the open socket; None without one."""
        return self._session.line.link() if self._session else None

    def go_to(self, port: int) -> None:
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
        if session is not None and not session.dispatcher.is_gone:
            await self._await_link(session)
            if session.is_up:
                return
        session = self._session = GatewaySession(self._options, self._clock, self._pace)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.disconnect)
            await session.open()
            await self._greet(session)
            undo.pop_all()

    async def disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
            await asyncio.sleep(0)

    async def accounts(self) -> tuple[AccountId, ...]:
        return (await self._up()).dispatcher.accounts

    async def info(self) -> GatewayInfo:
        dispatcher = (await self._up()).dispatcher
        return GatewayInfo(dispatcher.version, dict(dispatcher.farms.is_up))

    async def snapshot(self) -> AccountSnapshot:
        snapshot = await (await self._reader()).snapshot()
        self._base_currency = snapshot.base_currency
        return snapshot

    async def resolve(self, symbols: Sequence[Symbol], overrides: Mapping[Symbol, str]) -> Mapping[Symbol, Contract]:
        return await self._catalogue.resolve(await self._up(), symbols, overrides)

    async def quotes(self, contracts: Sequence[Contract], *, is_snapshot: bool = False) -> Mapping[Symbol, Quote]:
        return await QuoteReader(await self._up()).take(contracts, is_snapshot=is_snapshot)

    async def market_data_type(self, wanted: MarketDataType) -> None:
        session = await self._up()
        await session.send(lambda: session.line.ask_data_type(NUMBERS[wanted]))
        self._data_type = wanted

    async def place(self, order: Order) -> None:
        self._require_trading(order)
        session = await self._up()
        sent = await session.send(lambda: _send(session, order))
        try:
            await self._clock.within(FIRST_MESSAGE_SECONDS, sent.is_heard_of.wait())
        except TimeoutError:
            return
        if session.dispatcher.is_gone:
            raise lost(broke_while_sending(session.dispatcher.why_gone))

    async def what_if(self, order: Order) -> MarginEffect:
        self._require_trading(order)  # on the wire it is an order as any other
        session = await self._up()
        if self._base_currency is None:
            self._base_currency = await (await self._reader()).base_currency()
        request = session.next_id()
        try:
            place = partial(session.line.place, request, order, is_what_if=True)
            rows = await session.ask_for(self._options.request_timeout_seconds, request, place, EFFECT)
        except RequestRefused as refusal:
            raise refusal_of(order, refusal) from None
        if rows is None:
            raise unanswered(order, self._options.request_timeout_seconds)
        return effect_of(rows[0].effect, self._base_currency)

    async def cancel(self, ref: OrderRef) -> None:
        session = await self._up()
        own = session.dispatcher.orders
        if not (found := own.of(ref)):
            own.tell_not_found(ref)
        for order in found:
            if order.state.is_final:
                own.tell_end_again(order)
            else:
                await session.send(partial(session.line.cancel, order.order_id))

    async def next_event(self, timeout_seconds: float) -> BrokerEvent | None:
        await asyncio.sleep(0)
        session = self._session
        if session is None or session.dispatcher.is_gone:
            raise lost(NOT_CONNECTED)
        deadline = self.now() + timedelta(seconds=timeout_seconds)
        while not session.dispatcher.events:
            session.require_up()
            patience = await session.look_for_life()
            left = (deadline - self.now()).total_seconds()
            await session.await_news(max(min(left, patience), 0.0))
            if session.dispatcher.is_gone:
                raise lost(session.dispatcher.why_gone or NOT_CONNECTED)
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
        """Raises SafetyRefused on a client that only reads."""
        if self._options.is_read_only:
            raise SafetyRefused(
                f"{order.ref} was not sent: this client of the gateway is read-only", next_step="trade with the other"
            )

    async def _reader(self) -> AccountReader:
        return AccountReader(await self._up(), self._catalogue)

    async def _up(self) -> GatewaySession:
        """The session, whole. What has arrived is heard first, be it that the line is gone. Raises ConnectionLost."""
        if self._session is not None:
            await self._clock.sleep(0)
        session = self._session
        if session is None:
            raise lost(NOT_CONNECTED)
        session.require_up()
        return session

    async def _greet(self, session: GatewaySession) -> None:
        """Leave nothing running that connecting began, and be again what was wanted before."""
        await session.send(session.line.stop_positions)
        if self._data_type is not MarketDataType.LIVE:
            await session.send(lambda: session.line.ask_data_type(NUMBERS[self._data_type]))
        if self._own_clock:
            await self._compare_clocks(session, self._own_clock)

    async def _compare_clocks(self, session: GatewaySession, clock: RunningClock) -> None:
        """Go by the gateway's clock where it is not this computer's: quotes and trading hours are told in its time."""
        rows: list[heard.TimeRow] = await session.ask(heard.TIME, session.line.ask_time, "time")
        now, told = clock.now(), rows[0].at
        # the gateway tells whole seconds
        if max(told - now, now - told - ONE_SECOND) > TIME_APART:
            clock.set(told)
            self._pace.begin_again()
            self._clock_gap += told - now
            session.line.times.clock_was_set(told - now)

    async def _await_link(self, session: GatewaySession) -> None:
        """Return when the gateway has IBKR behind it again, or is itself gone. Raises ConnectionLost."""
        seconds = self._options.connect_timeout_seconds
        deadline = self.now() + timedelta(seconds=seconds)
        while not session.is_up and not session.dispatcher.is_gone:
            # a dead line would never tell that IBKR is back
            patience = await session.look_for_life()
            left = (deadline - self.now()).total_seconds()
            if left <= 0 and not session.dispatcher.is_gone:
                raise lost(f"the gateway is not connected to IBKR (waited {seconds:g} s)")
            await session.await_news(max(min(left, patience), 0.0))


def _send(session: GatewaySession, order: Order) -> OwnOrder:
    order_id = session.line.next_id()
    sent = session.dispatcher.orders.expect(order_id, order.ref)
    session.line.place(order_id, order)
    return sent
