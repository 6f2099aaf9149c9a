"""Quotes from streaming market data: many subscriptions at once, each only until its symbol's values have arrived.

A new subscription first gets an image of the last values, whatever their age. So a quote is dated by the latest sign
that the market moves (a value that changes, a trade just now), and only without one by its last trade or arrival.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from core.broker.errors import broke_while_reading, lost, refused_quote
from core.broker.ib.dispatcher import Farms
from core.broker.ib.messages import TIME, HaltTick, LastTradeTick, MarketDataTypeRow, MarketMessage, TickValue
from core.broker.ib.requests import RequestInterrupted, RequestRefused
from core.broker.ib.session import GatewaySession
from core.clock import Clock
from core.errors import ConnectionLost, PacingExceeded
from core.model import Contract, MarketDataType, Quote, Symbol

LINES = 95  # of the 100 market data lines of an account (error 101 above them), which its TWS shares
SETTLE_SECONDS = 2.0  # how long values of a stream are awaited
DELAYED_SECONDS = 8.0  # bid and ask of delayed data (ticks 66, 67) may come that much later, or never
FINAL_TICKS_SECONDS = 0.05  # once complete: sizes and corrections of the same image follow at once
UPDATE_AFTER = timedelta(milliseconds=5)  # the first image arrives within less
RECENT_TRADE = timedelta(seconds=1)
QUOTES = "quotes"

BID, ASK, LAST, CLOSE = "bid", "ask", "last", "close"
PRICES: Mapping[int, str] = {1: BID, 66: BID, 2: ASK, 67: ASK, 4: LAST, 68: LAST, 9: CLOSE, 75: CLOSE}
SIZES: Mapping[int, str] = {0: BID, 69: BID, 3: ASK, 70: ASK}
TYPE_OF_NUMBER: Mapping[int, MarketDataType] = {
    1: MarketDataType.LIVE,
    2: MarketDataType.FROZEN,
    3: MarketDataType.DELAYED,
    4: MarketDataType.DELAYED_FROZEN,
}
DELAYED_TICKS = range(66, 77)
NUMBER_OF_TYPE: Mapping[MarketDataType, int] = {kind: number for number, kind in TYPE_OF_NUMBER.items()}


class QuoteSubscription:
    """The values of one symbol so far; `done` when they are complete, or failed with the error that came instead."""

    def __init__(self, symbol: Symbol, clock: Clock, farms: Farms, *, is_snapshot: bool) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._symbol = symbol
        self._clock = clock
        self._farms = farms
        self._is_snapshot = is_snapshot
        self._values: dict[str, Decimal | None] = {}
        self._first_image: dict[int, tuple[datetime, Decimal | None, Decimal | None]] = {}
        self._awaited: tuple[str, ...] = (BID, ASK, LAST, CLOSE)
        self._reported_type = MarketDataType.LIVE
        self._has_delayed_ticks = False
        self._is_halted = False
        self._last_trade_at: datetime | None = None
        self._received_at: datetime | None = None
        self._as_of: datetime | None = None
        self._updated_at: datetime | None = None
        self.has_answered = False

    def handle(self, message: MarketMessage) -> None:
        """Take a tick, or the kind of market data of the ticks that follow."""
        self.has_answered = True
        match message:
            case MarketDataTypeRow():
                self._reported_type = TYPE_OF_NUMBER.get(message.number, self._reported_type)
                return
            case HaltTick():
                self._is_halted = message.is_halted
            case LastTradeTick():
                self._on_last_trade(message.at)
            case TickValue():
                self._on_tick(message)
        self._received_at = self._clock.now()
        # a broken farm (2103) goes on answering with its last prices
        self._as_of = self._farms.lost_since(self._symbol) or self._received_at
        is_complete = all(name in self._values for name in self._awaited)
        if is_complete and self._updated_at and not self._is_snapshot:
            self.complete()

    def lacks_delayed_sides(self) -> bool:
        """Whether bid and ask may still come late, as they do in delayed data; from now on only they are awaited."""
        self._awaited = (BID, ASK)
        is_delayed = self._data_type() in (MarketDataType.DELAYED, MarketDataType.DELAYED_FROZEN)
        return is_delayed and not all(name in self._values for name in self._awaited)

    def complete(self) -> None:
        """All that is awaited has arrived."""
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """No more ticks will arrive."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # the caller may have timed out, and asyncio reports an error that nobody retrieves

    def quote(self) -> Quote:
        """The quote so far; `taken_at` is its last update, else its last trade, else its arrival.

        In place of the arrival it is the loss of a market-data farm, where one was broken at that time.
        """
        received_at = self._received_at or self._clock.now()
        traded_at = min(self._last_trade_at, received_at) if self._last_trade_at else None
        return Quote(
            symbol=self._symbol,
            bid=self._values.get(BID),
            ask=self._values.get(ASK),
            last=self._values.get(LAST),
            taken_at=self._updated_at or traded_at or self._as_of or received_at,
            previous_close=self._values.get(CLOSE),
            data_type=self._data_type(),
            is_halted=self._is_halted,
            is_snapshot=self._is_snapshot,
        )

    def _data_type(self) -> MarketDataType:
        """As reported; ticks of a delayed type (66 to 76) are delayed even where the gateway reports live data."""
        is_reported_prompt = self._reported_type in (MarketDataType.LIVE, MarketDataType.FROZEN)
        return MarketDataType.DELAYED if self._has_delayed_ticks and is_reported_prompt else self._reported_type

    def _on_last_trade(self, at: datetime) -> None:
        self._last_trade_at = at
        if self._clock.now() - at <= RECENT_TRADE:
            self._updated_at = self._clock.now()

    def _on_tick(self, tick: TickValue) -> None:
        now = self._clock.now()
        first = self._first_image.setdefault(tick.kind, (now, tick.price, tick.size))
        # the first image arrives at once, and may repeat a size within it: that is no update
        if first[1:] != (tick.price, tick.size) or now - first[0] >= UPDATE_AFTER:
            self._updated_at = now
        self._has_delayed_ticks |= tick.kind in DELAYED_TICKS
        if tick.kind in PRICES:
            self._values[PRICES[tick.kind]] = _price(tick)
        elif tick.kind in SIZES and tick.size == 0:
            self._values[SIZES[tick.kind]] = None


class QuoteReader:
    """Reads quotes over one session; subscriptions never exceed the market data lines of an account."""

    def __init__(self, session: GatewaySession) -> None:
        self._session = session
        self._lines = asyncio.Semaphore(LINES)
        self._has_unanswered = False

    async def read(self, contracts: Sequence[Contract], *, is_snapshot: bool) -> dict[Symbol, Quote]:
        """A quote of each contract, empty for one whose data is refused. Raises ConnectionLost and PacingExceeded."""
        self._has_unanswered = False
        await self._cancel_all()
        reads = (self._read_one(contract, is_snapshot=is_snapshot) for contract in contracts)
        answers = await asyncio.gather(*reads, return_exceptions=True)
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        if failed:
            if self._session.is_up:
                await self._cancel_all()
            raise _error_of(failed, self._session.dispatcher.close_reason)
        if self._has_unanswered:
            # either there is no data for a symbol, or the connection is dead: an answer rules out the latter
            await self._session.request(TIME, self._session.client.request_current_time, QUOTES)
        return {answer.symbol: answer for answer in answers if isinstance(answer, Quote)}

    async def _read_one(self, contract: Contract, *, is_snapshot: bool) -> Quote:
        session, open_ids = self._session, self._session.open_subscriptions
        async with self._lines:
            request_id = session.next_id()
            subscription = QuoteSubscription(
                contract.symbol, session.clock, session.dispatcher.farms, is_snapshot=is_snapshot
            )
            session.dispatcher.listeners[request_id] = subscription
            try:
                await session.send(
                    lambda: session.client.request_market_data(request_id, contract, is_snapshot=is_snapshot)
                )
                open_ids.add(request_id)
                await self._collect(subscription, is_snapshot=is_snapshot)
                if is_snapshot:
                    open_ids.discard(request_id)
                else:
                    await self._cancel(request_id)
            except (RequestRefused, PacingExceeded) as error:
                if subscription.has_answered:
                    await self._cancel(request_id)
                else:
                    open_ids.discard(request_id)
                if isinstance(error, PacingExceeded):
                    raise
                # whether the symbol's data is needed at all is for planning to decide
                return refused_quote(contract.symbol, error.code, error.text, session.clock.now())
            finally:
                del session.dispatcher.listeners[request_id]
        self._has_unanswered |= not subscription.has_answered
        return subscription.quote()

    async def _cancel_all(self) -> None:
        """Cancel what a lost connection, a snapshot without an end or a cancelled task has left subscribed."""
        for request_id in sorted(self._session.open_subscriptions):
            await self._cancel(request_id)

    async def _cancel(self, request_id: int) -> None:
        await self._session.send(partial(self._session.client.cancel_market_data, request_id))
        self._session.open_subscriptions.discard(request_id)

    async def _collect(self, subscription: QuoteSubscription, *, is_snapshot: bool) -> None:
        clock = self._session.clock
        seconds = self._session.options.request_timeout_seconds if is_snapshot else SETTLE_SECONDS
        try:
            await clock.within(seconds, asyncio.shield(subscription.done))
            await clock.sleep(0 if is_snapshot else FINAL_TICKS_SECONDS)
        except TimeoutError:
            if is_snapshot:
                raise lost(f"a snapshot did not end within {seconds:g} s while reading the {QUOTES}") from None
            if subscription.lacks_delayed_sides():
                with suppress(TimeoutError):
                    await clock.within(DELAYED_SECONDS, asyncio.shield(subscription.done))


def _price(tick: TickValue) -> Decimal | None:
    """The price of a tick; bid and ask with size 0 are absent, a last trade needs no size."""
    if tick.price is None or tick.price <= 0:
        return None
    return None if tick.size == 0 and PRICES[tick.kind] in (BID, ASK) else tick.price


def _error_of(errors: Sequence[BaseException], close_reason: str) -> BaseException:
    """The error to raise: a lost connection before any other."""
    if any(isinstance(error, RequestInterrupted) for error in errors):
        return lost(broke_while_reading(QUOTES, close_reason))
    return min(errors, key=lambda error: not isinstance(error, ConnectionLost))
