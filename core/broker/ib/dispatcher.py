"""What a connection hears: each word goes to the request, the order or the quote it is of, or becomes an event."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from core.broker.error_codes import (
    CLIENT_ID_IN_USE,
    FARM_LOST,
    FARMS_DOWN,
    FARMS_UP,
    LINK_BACK,
    LINK_LOST,
    NOT_VALID,
    PORT_MOVED,
    TOO_FAST,
    TOO_MANY_LINES,
    Kind,
    meaning_of,
)
from core.broker.errors import NOT_CONNECTED, api_is_read_only, is_read_only, lost, too_fast
from core.broker.ib import messages as heard
from core.broker.ib.fills import Fills
from core.broker.ib.orders import OwnOrders
from core.broker.ib.requests import ConnectionGone, RequestRefused, Requests
from core.clock import Clock
from core.errors import BrokerError, RebalanceError
from core.model import USD_CAD, AccountId, BrokerEvent, ConnectionChange, Notice, Symbol

# lists that a gateway with Read-Only API does not tell
READ_ONLY_REFUSES = (heard.OPEN_ORDERS, heard.COMPLETED_ORDERS)
# a tick that cannot be read is only a tick
MARKET_MESSAGES = frozenset({"1", "2", "45", "46", "57", "58", "81"})
# orders, executions, the account, contracts, the session: what a run cannot do without
NEEDED = frozenset(
    map(str, (3, 4, 5, 6, 7, 9, 10, 11, 15, 49, 52, 53, 54, 55, 59, 61, 62, 93, 101, 102)),
)

# `…is OK:usfarm.nj`, `…should be available upon demand.ushmds`
_NAMED = re.compile(r"(?:.*:|.*\bupon demand\.)\s*(\S+)\s*")
# what 1101 and 1102 say of all of them, as `The following farms are not connected: cashhmds.`
_LISTED = re.compile(r"farms are (not )?connected: (.+?)\.(?= |$)")
# a farm that is named like none of these may serve anything
SHARES, CURRENCIES = "usfarm", "cashfarm"
ELSEWHERE = ("usopt", "usbond", "usfut", "usfund", "secdef", "eufarm", "cafarm", "hfarm", "jfarm", "afarm", "sgfarm")
PAST = "hmds"


class Farms:
    """The data farms that the gateway speaks of: `is_up` by name, and since when market-data farms are broken."""

    def __init__(self) -> None:
        self.is_up: dict[str, bool] = {}
        self._broken: dict[str, datetime] = {}

    def hear(self, code: int, text: str, at: datetime) -> None:
        """Take what the gateway says of one farm, or of all when it has found IBKR again."""
        if code in LINK_BACK:
            for name, is_up in _listed(text):
                self._note(name, at, is_up=is_up, is_market_data=True)
        elif code in FARMS_UP | FARMS_DOWN:
            found = _NAMED.fullmatch(text)
            name = found[1] if found else text
            self._note(name, at, is_up=code in FARMS_UP, is_market_data=code == FARM_LOST)

    def lost_since(self, symbol: Symbol) -> datetime | None:
        """Since when a farm that may serve the symbol is broken: of several the one that has been for longest."""
        return min((at for name, at in self._broken.items() if _may_serve(name, symbol)), default=None)

    def _note(self, name: str, at: datetime, *, is_up: bool, is_market_data: bool) -> None:
        self.is_up[name] = is_up
        if is_up:
            self._broken.pop(name, None)
        elif is_market_data:
            self._broken.setdefault(name, at)


class RequestListener(Protocol):
    """Who waits for the ticks of one request."""

    def hear(self, word: heard.MarketMessage) -> None: ...

    def end(self) -> None: ...

    def fail(self, error: Exception) -> None: ...


class Dispatcher:
    """The ear of one connection of `client_id` on behalf of one account.

    `refusal` is why the gateway did not let us in. `news` is set whenever somebody who waits should look.
    """

    def __init__(self, clock: Clock, client_id: int, account_id: AccountId, *, is_trading: bool = True) -> None:
        self.requests = Requests()
        self.listeners: dict[int, RequestListener] = {}
        self.orders = OwnOrders(clock, client_id, self.deliver)
        self.fills = Fills(self.deliver)
        self.farms = Farms()
        self.accounts: tuple[AccountId, ...] = ()
        self.version = 0
        self.events: deque[BrokerEvent] = deque()
        self.is_gone = False
        self.is_link_up = True
        self.why_gone = ""
        self._link_lost = ""
        self._skipped: set[str] = set()
        self.refusal: RebalanceError | None = None
        self.heard_at = clock.now()
        self.words = 0
        self.news = asyncio.Event()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_end: Callable[[], None] = lambda: None
        self._clock = clock
        self._client_id = client_id
        self._account_id = account_id
        self._is_trading = is_trading
        self._dispatch = self._table()

    @property
    def is_up(self) -> bool:
        """Whether the gateway is there, and IBKR behind it."""
        return self.is_link_up and not self.is_gone

    @property
    def why_down(self) -> str:
        """What is said to who needs the connection while it is not whole."""
        return NOT_CONNECTED if self.is_gone else self._link_lost

    def deliver(self, event: BrokerEvent) -> None:
        """An event for whoever asks for the next one."""
        if not self.is_gone:
            self.events.append(event)
            self.news.set()

    def end(self, why: str) -> None:
        """The connection is gone: what waits hears of it, and what was not heard is not told any more."""
        if self.is_gone:
            return
        self.is_gone, self.why_gone = True, why
        self.events.clear()
        self.orders.release()
        self._fail_all(ConnectionGone())
        self._wake()
        self.on_end()

    def hear(self, word: heard.Message) -> None:
        """Take one word in."""
        self.heard_at = self._clock.now()
        self.words += 1
        self._dispatch[type(word)](word)

    def _table(self) -> Mapping[type, Callable[[Any], None]]:
        requests = self.requests
        return {
            heard.Version: self._hear_version,
            heard.Accounts: self._hear_accounts,
            heard.ValueRow: lambda row: requests.add(heard.ACCOUNT, row),
            heard.HoldingRow: lambda row: requests.add(heard.ACCOUNT, row),
            heard.PositionRow: lambda row: requests.add(heard.POSITIONS, row),
            heard.OrderRow: self._hear_order,
            heard.StatusRow: self._hear_status,
            heard.EndedRow: lambda row: requests.add(heard.COMPLETED_ORDERS, row),
            heard.ExecutionRow: self._hear_execution,
            heard.CommissionRow: self.fills.hear_cost,
            heard.ErrorMessage: self._hear_error,
            heard.DetailsRow: lambda row: requests.add(row.request_id, row),
            heard.RuleRow: lambda row: self._answer(heard.rule_key(row.rule_id), row),
            heard.TickValue: self._hear_market,
            heard.Halt: self._hear_market,
            heard.Stamp: self._hear_market,
            heard.DataKind: self._hear_market,
            heard.TimeRow: lambda row: self._answer(heard.TIME, row),
            heard.End: self._hear_end,
            heard.UnknownMessage: lambda word: self._skip(word.number, "which this client does not know"),
            heard.Garbled: self._hear_garbled,
        }

    def _answer(self, key: heard.Key, row: heard.Message) -> None:
        self.requests.add(key, row)
        self.requests.end(key)

    def _hear_version(self, word: heard.Version) -> None:
        self.version = word.number
        if word.number > heard.NEWEST_VERSION:
            told = f"the gateway speaks version {word.number} of its protocol, we up to {heard.NEWEST_VERSION}"
            self._refuse(lost(told))

    def _hear_accounts(self, word: heard.Accounts) -> None:
        self.accounts = word.ids
        if not word.ids:
            self._refuse(lost("the gateway manages no account"))

    def _hear_order(self, row: heard.OrderRow) -> None:
        if row.effect is None:
            self.requests.add(heard.OPEN_ORDERS, row)
            self.orders.hear_order(row)
        elif row.effect.is_complete:
            # a gateway may first tell the order without its effect
            self._answer(row.order_id, row)

    def _hear_status(self, row: heard.StatusRow) -> None:
        self.requests.add(heard.OPEN_ORDERS, row)
        self.orders.hear_status(row)

    def _hear_execution(self, row: heard.ExecutionRow) -> None:
        if row.account != self._account_id or self.requests.is_given_up(row.request_id):
            return
        if self.requests.is_under_way(row.request_id):
            self.requests.add(row.request_id, row)
        else:
            self.orders.hear_execution(row.order_id, row.order_ref)
            self.fills.hear_execution(row)

    def _hear_market(self, word: heard.MarketMessage) -> None:
        listener = self.listeners.get(word.request_id)
        if listener:
            listener.hear(word)

    def _hear_end(self, word: heard.End) -> None:
        listener = self.listeners.get(word.of) if isinstance(word.of, int) else None
        if listener:
            listener.end()
        self.requests.end(word.of)

    def _hear_garbled(self, word: heard.Garbled) -> None:
        """What could not be read may have been of an order: better start anew and ask."""
        if word.number in NEEDED:
            self.end(f"a message of the gateway ({word.number}) could not be read: {word.why}")
        elif word.number not in MARKET_MESSAGES:
            self._skip(word.number, f"which could not be read: {word.why}")

    def _skip(self, number: str, why: str) -> None:
        """Say once of each kind that a message was left out."""
        if number not in self._skipped:
            self._skipped.add(number)
            self.deliver(Notice(f"skipped a message of the gateway ({number[:20]}), {why}", self._clock.now()))

    def _hear_error(self, word: heard.ErrorMessage) -> None:
        self.farms.hear(word.code, word.text, self._clock.now())
        if word.code == PORT_MOVED:
            self.end(word.text)
        elif word.code in LINK_LOST:
            self._lose_link(word)
        elif word.code in LINK_BACK:
            self._regain_link(word)
        elif word.code == CLIENT_ID_IN_USE:
            self._refuse(self._twin())
        elif not self.orders.hear_error(word):
            if word.code == NOT_VALID and is_read_only(word.text):
                self._hear_read_only(word)
            else:
                self._hear_refusal(word)

    def _hear_read_only(self, word: heard.ErrorMessage) -> None:
        """Read-Only API is ticked: lists of orders are not told, no order is taken, and seldom is it said by an id."""
        error = RequestRefused(word.code, word.text)
        asked = [key for key in (word.id, *READ_ONLY_REFUSES) if self.requests.is_under_way(key)]
        for key in asked:
            self.requests.fail(key, error)
        if asked:
            return
        if self._is_trading:
            self._refuse(api_is_read_only("orders"))
            self.orders.refuse_sent(word)
        self.deliver(Notice(word.text, self._clock.now(), word.code))

    def _hear_refusal(self, word: heard.ErrorMessage) -> None:
        """An error of no order: it ends the request it belongs to, or it is told."""
        kind = meaning_of(word.code).kind
        if kind is Kind.INFORMATION:
            return
        is_asked = self.requests.is_under_way(word.id) or word.id in self.listeners
        error: Exception = (
            too_fast() if word.code in (TOO_FAST, TOO_MANY_LINES) else RequestRefused(word.code, word.text)
        )
        if is_asked:
            self._fail(word.id, error)
        elif word.code == TOO_FAST:
            self._refuse(too_fast())
            self._fail_all(error)
        elif word.id <= 0 and kind in (Kind.AMBIGUOUS, Kind.ORDER, Kind.RETRY) and self.requests.fail_named(error):
            return
        else:
            self.deliver(Notice(word.text, self._clock.now(), word.code))

    def _twin(self) -> BrokerError:
        number = self._client_id
        return lost(f"the gateway has a client {number} already: another run may be alive")

    def _refuse(self, error: RebalanceError) -> None:
        """Keep why a greeting failed, for whoever waits for it."""
        self.refusal = self.refusal or error
        self._wake()

    def _lose_link(self, word: heard.ErrorMessage) -> None:
        if self.is_link_up:
            self.is_link_up, self._link_lost = False, word.text.rstrip(".")
            self.deliver(ConnectionChange(is_up=False, at=self._clock.now(), reason=word.text))
            self._fail_all(ConnectionGone())

    def _regain_link(self, word: heard.ErrorMessage) -> None:
        if not self.is_link_up:
            self.is_link_up = True
            self.deliver(ConnectionChange(is_up=True, at=self._clock.now(), reason=word.text))

    def _wake(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        self.news.set()

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
    """Whether prices of the symbol may come from this farm, by its name: shares are on usfarm, usfarm.nj…"""
    if farm.startswith(ELSEWHERE) or farm.endswith(PAST):
        return False
    return not farm.startswith(SHARES if symbol == USD_CAD else CURRENCIES)
