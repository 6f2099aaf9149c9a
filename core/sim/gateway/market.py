"""Quotes: subscriptions that stream until they are cancelled, and snapshots that end by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from core.model import Contract, MarketDataType, Quote
from core.money import ZERO
from core.sim.gateway.contracts import find, subject_of_contract
from core.sim.gateway.faults import Subject
from core.sim.gateway.state import ClientSession, GatewayState, MarketDataLine
from core.sim.venue.script import STALE_BY
from core.sim.venue.world import FaultKind, Point, SimQuote
from core.sim.wire import market as wire_market
from core.sim.wire.contracts import ROUND_LOT
from core.sim.wire.fields import Fields
from core.sim.wire.market import TickType, tick_id
from core.sim.wire.requests import CancelHistory, CancelMarketData, RequestHistory, RequestMarketData, SetMarketDataType

MOMENT = timedelta(milliseconds=10)
RUN_OVER = Decimal(-1_553_556_175)  # a volume that overflowed 32 bits, as seen in delayed data: clients must survive it
SHOWN_DELAYED = 10167
TYPES = {number: data_type for data_type, number in wire_market.DATA_TYPES.items()}


def set_data_type(_state: GatewayState, session: ClientSession, request: SetMarketDataType) -> None:
    """Give later requests of this client that kind of data."""
    wanted = TYPES.get(request.data_type)
    if wanted is None:
        session.send_error(Subject(), 321, f"there is no market data of type {request.data_type}")
    else:
        session.data_type = wanted


def request_market_data(state: GatewayState, session: ClientSession, request: RequestMarketData) -> None:
    """The quote as it is, then whenever it moves; of a snapshot only the first."""
    contract = find(state, request.contract)
    subject = subject_of_contract(state, request.req_id, request.contract)
    if not session.lines and not _begin_batch(state, session, subject):
        return
    code = _why_not(state, session, request, contract)
    if code or contract is None:
        session.send_error(subject, code or 200)
        return
    kind = state.market.quote(contract.symbol).data_type
    # a client may request less than live data, and never gets better data than the world has
    kind = session.data_type if kind is MarketDataType.LIVE else kind
    line = _Subscription(state, session, request, contract, kind)
    session.lines[request.req_id] = MarketDataLine(contract.symbol, line.send_prices)
    line.begin()


def cancel_market_data(_state: GatewayState, session: ClientSession, request: CancelMarketData) -> None:
    """Stop this subscription."""
    line = session.lines.pop(request.req_id, None)
    if line is None:
        session.send_error(Subject(request.req_id), 300)
    else:
        line.stop()


def request_history(state: GatewayState, session: ClientSession, request: RequestHistory) -> None:
    """Refuse: there is no past in a simulated world."""
    session.send_error(subject_of_contract(state, request.req_id, request.contract), 162)


def cancel_history(_state: GatewayState, session: ClientSession, request: CancelHistory) -> None:
    session.send_error(Subject(request.req_id), 366)


def _begin_batch(state: GatewayState, session: ClientSession, subject: Subject) -> bool:
    """Apply what is scripted for a client's first line; False when that has answered the request."""
    fault = state.scripted_faults.at_read(Point.QUOTES)
    if fault.breaks:
        session.sink.close("as scripted: quotes")
    elif fault.code:
        session.send_error(subject, fault.code)
    else:
        session.quote_age = STALE_BY if state.scripted_faults.take(FaultKind.STALE) else timedelta(0)
        return True
    return False


def _why_not(state: GatewayState, session: ClientSession, request: RequestMarketData, contract: Contract | None) -> int:
    if contract is None:
        return 200
    if request.req_id in session.lines:
        return 102
    return 101 if len(session.lines) >= state.options.limits.lines else 0


class _Subscription:
    """One market-data line, and the ticks it sends of its quote."""

    def __init__(
        self,
        state: GatewayState,
        session: ClientSession,
        request: RequestMarketData,
        contract: Contract,
        kind: MarketDataType,
    ) -> None:
        self._state = state
        self._session = session
        self._id = request.req_id
        self._is_snapshot = request.is_snapshot
        self._contract = contract
        self._kind = kind
        self._age = session.quote_age
        self._subject = Subject(request.req_id, contract.symbol)

    def begin(self) -> None:
        """Send the kind of data, the price step and the first prices; then a size or the snapshot's end."""
        kind = wire_market.market_data_type(self._id, self._kind)
        step = wire_market.tick_req_params(self._id, self._contract.ticks[0].increment)
        is_late = self._is_delayed and not self._is_snapshot
        for fields in (step, kind) if is_late else (kind, step):
            self._send(fields)
        if is_late:
            self._session.send_error(self._subject, SHOWN_DELAYED)
        self.send_prices()
        self._session.lines[self._id].timer = self._state.clock.call_at(self._state.now() + MOMENT, self._later)

    def send_prices(self) -> None:
        """All of the quote as it is now."""
        for fields in self._prices(self._quote()):
            self._send(fields)

    def _later(self) -> None:
        if self._is_snapshot:
            self._session.lines.pop(self._id, None)
            self._send(wire_market.tick_snapshot_end(self._id))
        elif not self._age and not self._listed().age_seconds:
            size = ZERO if self._quote().bid is None else ROUND_LOT
            self._send(wire_market.tick_size(self._id, self._tick(TickType.BID_SIZE), size))

    def _quote(self) -> Quote:
        return self._state.market.quote(self._contract.symbol, is_snapshot=self._is_snapshot)

    def _listed(self) -> SimQuote:
        return self._state.market.quotes.get(self._contract.symbol, SimQuote())

    @property
    def _is_delayed(self) -> bool:
        return self._kind in (MarketDataType.DELAYED, MarketDataType.DELAYED_FROZEN)

    def _prices(self, quote: Quote) -> Iterator[Fields]:
        """The day's figures first and the market last; of delayed data the last trade comes before all."""
        stamp = wire_market.tick_timestamp(self._id, self._tick(TickType.LAST_TIMESTAMP), quote.taken_at - self._age)
        if self._is_delayed:
            yield self._price(TickType.LAST, quote.last)
        yield stamp
        yield wire_market.tick_generic(self._id, TickType.HALTED, Decimal(int(quote.is_halted)))
        yield from self._day(quote)
        yield self._price(TickType.BID, quote.bid)
        yield self._price(TickType.ASK, quote.ask)
        if not self._is_delayed:
            yield self._price(TickType.LAST, quote.last)

    def _day(self, quote: Quote) -> Iterator[Fields]:
        """High and low as far as this world has them, a volume that has overflowed, and the previous close."""
        seen = [price for price in (quote.bid, quote.ask, quote.last) if price is not None]
        if seen:
            yield self._price(TickType.HIGH, max(seen), ZERO)
            yield self._price(TickType.LOW, min(seen), ZERO)
        if self._is_delayed:
            yield wire_market.tick_size(self._id, self._tick(TickType.VOLUME), RUN_OVER)
        if quote.previous_close is not None:
            yield self._price(TickType.CLOSE, quote.previous_close, ZERO)

    def _price(self, tick: TickType, price: Decimal | None, size: Decimal = ROUND_LOT) -> Fields:
        return wire_market.tick_price(self._id, self._tick(tick), price, size)

    def _tick(self, tick: TickType) -> int:
        return tick_id(tick, self._kind)

    def _send(self, fields: Fields) -> None:
        self._session.send(fields, self._subject)
