"""One connection to the gateway: ib_async's socket, framing and decoding, and nothing else of it.

Only this module and `ear` know ib_async. Everything heard leaves them as a value of `words`, before ib_async could make
sense of it: its own picture of orders calls one cancelled that an error code merely spoke of, its futures hang
on some errors, and its queue of messages is lost with the connection.
"""

# ruff: noqa: N802 - the names are ib_async's

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ib_async import IB, Client, Contract, ExecutionFilter, StartupFetch
from ib_async import Order as IbOrder
from ib_async.util import UNSET_DOUBLE

from core.broker.ib.wrapper import ExactDecoder, GatewayTimes, GatewayWrapper, Hear
from core.model import AccountId, Order, OrderType
from core.model import Contract as OurContract

IB_ASYNC_LOGGERS = ("ib_async.client", "ib_async.ib", "ib_async.wrapper", "ib_async.Decoder")
LENGTH = 4  # bytes that tell how long a message is


@dataclass(frozen=True, slots=True)
class Link:
    """The open socket: our TCP port, and the bytes that passed it."""

    port: int
    sent: int
    received: int


@dataclass(frozen=True, slots=True)
class Query:
    """A contract to ask for; what is empty or 0 is for the broker to say."""

    con_id: int = 0
    symbol: str = ""
    security_type: str = ""
    exchange: str = ""
    currency: str = ""


class GatewayClient:
    """A connection that tells `hear` every word and `gone`, once, that it has ended and why."""

    def __init__(self, hear: Hear, gone: Callable[[str], None], now: Callable[[], datetime]) -> None:
        disable_ib_async_logging()
        self._ib = _Session(hear, now)
        # its methods are untyped
        self._client: Any = self._ib.client
        self._gone: Callable[[str], None] | None = gone
        self._received = 0
        self._greeting: bytes | None = b""
        self._client.conn.hasData += self._count
        self._client.conn.disconnected += self._tell_gone
        self._client.apiError += self._tell_gone

    async def dial(self, host: str, port: int, client_id: int, *, is_read_only: bool) -> None:
        """Connect, greet, hear our own open orders unless `is_read_only`; on a mute gateway it never ends by itself."""
        await self._ib.connectAsync(
            host,
            port,
            clientId=client_id,
            timeout=0,
            readonly=is_read_only,
            raiseSyncErrors=True,
            fetchFields=StartupFetch.ORDERS_OPEN,
        )

    def hang_up(self) -> None:
        """Close the socket; `gone` is not told."""
        self._gone = None
        self._client.disconnect()

    def link(self) -> Link | None:
        """The socket's counts; None while there is none."""
        transport = self._client.conn.transport
        name = transport.get_extra_info("sockname") if transport else None
        return Link(name[1], self._client.conn.numBytesSent, self._received) if name else None

    @property
    def times(self) -> GatewayTimes:
        """How this gateway's times are read."""
        times: GatewayTimes = self._client.decoder.times
        return times

    @property
    def messages_sent(self) -> int:
        return int(self._client.conn.numMsgSent)

    def next_id(self) -> int:
        """An id for a request or an order; ids of both grow from one count."""
        return int(self._client.getReqId())

    def ask_account(self, account: AccountId) -> None:
        self._client.reqAccountUpdates(True, account)  # noqa: FBT003 - ib_async's own

    def stop_account(self, account: AccountId) -> None:
        self._client.reqAccountUpdates(False, account)  # noqa: FBT003 - ib_async's own

    def ask_positions(self) -> None:
        self._client.reqPositions()

    def stop_positions(self) -> None:
        self._client.cancelPositions()

    def ask_open_orders(self) -> None:
        """Of all clients."""
        self._client.reqAllOpenOrders()

    def ask_completed_orders(self) -> None:
        """Of all clients, and those entered by hand."""
        self._client.reqCompletedOrders(False)  # noqa: FBT003 - ib_async's own

    def ask_executions(self, request: int, account: AccountId) -> None:
        self._client.reqExecutions(request, ExecutionFilter(acctCode=account))

    def ask_details(self, request: int, query: Query) -> None:
        contract = Contract(
            conId=query.con_id,
            symbol=query.symbol,
            secType=query.security_type,
            exchange=query.exchange,
            currency=query.currency,
        )
        self._client.reqContractDetails(request, contract)

    def ask_rule(self, rule_id: int) -> None:
        self._client.reqMarketRule(rule_id)

    def ask_quote(self, request: int, contract: OurContract, *, is_snapshot: bool) -> None:
        self._client.reqMktData(request, _place_of(contract), "", is_snapshot, False, [])  # noqa: FBT003

    def stop_quote(self, request: int) -> None:
        self._client.cancelMktData(request)

    def ask_data_type(self, number: int) -> None:
        self._client.reqMarketDataType(number)

    def ask_time(self) -> None:
        self._client.reqCurrentTime()

    def place(self, order_id: int, order: Order, *, is_what_if: bool = False) -> None:
        """One message, at once; with `is_what_if` the broker only reckons what the order would do."""
        self._client.placeOrder(order_id, _place_of(order.contract), _order_of(order, is_what_if=is_what_if))

    def cancel(self, order_id: int) -> None:
        self._client.cancelOrder(order_id)

    def _count(self, data: bytes) -> None:
        self._received += len(data)
        if self._greeting is not None:
            self._greeting = self._read_greeting(self._greeting + data)

    def _read_greeting(self, begun: bytes) -> bytes | None:
        """Take the time from the greeting, which ib_async throws away; what there is of it while it is not complete."""
        end = LENGTH + int.from_bytes(begun[:LENGTH])
        if len(begun) < end:
            return begun
        _, _, rest = begun[LENGTH:end].partition(b"\0")
        self.times.greet(rest.rstrip(b"\0").decode(errors="replace"))
        return None

    def _tell_gone(self, why: str) -> None:
        gone, self._gone = self._gone, None
        if gone:
            # of all that ib_async says here, only this is not a plain end
            gone("the gateway is too old" if "version" in why else "")


class _Session(IB):
    """ib_async's session with our ear in place of its wrapper, its own throttle off, and nothing sent unasked."""

    RaiseRequestErrors = True

    def __init__(self, hear: Hear, now: Callable[[], datetime]) -> None:
        super().__init__()
        self.wrapper = GatewayWrapper(self, hear)
        self.client = Client(self.wrapper)  # type: ignore[no-untyped-call]
        self.client.decoder = ExactDecoder(self.wrapper, hear, now)
        # its queue past 45 messages in a second is dropped, silently, with the connection
        self.client.MaxRequests = 0

    def _onError(self, *_: object) -> None:
        """ib_async would ask for an account summary at 1102, past our pace."""


def disable_ib_async_logging() -> None:
    """Let nothing of ib_async's reach a log: its lines show orders and accounts in full, and nothing new."""
    for name in IB_ASYNC_LOGGERS:
        logging.getLogger(name).disabled = True


def _place_of(contract: OurContract) -> Contract:
    # the conId says what it is and the exchange where: more could only contradict it
    return Contract(conId=contract.con_id, exchange=contract.exchange)


def _order_of(order: Order, *, is_what_if: bool) -> IbOrder:
    """The order as it is sent: every field that a preset could fill in is said."""
    whole = int(order.quantity)
    limit = UNSET_DOUBLE if order.limit_price is None else float(order.limit_price)
    return IbOrder(
        action=order.side.value,
        totalQuantity=whole if whole == order.quantity else float(order.quantity),
        orderType=OrderType(order.order_type).value,
        lmtPrice=limit,
        tif="DAY",
        account=order.account_id,
        outsideRth=order.outside_rth,
        orderRef=order.ref,
        transmit=True,
        whatIf=is_what_if,
    )
