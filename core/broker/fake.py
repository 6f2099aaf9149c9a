"""FakeIB: the simulated exchange behind the broker port, in memory and on the venue's own virtual clock.

A broker for rehearsals, not a mock: orders live at the exchange, events arrive in order, and what happens while the
connection is down is only seen in the lists. Waiting jumps the clock and takes no real time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from core.broker.error_codes import NO_CONTRACT, NOT_FOUND, TOO_FAST
from core.broker.errors import (
    BROKE_WHILE_SENDING,
    NOT_CONNECTED,
    NOT_FOUND_TO_CANCEL,
    REFUSED,
    broke_while_reading,
    lost,
    not_tradable,
    other_name,
    refused_quote,
    too_fast,
    unanswered,
    unknown,
    unknown_symbol,
    would_refuse,
)
from core.model import (
    IDEALPRO,
    USD_CAD,
    AccountId,
    AccountSnapshot,
    BrokerEvent,
    BrokerKind,
    CompletedOrder,
    Contract,
    Fill,
    MarginEffect,
    MarketDataType,
    Notice,
    Order,
    OrderRef,
    Quote,
    Symbol,
    WorkingOrder,
)
from core.pacing import GATEWAY_LIMIT, OUR_LIMIT, MessageWindow
from core.sim.venue.checks import refusal_of
from core.sim.venue.exchange import TRADING_CLIENT, Exchange
from core.sim.venue.orders import Refusal, Report
from core.sim.venue.script import STALE_BY, FaultScript, ScriptedFaults
from core.sim.venue.sessions import HoursOf, xnys_hours
from core.sim.venue.world import FaultKind, Point, World


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """One thing that was sent to the broker or received from it."""

    at: datetime
    is_sent: bool
    what: Order | BrokerEvent | str


@dataclass(frozen=True, slots=True)
class FakeOptions:
    """`messages_per_second` is our own rate limit; above the gateway's of 50 a read raises PacingExceeded.

    A what-if waits for its answer for `request_timeout_seconds`. `on_kill_switch` is called where the script sets
    the kill switch. `hours_around` gives the venue's trading hours.
    """

    client_id: int = TRADING_CLIENT
    messages_per_second: int = OUR_LIMIT
    request_timeout_seconds: float = 20.0
    on_kill_switch: Callable[[], None] = field(default=lambda: None)
    hours_around: Callable[[datetime], HoursOf] = xnys_hours


class FakeIB:
    """A broker for rehearsals; `log` is everything sent and received, in order.

    Several may share one exchange, one after the other, as runs of one account do. Its calls are described in
    `core.broker.port`; one coroutine at a time may use it, because waiting moves the clock.
    """

    kind = BrokerKind.FAKE
    port: int | None = None

    def __init__(self, exchange: Exchange, script: FaultScript, options: FakeOptions | None = None) -> None:
        self.exchange = exchange
        self.log: list[LoggedMessage] = []
        self._options = options or FakeOptions()
        self._faults = ScriptedFaults(script, self._options.on_kill_switch)
        self._is_connected = False
        self._ended_before: set[int] = set()  # a gateway sends a new connection nothing about these
        self._data_type = MarketDataType.LIVE
        self._queue: deque[BrokerEvent] = deque()
        self._own_window = MessageWindow(self._options.messages_per_second)
        self._gateway_window = MessageWindow(GATEWAY_LIMIT)

    @classmethod
    def of(cls, world: World, options: FakeOptions | None = None) -> FakeIB:
        """A broker of this world."""
        chosen = options or FakeOptions()
        exchange = Exchange(world, chosen.hours_around(world.as_of), trading_client=chosen.client_id)
        return cls(exchange, FaultScript(world), chosen)

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    @property
    def clock_gap(self) -> timedelta:
        return timedelta(0)

    def now(self) -> datetime:
        return self.exchange.now

    def reach(self, point: str) -> None:
        """Apply what the script has for this point; faults of a read or an order wait for the next one."""
        changes, breaks = self._faults.at_point(point)
        for change in changes:
            self._receive(self.exchange.move(change))
        if breaks:
            self._drop()

    async def sleep(self, seconds: float) -> None:
        self._pass(seconds)
        await asyncio.sleep(0)

    async def connect(self) -> None:
        if self._is_connected:
            return
        fault = self._faults.at_connect()
        if fault.breaks:
            raise lost(REFUSED)
        if fault.code:
            raise too_fast()
        self._is_connected = True
        self._ended_before = {one.perm_id for one in self.exchange.orders.values() if not one.is_open}
        self._log_sent("connect")

    async def disconnect(self) -> None:
        if self._is_connected:
            self._log_sent("disconnect")
            self._drop()

    async def accounts(self) -> tuple[AccountId, ...]:
        self._send("accounts")
        return (self.exchange.world.account.id,)

    async def snapshot(self) -> AccountSnapshot:
        self._send("snapshot")
        if self._fail_read(Point.SNAPSHOT):
            raise unknown([refusal_of(NO_CONTRACT).text])
        return self.exchange.snapshot()

    async def resolve(self, symbols: Sequence[Symbol], overrides: Mapping[Symbol, str]) -> Mapping[Symbol, Contract]:
        self._require_connection()
        for symbol in symbols:
            self._send(f"contract {symbol}")
        faults = [fault for symbol in dict.fromkeys(symbols) if (fault := self._why_not(symbol, overrides))]
        if faults:
            raise unknown(faults)
        return {symbol: _routed(self.exchange.contracts[symbol], overrides.get(symbol, "")) for symbol in symbols}

    async def quotes(self, contracts: Sequence[Contract], *, is_snapshot: bool = False) -> Mapping[Symbol, Quote]:
        self._require_connection()
        symbols = [contract.symbol for contract in contracts]
        for symbol in symbols:
            self._send(f"quote {symbol}")
        if not symbols:
            return {}
        unknown_ones = {symbol for symbol in symbols if symbol not in self.exchange.contracts}
        if self._fail_read(Point.QUOTES):
            unknown_ones.add(symbols[0])  # as at the gateway: the first of a batch
        age = STALE_BY if self._faults.take(FaultKind.STALE) else timedelta(0)
        return {
            symbol: refused_quote(symbol, NO_CONTRACT, refusal_of(NO_CONTRACT).text, self.now())
            if symbol in unknown_ones
            else self._quote(symbol, age, is_snapshot=is_snapshot)
            for symbol in symbols
        }

    async def market_data_type(self, wanted: MarketDataType) -> None:
        self._send(f"market data {wanted}")
        self._data_type = wanted

    async def place(self, order: Order) -> None:
        self._require_connection()
        within_limit = self._spend()
        self._log(order, is_sent=True)
        refusal, breaks = self._faults.at_order(order.contract.symbol)
        if not within_limit:
            # as at a gateway: a message above the limit is refused and not processed
            refusal = refusal_of(TOO_FAST)
        reports = self.exchange.submit(order, client_id=self._options.client_id, refusal=refusal)
        if breaks:
            self._drop()
            raise lost(BROKE_WHILE_SENDING)
        self._receive(reports)

    async def what_if(self, order: Order) -> MarginEffect:
        self._send(f"what if {order.side} {order.quantity:f} {order.contract.symbol}")
        answer = self.exchange.what_if(order)
        if answer is None:
            self._pass(self._options.request_timeout_seconds)
            raise unanswered(order, self._options.request_timeout_seconds)
        if isinstance(answer, Refusal):
            raise would_refuse(order, answer.code, answer.text, answer.reject_reason)
        return answer

    async def cancel(self, ref: OrderRef) -> None:
        self._send(f"cancel {ref}")
        client, known = self._options.client_id, self.exchange.orders.keys() - self._ended_before
        placed_orders = (placed for number, placed in self.exchange.orders.items() if number in known)
        own = [one for one in placed_orders if one.terms.order_ref == ref and one.client_id == client]
        if not own:
            self._deliver(Notice(NOT_FOUND_TO_CANCEL, self.now(), NOT_FOUND, ref))
        # of orders that have all ended the last one answers, as a gateway's message on its id does
        for placed in [one for one in own if one.is_working] or own[-1:]:
            self._receive(self.exchange.cancel(placed.perm_id))

    async def next_event(self, timeout_seconds: float) -> BrokerEvent | None:
        self._require_connection()
        await asyncio.sleep(0)
        deadline = self.now() + timedelta(seconds=timeout_seconds)
        while not self._queue:
            # jump to what is due next at the venue, but not beyond the deadline
            due = self.exchange.next_event_at()
            until = deadline if due is None else min(due, deadline)
            self._receive(self.exchange.advance_to(until))
            if until == deadline:
                break
        return self._queue.popleft() if self._queue else None

    async def open_orders(self) -> tuple[WorkingOrder, ...]:
        self._send("open orders")
        return self.exchange.working()

    async def completed_orders(self) -> tuple[CompletedOrder, ...]:
        self._send("completed orders")
        return self.exchange.completed()

    async def executions(self) -> tuple[Fill, ...]:
        self._send("executions")
        return self.exchange.executions()

    def _quote(self, symbol: Symbol, age: timedelta, *, is_snapshot: bool) -> Quote:
        quote = self.exchange.quote(symbol, is_snapshot=is_snapshot)
        kind = self._data_type if quote.data_type is MarketDataType.LIVE else quote.data_type
        return replace(quote, taken_at=quote.taken_at - age, data_type=kind)

    def _why_not(self, symbol: Symbol, overrides: Mapping[Symbol, str]) -> str:
        contract = self._found(symbol, overrides.get(symbol, ""))
        if contract is None:
            return unknown_symbol(symbol)
        return other_name(contract, symbol) or not_tradable(contract)

    def _found(self, symbol: Symbol, override: str) -> Contract | None:
        """The contract that the broker has under the symbol, or under the conId in its place."""
        contracts = self.exchange.contracts
        if override.isdigit():
            return next((one for one in contracts.values() if one.con_id == int(override)), None)
        contract = contracts.get(symbol)
        is_elsewhere = symbol == USD_CAD and override not in ("", IDEALPRO)
        return None if is_elsewhere else contract

    def _send(self, what: str) -> None:
        """Send a message at our own rate. Raises ConnectionLost when not connected, PacingExceeded above the limit."""
        self._require_connection()
        is_within_limit = self._spend()
        self._log_sent(what)
        if not is_within_limit:
            raise too_fast()

    def _spend(self) -> bool:
        at = self._own_window.free_at(self.now())
        self._receive(self.exchange.advance_to(at))
        self._own_window.spend(at)
        return self._gateway_window.spend(at)

    def _fail_read(self, point: Point) -> bool:
        """Raise what the script has for this read; whether it has instead that a contract is not found."""
        fault = self._faults.at_read(point)
        if fault.breaks:
            self._drop()
            raise lost(broke_while_reading(point))
        if fault.code == TOO_FAST:
            raise too_fast()
        return fault.code == NO_CONTRACT

    def _require_connection(self) -> None:
        if not self._is_connected:
            raise lost(NOT_CONNECTED)

    def _drop(self) -> None:
        self._is_connected = False
        self._queue.clear()

    def _pass(self, seconds: float) -> None:
        self._receive(self.exchange.advance_to(self.now() + timedelta(seconds=seconds)))

    def _receive(self, reports: Iterable[Report]) -> None:
        for report in reports:
            if report.client_id == self._options.client_id:
                self._deliver(report.event)

    def _deliver(self, event: BrokerEvent) -> None:
        if self._is_connected:
            self._log(event, is_sent=False)
            self._queue.append(event)

    def _log_sent(self, what: str) -> None:
        self._log(what, is_sent=True)

    def _log(self, what: Order | BrokerEvent | str, *, is_sent: bool) -> None:
        self.log.append(LoggedMessage(self.now(), is_sent, what))


def _routed(contract: Contract, override: str) -> Contract:
    return contract if not override or override.isdigit() else replace(contract, exchange=override)
