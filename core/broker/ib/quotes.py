"""Quotes from market-data lines: many lines at once, each only for as long as it takes to hear its symbol out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from core.broker.error_codes import NO_MARKET_DATA
from core.broker.errors import broke_while_reading, is_unknown, lost, unknown
from core.broker.ib.dispatcher import Farms
from core.broker.ib.messages import TIME, DataKind, Halt, MarketMessage, Stamp, TickValue
from core.broker.ib.requests import ConnectionGone, RequestRefused
from core.broker.ib.session import GatewaySession
from core.clock import Clock
from core.errors import BrokerError, ConnectionLost, MarketDataMissing, PacingExceeded
from core.model import Contract, MarketDataType, Quote, Symbol

LINES = 95  # of the 100 that an account has; its TWS may need some
SETTLE_SECONDS = 2.0
DELAYED_SECONDS = 8.0  # bid and ask of delayed data may come that much later, or never
LINGER_SECONDS = 0.05
LIFE_AFTER = timedelta(milliseconds=5)
FRESH = timedelta(seconds=1)
NO_CONTRACT = 200
QUOTES = "quotes"
SUBSCRIBE = (
    "subscribe to the data for the API, log other sessions out, or look at delayed data with [ibkr] "
    "market_data_type = delayed"
)

BID, ASK, LAST, CLOSE = "bid", "ask", "last", "close"
PRICES: Mapping[int, str] = {1: BID, 66: BID, 2: ASK, 67: ASK, 4: LAST, 68: LAST, 9: CLOSE, 75: CLOSE}
SIZES: Mapping[int, str] = {0: BID, 69: BID, 3: ASK, 70: ASK}
TYPES: Mapping[int, MarketDataType] = {
    1: MarketDataType.LIVE,
    2: MarketDataType.FROZEN,
    3: MarketDataType.DELAYED,
    4: MarketDataType.DELAYED_FROZEN,
}
DELAYED_TICKS = range(66, 77)
NUMBERS: Mapping[MarketDataType, int] = {kind: number for number, kind in TYPES.items()}


class QuoteSubscription:
    """What one line has told of its symbol so far; `done` ends with it, or with the error that came instead."""

    def __init__(self, symbol: Symbol, clock: Clock, farms: Farms, *, is_snapshot: bool) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._symbol = symbol
        self._clock = clock
        self._farms = farms
        self._is_snapshot = is_snapshot
        self._values: dict[str, Decimal | None] = {}
        self._first: dict[int, tuple[datetime, Decimal | None, Decimal | None]] = {}
        self._awaited: tuple[str, ...] = (BID, ASK, LAST, CLOSE)
        self._kind = MarketDataType.LIVE
        self._is_delayed = False
        self._is_halted = False
        self._stamp: datetime | None = None
        self._heard_at: datetime | None = None
        self._told_of: datetime | None = None
        self._alive_at: datetime | None = None
        self.is_opened = False

    def hear(self, word: MarketMessage) -> None:
        """Take a word of the line in."""
        self.is_opened = True
        match word:
            case DataKind():
                self._kind = TYPES.get(word.number, self._kind)
                return
            case Halt():
                self._is_halted = word.is_halted
            case Stamp():
                self._hear_stamp(word.at)
            case TickValue():
                self._hear_tick(word)
        self._heard_at = self._clock.now()
        # a broken farm still shows its last prices, as if they were of now
        self._told_of = self._farms.lost_since(self._symbol) or self._heard_at
        is_complete = all(name in self._values for name in self._awaited)
        if is_complete and self._alive_at and not self._is_snapshot:
            self.end()

    def lacks_delayed_sides(self) -> bool:
        """Whether bid and ask may still come, as of delayed data they do; nothing else of the line is then awaited."""
        self._awaited = (BID, ASK)
        is_delayed = self._data_type() in (MarketDataType.DELAYED, MarketDataType.DELAYED_FROZEN)
        return is_delayed and not all(name in self._values for name in self._awaited)

    def end(self) -> None:
        """Everything has been said."""
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """Nothing more will be said."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # its asker may have been told otherwise already

    def quote(self) -> Quote:
        """The quote as told; its time is the last sign of life, else that of the last trade, else its arrival.

        Instead of its arrival it is the loss of a market-data farm, where one was broken as it came.
        """
        heard_at = self._heard_at or self._clock.now()
        taken_at = self._alive_at or (min(self._stamp, heard_at) if self._stamp else self._told_of or heard_at)
        return Quote(
            symbol=self._symbol,
            bid=self._values.get(BID),
            ask=self._values.get(ASK),
            last=self._values.get(LAST),
            taken_at=taken_at,
            previous_close=self._values.get(CLOSE),
            data_type=self._data_type(),
            is_halted=self._is_halted,
            is_snapshot=self._is_snapshot,
        )

    def _data_type(self) -> MarketDataType:
        """As the line says; ticks that are delayed by their number are so without a word, too."""
        is_called_prompt = self._kind in (MarketDataType.LIVE, MarketDataType.FROZEN)
        return MarketDataType.DELAYED if self._is_delayed and is_called_prompt else self._kind

    def _hear_stamp(self, at: datetime) -> None:
        self._stamp = at
        if self._clock.now() - at <= FRESH:
            self._alive_at = self._clock.now()

    def _hear_tick(self, tick: TickValue) -> None:
        now = self._clock.now()
        first = self._first.setdefault(tick.kind, (now, tick.price, tick.size))
        # the first image comes at once, and may repeat a size within it
        if first[1:] != (tick.price, tick.size) or now - first[0] >= LIFE_AFTER:
            self._alive_at = now
        self._is_delayed |= tick.kind in DELAYED_TICKS
        if tick.kind in PRICES:
            self._values[PRICES[tick.kind]] = _price(tick)
        elif tick.kind in SIZES and tick.size == 0:
            self._values[SIZES[tick.kind]] = None


class QuoteReader:
    """Asks for quotes over one session; the lines in use never exceed what an account has."""

    def __init__(self, session: GatewaySession) -> None:
        self._session = session
        self._lines = asyncio.Semaphore(LINES)
        self._has_silent = False

    async def take(self, contracts: Sequence[Contract], *, is_snapshot: bool) -> dict[Symbol, Quote]:
        """A quote of each contract. Raises ConnectionLost, ContractNotFound, MarketDataMissing."""
        self._has_silent = False
        await self._close_lines()
        asked = (self._take(contract, is_snapshot=is_snapshot) for contract in contracts)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        failed = {
            contract.symbol: answer
            for contract, answer in zip(contracts, answers, strict=True)
            if isinstance(answer, BaseException)
        }
        if failed:
            if self._session.is_up:
                await self._close_lines()
            raise _failure(failed, self._session.dispatcher.why_gone)
        if self._has_silent:
            # a symbol may have nothing to say, a dead line as well: this tells them apart
            await self._session.ask(TIME, self._session.line.ask_time, QUOTES)
        return {answer.symbol: answer for answer in answers if isinstance(answer, Quote)}

    async def _take(self, contract: Contract, *, is_snapshot: bool) -> Quote:
        session, lines = self._session, self._session.open_lines
        async with self._lines:
            request = session.next_id()
            watch = QuoteSubscription(contract.symbol, session.clock, session.dispatcher.farms, is_snapshot=is_snapshot)
            session.dispatcher.listeners[request] = watch
            try:
                await session.send(lambda: session.line.ask_quote(request, contract, is_snapshot=is_snapshot))
                lines.add(request)
                await self._drain(watch, is_snapshot=is_snapshot)
                if is_snapshot:
                    lines.discard(request)
                else:
                    await self._close_line(request)
            except (RequestRefused, PacingExceeded):
                if watch.is_opened:
                    await self._close_line(request)
                else:
                    lines.discard(request)
                raise
            finally:
                del session.dispatcher.listeners[request]
        self._has_silent |= not watch.is_opened
        return watch.quote()

    async def _close_lines(self) -> None:
        """Close lines that a link that went, a snapshot without an end or the end of a task has left open."""
        for request in sorted(self._session.open_lines):
            await self._close_line(request)

    async def _close_line(self, request: int) -> None:
        await self._session.send(partial(self._session.line.stop_quote, request))
        self._session.open_lines.discard(request)

    async def _drain(self, watch: QuoteSubscription, *, is_snapshot: bool) -> None:
        clock = self._session.clock
        seconds = self._session.options.request_timeout_seconds if is_snapshot else SETTLE_SECONDS
        try:
            await clock.within(seconds, asyncio.shield(watch.done))
            await clock.sleep(0 if is_snapshot else LINGER_SECONDS)
        except TimeoutError:
            if is_snapshot:
                raise lost(f"a snapshot did not end within {seconds:g} s while reading the {QUOTES}") from None
            if watch.lacks_delayed_sides():
                with suppress(TimeoutError):
                    await clock.within(DELAYED_SECONDS, asyncio.shield(watch.done))


def _price(tick: TickValue) -> Decimal | None:
    """The price of a tick; a side without a size is no side, a last trade needs none."""
    if tick.price is None or tick.price <= 0:
        return None
    return None if tick.size == 0 and PRICES[tick.kind] in (BID, ASK) else tick.price


def _failure(failed: Mapping[Symbol, BaseException], why_gone: str) -> BaseException:
    """What to raise of all that failed: a lost line first, then pacing, then unknown contracts, then missing data."""
    errors = list(failed.values())
    if any(isinstance(error, ConnectionGone) for error in errors):
        return lost(broke_while_reading(QUOTES, why_gone))
    for error in sorted(errors, key=lambda error: not isinstance(error, ConnectionLost)):
        if not isinstance(error, RequestRefused):
            return error
    refused = {symbol: error for symbol, error in failed.items() if isinstance(error, RequestRefused)}
    missing = [is_unknown(symbol) for symbol, error in refused.items() if error.code == NO_CONTRACT]
    return unknown(missing) if missing else _no_data(refused)


def _no_data(refused: Mapping[Symbol, RequestRefused]) -> BrokerError:
    symbols: dict[str, list[Symbol]] = {}
    for symbol, error in refused.items():
        symbols.setdefault(str(error), []).append(symbol)
    told = [f"{', '.join(named)}: {words}" for words, named in symbols.items()]
    is_subscription = any(error.code in NO_MARKET_DATA for error in refused.values())
    step = SUBSCRIBE if is_subscription else "read the broker's reason"
    return MarketDataMissing(f"the broker gives no market data: {'; '.join(told)}", next_step=step, faults=told)
