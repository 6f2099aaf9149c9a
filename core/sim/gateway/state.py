"""What all connections of a gateway share: its options, the exchange, the script, and the clients' sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from core.clock import Clock, Timer
from core.model import AccountId, CommissionReport, Contract, Fill, MarketDataType, Symbol
from core.sim.gateway.account_view import AccountView, account_view_of
from core.sim.gateway.faults import NO_SUBJECT, Faults, Subject
from core.sim.gateway.log import Direction, LogEntry, MessageLog
from core.sim.gateway.order_messages import OrderIds, OrderMessages
from core.sim.venue.exchange import TRADING_CLIENT, Exchange
from core.sim.venue.orders import Report
from core.sim.venue.script import FaultScript, ScriptedFaults
from core.sim.venue.sessions import HoursOf, weekday_hours
from core.sim.venue.world import Change
from core.sim.wire.contracts import rule_id_of
from core.sim.wire.fields import Fields

NO_CLIENT = -1


@dataclass(slots=True)
class ByteCounts:
    """Bytes of one connection: read from the client, and written to it."""

    read: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one client may use of the gateway; all but `lines` protects the process, so seconds here are real time.

    A client that has not sent startApi within `handshake_seconds` is disconnected; so is one that leaves more than
    `queued_bytes` unread.
    """

    frame_bytes: int = 65_536
    queued_bytes: int = 4_194_304
    handshake_seconds: float = 15.0
    connections: int = 64
    lines: int = 100
    summaries: int = 2
    subscriptions: int = 200


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """`trading_client` sent the world's own earlier orders. An answer takes `latency_seconds` of the venue's clock.

    With `is_read_only` Read-Only API is ticked: lists of orders, order ids and orders are refused with 321.

    `on_kill_switch` is called where the script sets the kill switch, `hours_around` gives the venue's days and
    `on_log` gets every entry of the log.
    """

    trading_client: int = TRADING_CLIENT
    latency_seconds: float = 0.0
    is_read_only: bool = False
    on_kill_switch: Callable[[], None] = field(default=lambda: None)
    hours_around: Callable[[datetime], HoursOf] = weekday_hours
    on_log: Callable[[LogEntry], None] | None = None
    limits: ClientLimits = ClientLimits()


class MessageSink(Protocol):
    """The connection that a session sends through."""

    def send(self, fields: Fields, subject: Subject = NO_SUBJECT) -> None: ...

    def send_error(self, subject: Subject, code: int, text: str = "") -> None: ...

    def finish(self, why: str) -> None:
        """Close the connection after what was sent."""
        ...

    def close(self, why: str) -> None:
        """Close the connection at once."""
        ...


@dataclass(slots=True)
class MarketDataLine:
    """A market data line of a client (a subscription); `refresh` sends the quote as it is now."""

    symbol: Symbol
    refresh: Callable[[], None]
    timer: Timer | None = None

    def stop(self) -> None:
        """Cancel what is still due to be sent."""
        if self.timer:
            self.timer.cancel()


class ManagedAccount:
    """An account of the gateway: its exchange, and its orders in the messages of the wire."""

    def __init__(self, exchange: Exchange, order_ids: OrderIds) -> None:
        self.id = exchange.world.account.id
        self.exchange = exchange
        self.order_messages = OrderMessages(exchange, order_ids)

    def view(self) -> AccountView:
        """The account as it is now."""
        return account_view_of(self.exchange)


@dataclass(frozen=True, slots=True)
class Watcher:
    """`send` is called with each of these accounts whenever it may have changed."""

    accounts: tuple[ManagedAccount, ...]
    send: Callable[[AccountView], None]


@dataclass(slots=True)
class ClientSession:
    """A client after startApi, and what it has subscribed to.

    `quote_age` is added to the age of the quotes of the present batch.
    """

    client: int
    sink: MessageSink
    data_type: MarketDataType = MarketDataType.LIVE
    lines: dict[int, MarketDataLine] = field(default_factory=dict)
    watchers: dict[tuple[str, int], Watcher] = field(default_factory=dict)
    quote_age: timedelta = timedelta(0)

    def send(self, fields: Fields, subject: Subject = NO_SUBJECT) -> None:
        self.sink.send(fields, subject)

    def send_error(self, subject: Subject, code: int, text: str = "") -> None:
        self.sink.send_error(subject, code, text)


class GatewayState:
    """One gateway's state; all of it outlives connections but `sessions`.

    The accounts are in the order of `exchanges`. Of a symbol that several list, the first one's contract and quote are
    shown: market data belongs to no account.
    """

    def __init__(
        self, exchanges: Sequence[Exchange], script: FaultScript, clock: Clock, options: GatewayOptions
    ) -> None:
        self.order_ids = OrderIds()
        self.accounts = {
            account.id: account for account in (ManagedAccount(exchange, self.order_ids) for exchange in exchanges)
        }
        self.clock = clock
        self.options = options
        self.scripted_faults = ScriptedFaults(script, options.on_kill_switch)
        self.faults = Faults()
        self.log = MessageLog(options.on_log)
        self.sessions: dict[int, ClientSession] = {}
        self.errors: list[Exception] = []
        self.is_disconnected = False
        self.market = exchanges[0]
        self.contracts: dict[Symbol, Contract] = {}
        for exchange in reversed(exchanges):
            self.contracts |= exchange.contracts
        self.by_con_id = {contract.con_id: contract for contract in self.contracts.values()}
        self.rules = {rule_id_of(contract.ticks): contract.ticks for contract in self.contracts.values()}
        self._timer: Timer | None = None
        self._wakes_at: datetime | None = None
        # the world's earlier orders get ids as if their client had sent them in this order
        for order in (order for exchange in exchanges for order in exchange.orders.values()):
            if order.client_id:
                self.order_ids.enter(order.client_id, self.order_ids.next_id(order.client_id), order.perm_id)

    @property
    def all_accounts(self) -> tuple[ManagedAccount, ...]:
        """Every account that the gateway manages, in order."""
        return tuple(self.accounts.values())

    def account_named(self, account_id: str) -> ManagedAccount | None:
        """The account of this id; without an id the only one there is."""
        if account_id or len(self.accounts) > 1:
            return self.accounts.get(AccountId(account_id))
        return self.all_accounts[0]

    def account_of(self, perm_id: int) -> ManagedAccount:
        """The account that the order belongs to. Raises KeyError for an order that there is not."""
        for account in self.all_accounts:
            if perm_id in account.exchange.orders:
                return account
        raise KeyError(perm_id)

    def now(self) -> datetime:
        return self.clock.now()

    def catch_up(self) -> None:
        """Process everything that was due until now, and wake again when the next event is due."""
        for account in self.all_accounts:
            self._send(account, account.exchange.advance_to(self.clock.now()))
        self._arm()

    def dispatch(self, account: ManagedAccount, reports: Sequence[Report]) -> None:
        """Send what the account's exchange reports to the clients whose orders it is about."""
        self._send(account, reports)
        self._arm()

    def _send(self, account: ManagedAccount, reports: Sequence[Report]) -> None:
        for message in account.order_messages.send(reports):
            session = self.sessions.get(message.client)
            if session:
                session.send(message.fields, message.subject)
        if any(isinstance(report.event, Fill | CommissionReport) for report in reports):
            self.account_moved(account)

    def move(self, change: Change) -> None:
        """Apply the change: orders that the market reaches fill, and subscribers are sent what changed.

        Its quotes are every account's, its positions and cash those of the first.
        """
        self.catch_up()
        first, *others = self.all_accounts
        moved = [(first, first.exchange.move(change))]
        moved += [(account, account.exchange.move(Change(change.at, change.quotes))) for account in others]
        for session in list(self.sessions.values()):
            for line in list(session.lines.values()):
                if line.symbol in change.quotes:
                    line.refresh()
        for account, reports in moved:
            self.dispatch(account, reports)
            self.account_moved(account)

    def account_moved(self, account: ManagedAccount) -> None:
        """Send the account as it is now to its subscribers."""
        watchers = [watcher for session in self.sessions.values() for watcher in session.watchers.values()]
        watchers = [watcher for watcher in watchers if account in watcher.accounts]
        if watchers:
            account_view = account.view()
            for watcher in watchers:
                watcher.send(account_view)

    def note(self, what: str, *details: str, connection: int = NO_CLIENT, client: int = NO_CLIENT) -> None:
        """Add a note to the log."""
        self.log.add(LogEntry(self.clock.now(), connection, client, Direction.NOTE, what, details))

    def fail(self, error: Exception) -> None:
        """Keep an error of the gateway's own, for `check`."""
        self.errors.append(error)
        self.note("error", f"{type(error).__name__}: {error}")

    def stop_waking(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._wakes_at = None

    def _arm(self) -> None:
        # one timer for the earliest alarm: thousands of orders do not mean thousands of timers
        alarms = (account.exchange.next_event_at() for account in self.all_accounts)
        due = min((at for at in alarms if at is not None), default=None)
        if due == self._wakes_at:
            return
        self.stop_waking()
        if due is not None:
            self._timer, self._wakes_at = self.clock.call_at(due, self._wake), due

    def _wake(self) -> None:
        self._timer = self._wakes_at = None
        try:
            self.catch_up()
        except Exception as error:  # noqa: BLE001 - nothing can catch what a timer raises; check() raises it
            self.fail(error)
