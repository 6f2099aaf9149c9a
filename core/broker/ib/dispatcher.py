"""Routes every message of a connection: to the request, order or quote it belongs to, or out as an event.

A message names the request or order it belongs to, or none. What belongs to none is the account's, all orders' or the
connection's. Events wait in order of arrival for `next_event` of the broker port.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from core.broker.error_codes import (
    CLIENT_ID_IN_USE,
    CONNECTIVITY_LOST,
    CONNECTIVITY_RESTORED,
    FARMS_BROKEN,
    FARMS_CONNECTED,
    MARKET_DATA_FARM_BROKEN,
    NOT_VALID,
    PORT_MOVED,
    TOO_FAST,
    TOO_MANY_LINES,
    ErrorKind,
    meaning_of,
)
from core.broker.errors import NOT_CONNECTED, api_is_read_only, is_read_only, lost, too_fast
from core.broker.ib import messages
from core.broker.ib.fills import Fills
from core.broker.ib.orders import OwnOrders
from core.broker.ib.requests import PendingRequests, RequestInterrupted, RequestRefused
from core.clock import Clock
from core.errors import RebalanceError
from core.model import USD_CAD, AccountId, BrokerEvent, ConnectionChange, Notice, Symbol

# lists that a gateway in Read-Only mode refuses (321)
READ_ONLY_REFUSES = (messages.OPEN_ORDERS, messages.COMPLETED_ORDERS)
# messages by their numbers in the TWS protocol; a lost tick only leaves a quote without a value
MARKET_DATA = frozenset({"1", "2", "45", "46", "57", "58", "81"})
ORDERS = ("3", "5", "11", "53", "55", "59", "101", "102")
ACCOUNT = ("6", "7", "54", "61", "62")
CONTRACTS = ("10", "52", "93")
SESSION = ("4", "9", "15", "49")  # errors, the next order id, the managed accounts, the time
ESSENTIAL = frozenset({*ORDERS, *ACCOUNT, *CONTRACTS, *SESSION})

# `…is OK:usfarm.nj`, `…should be available upon demand.ushmds`
_NAMED = re.compile(r"(?:.*:|.*\bupon demand\.)\s*(\S+)\s*")
# 1101 and 1102 list all of them: `The following farms are not connected: cashhmds.`
_LISTED = re.compile(r"farms are (not )?connected: (.+?)\.(?= |$)")
# a farm whose name starts like none of these may serve any symbol: its loss counts for all of them
SHARES, CURRENCIES = "usfarm", "cashfarm"
ELSEWHERE = ("usopt", "usbond", "usfut", "usfund", "secdef", "eufarm", "cafarm", "hfarm", "jfarm", "afarm", "sgfarm")
HISTORICAL = "hmds"


class Farms:
    """The data farms that the gateway reports: whether each `is_up`, and since when market-data farms are broken.

    A broken farm still answers a new subscription with its last prices: only the report of its loss shows that they
    are old.
    """

    def __init__(self) -> None:
        self.is_up: dict[str, bool] = {}
        self._broken: dict[str, datetime] = {}

    def handle(self, code: int, text: str, at: datetime) -> None:
        """Note the report on one farm, or on all of them when the gateway is connected to IBKR again."""
        if code in CONNECTIVITY_RESTORED:
            for name, is_up in _listed(text):
                self._note(name, at, is_up=is_up, is_market_data=True)
        elif code in FARMS_CONNECTED | FARMS_BROKEN:
            found = _NAMED.fullmatch(text)
            name = found[1] if found else text
            self._note(name, at, is_up=code in FARMS_CONNECTED, is_market_data=code == MARKET_DATA_FARM_BROKEN)

    def lost_since(self, symbol: Symbol) -> datetime | None:
        """Since when a farm that may serve the symbol is broken; of several the earliest."""
        return min((at for name, at in self._broken.items() if _may_serve(name, symbol)), default=None)

    def _note(self, name: str, at: datetime, *, is_up: bool, is_market_data: bool) -> None:
        self.is_up[name] = is_up
        if is_up:
            self._broken.pop(name, None)
        elif is_market_data:
            self._broken.setdefault(name, at)


class RequestListener(Protocol):
    """Receives the ticks of one request."""

    def handle(self, message: messages.MarketMessage) -> None: ...

    def complete(self) -> None: ...

    def fail(self, error: Exception) -> None: ...


class Dispatcher:
    """Routes the messages of one connection of `client_id` on behalf of one account.

    `connect_error` is why connecting failed, if it did. `activity` is set by whatever a waiting caller must look at;
    `interrupted` is done once the connection has failed or closed.
    """

    def __init__(self, clock: Clock, client_id: int, account_id: AccountId, *, is_trading: bool = True) -> None:
        self.requests = PendingRequests()
        self.listeners: dict[int, RequestListener] = {}
        self.orders = OwnOrders(clock, client_id, account_id, self.emit)
        self.fills = Fills(self.emit)
        self.farms = Farms()
        self.accounts: tuple[AccountId, ...] = ()
        self.version = 0
        self.events: deque[BrokerEvent] = deque()
        self.is_closed = False
        self.is_ibkr_connected = True
        self.close_reason = ""
        self._connectivity_text = ""
        self._skipped: set[str] = set()
        self.connect_error: RebalanceError | None = None
        self.received_at = clock.now()
        self.message_count = 0
        self.activity = asyncio.Event()
        self.interrupted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_closed: Callable[[], None] = lambda: None
        self._clock = clock
        self._client_id = client_id
        self._account_id = account_id
        self._is_trading = is_trading
        self._dispatch = self._table()

    @property
    def is_up(self) -> bool:
        """Whether we are connected to the gateway, and the gateway to IBKR."""
        return self.is_ibkr_connected and not self.is_closed

    @property
    def down_reason(self) -> str:
        """Why nothing can be sent while it is not up."""
        return NOT_CONNECTED if self.is_closed else self._connectivity_text

    def emit(self, event: BrokerEvent) -> None:
        """Queue the event for `next_event`."""
        if not self.is_closed:
            self.events.append(event)
            self.activity.set()

    def close(self, reason: str) -> None:
        """End the connection: requests fail, and events that nobody has taken are dropped.

        Dropped, because the state of every order is requested anew over the next connection.
        """
        if self.is_closed:
            return
        self.is_closed, self.close_reason = True, reason
        self.events.clear()
        self.orders.stop()
        self._fail_all(RequestInterrupted())
        self._notify()
        self.on_closed()

    def handle(self, message: messages.Message) -> None:
        """Route one message."""
        self.received_at = self._clock.now()
        self.message_count += 1
        self._dispatch[type(message)](message)

    def _table(self) -> Mapping[type, Callable[[Any], None]]:
        requests = self.requests
        return {
            messages.ServerVersion: self._on_server_version,
            messages.ManagedAccounts: self._on_managed_accounts,
            messages.AccountValueRow: lambda row: requests.add(messages.ACCOUNT, row),
            messages.PortfolioRow: lambda row: requests.add(messages.ACCOUNT, row),
            messages.PositionRow: lambda row: requests.add(messages.POSITIONS, row),
            messages.OpenOrderRow: self._on_open_order,
            messages.OrderStatusRow: self._on_order_status,
            messages.CompletedOrderRow: lambda row: requests.add(messages.COMPLETED_ORDERS, row),
            messages.ExecutionRow: self._on_execution,
            messages.CommissionRow: self.fills.on_commission,
            messages.ErrorMessage: self._on_error,
            messages.ContractDetailsRow: lambda row: requests.add(row.request_id, row),
            messages.MarketRuleRow: lambda row: self._answer(messages.rule_key(row.rule_id), row),
            messages.TickValue: self._on_tick,
            messages.HaltTick: self._on_tick,
            messages.LastTradeTick: self._on_tick,
            messages.MarketDataTypeRow: self._on_tick,
            messages.CurrentTimeRow: lambda row: self._answer(messages.TIME, row),
            messages.EndOfAnswer: self._on_end,
            messages.EndOfAccount: self._on_account_end,
            messages.UnknownMessage: lambda message: self._skip(message.number, "which this client does not know"),
            messages.UnreadableMessage: self._on_unreadable,
        }

    def _answer(self, key: messages.Key, row: messages.Message) -> None:
        self.requests.add(key, row)
        self.requests.complete(key)

    def _on_server_version(self, message: messages.ServerVersion) -> None:
        self.version = message.number
        if message.number > messages.NEWEST_VERSION:
            self._fail_connect(
                lost(
                    f"the gateway uses version {message.number} of its protocol, "
                    f"this client knows up to {messages.NEWEST_VERSION}"
                )
            )

    def _on_managed_accounts(self, message: messages.ManagedAccounts) -> None:
        self.accounts = message.ids
        if not message.ids:
            self._fail_connect(lost("the gateway manages no account"))

    def _on_open_order(self, row: messages.OpenOrderRow) -> None:
        if row.effect is None:
            self.requests.add(messages.OPEN_ORDERS, row)
            self.orders.on_open_order(row)
        elif row.effect.is_complete:
            # a gateway may first send the what-if order without its effect, all values unset
            self._answer(row.order_id, row)

    def _on_order_status(self, row: messages.OrderStatusRow) -> None:
        self.requests.add(messages.OPEN_ORDERS, row)
        self.orders.on_order_status(row)

    def _on_execution(self, row: messages.ExecutionRow) -> None:
        # the late rows of an abandoned list are no new fills
        if row.account != self._account_id or self.requests.is_abandoned(row.request_id):
            return
        if self.requests.is_under_way(row.request_id):
            self.requests.add(row.request_id, row)
        else:
            self.orders.on_execution(row.order_id, row.order_ref)
            self.fills.on_execution(row)

    def _on_tick(self, message: messages.MarketMessage) -> None:
        listener = self.listeners.get(message.request_id)
        if listener:
            listener.handle(message)

    def _on_end(self, message: messages.EndOfAnswer) -> None:
        if message.key == messages.OPEN_ORDERS:
            self.orders.note_listed()
        listener = self.listeners.get(message.key) if isinstance(message.key, int) else None
        if listener:
            listener.complete()
        self.requests.complete(message.key)

    def _on_account_end(self, message: messages.EndOfAccount) -> None:
        # a download that another account of the gateway was subscribed to ends as well
        if message.account == self._account_id:
            self.requests.complete(messages.ACCOUNT)

    def _on_unreadable(self, message: messages.UnreadableMessage) -> None:
        """Close the connection where the message may be about an order: the next one requests everything anew."""
        if message.number in ESSENTIAL:
            self.close(f"a message from the gateway ({message.number}) could not be read: {message.reason}")
        elif message.number not in MARKET_DATA:
            self._skip(message.number, f"which could not be read: {message.reason}")

    def _skip(self, number: str, why: str) -> None:
        """Report, once for each kind of message, that it was ignored."""
        if number not in self._skipped:
            self._skipped.add(number)
            self.emit(Notice(f"skipped a message from the gateway ({number[:20]}), {why}", self._clock.now()))

    def _on_error(self, message: messages.ErrorMessage) -> None:
        self.farms.handle(message.code, message.text, self._clock.now())
        if message.code == PORT_MOVED:
            # 1300: from now on the gateway listens on another port
            self.close(message.text)
        elif message.code in CONNECTIVITY_LOST:
            self._on_connectivity_lost(message)
        elif message.code in CONNECTIVITY_RESTORED:
            self._on_connectivity_restored(message)
        elif message.code == CLIENT_ID_IN_USE:
            in_use = f"the gateway already has a client {self._client_id}: another run may be alive"
            self._fail_connect(lost(in_use, next_step="wait for its end, or choose another [ibkr] client_id"))
        elif not self.orders.on_error(message):
            if message.code == NOT_VALID and is_read_only(message.text):
                self._on_read_only(message)
            else:
                self._on_request_error(message)

    def _on_read_only(self, message: messages.ErrorMessage) -> None:
        """Handle the refusal of a gateway in Read-Only mode, which lists no orders, takes none, and seldom names an id.

        So it fails the lists of orders under way, else it is about an order that was sent, or about connecting.
        """
        error = RequestRefused(message.code, message.text)
        refused = [key for key in (message.id, *READ_ONLY_REFUSES) if self.requests.is_under_way(key)]
        for key in refused:
            self.requests.fail(key, error)
        if refused:
            return
        if self._is_trading:
            self._fail_connect(api_is_read_only("orders"))
            self.orders.refuse_sent(message)
        self.emit(Notice(message.text, self._clock.now(), message.code))

    def _on_request_error(self, message: messages.ErrorMessage) -> None:
        """Handle an error that is about no order: it fails the request it belongs to, else it becomes a notice."""
        kind = meaning_of(message.code).kind
        if kind is ErrorKind.INFORMATION:
            return
        is_expected = self.requests.is_under_way(message.id) or message.id in self.listeners
        error: Exception = (
            too_fast() if message.code in (TOO_FAST, TOO_MANY_LINES) else RequestRefused(message.code, message.text)
        )
        if is_expected:
            self._fail(message.id, error)
        elif message.code == TOO_FAST:
            # an error 100 that names no request: any message of this second may have been refused
            self._fail_connect(too_fast())
            self._fail_all(error)
        elif (
            message.id <= 0
            and kind in (ErrorKind.AMBIGUOUS, ErrorKind.ORDER, ErrorKind.RETRY)
            and self.requests.fail_named(error)
        ):
            return
        else:
            self.emit(Notice(message.text, self._clock.now(), message.code))

    def _fail_connect(self, error: RebalanceError) -> None:
        """Keep why connecting failed, for whoever waits for the connection."""
        self.connect_error = self.connect_error or error
        self._notify()

    def _on_connectivity_lost(self, message: messages.ErrorMessage) -> None:
        if self.is_ibkr_connected:
            self.is_ibkr_connected, self._connectivity_text = False, message.text.rstrip(".")
            self.emit(ConnectionChange(is_up=False, at=self._clock.now(), reason=message.text))
            self._fail_all(RequestInterrupted())

    def _on_connectivity_restored(self, message: messages.ErrorMessage) -> None:
        if not self.is_ibkr_connected:
            self.is_ibkr_connected = True
            self.emit(ConnectionChange(is_up=True, at=self._clock.now(), reason=message.text))

    def _notify(self) -> None:
        if not self.interrupted.done():
            self.interrupted.set_result(None)
        self.activity.set()

    def _fail(self, key: int, error: Exception) -> None:
        self.requests.fail(key, error)
        if key in self.listeners:
            self.listeners[key].fail(error)

    def _fail_all(self, error: Exception) -> None:
        self.requests.fail_all(error)
        for listener in list(self.listeners.values()):
            listener.fail(error)


def _listed(text: str) -> Iterator[tuple[str, bool]]:
    for not_connected, names in _LISTED.findall(text):
        yield from ((name.strip(), not not_connected) for name in names.split(";"))


def _may_serve(farm: str, symbol: Symbol) -> bool:
    """Whether prices of the symbol may come from this farm, by its name: shares come from usfarm, usfarm.nj …"""
    if farm.startswith(ELSEWHERE) or farm.endswith(HISTORICAL):
        return False
    return not farm.startswith(SHARES if symbol == USD_CAD else CURRENCIES)
