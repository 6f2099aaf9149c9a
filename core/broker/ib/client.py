"""One connection to the gateway: ib_async's socket, framing and decoding, and nothing else of it.

Only this module and `wrapper` know ib_async. Every message leaves them as a value of `messages`, before ib_async keeps
any state of its own: it marks an order cancelled that an error code merely mentions, its futures hang on some errors,
and its queue of outgoing messages is lost with the connection.
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

from core.broker.ib.wrapper import Emit, ExactDecoder, GatewayTimes, GatewayWrapper
from core.model import AccountId, Order, OrderType
from core.model import Contract as OurContract

IB_ASYNC_LOGGERS = ("ib_async.client", "ib_async.ib", "ib_async.wrapper", "ib_async.Decoder")
LENGTH = 4  # bytes of the prefix that holds the length of a message


@dataclass(frozen=True, slots=True)
class SocketTraffic:
    """The open socket: our TCP port, and the bytes that passed it."""

    port: int
    sent: int
    received: int


@dataclass(frozen=True, slots=True)
class ContractQuery:
    """The contract whose details are requested; what is empty or 0 is left to the broker."""

    con_id: int = 0
    symbol: str = ""
    security_type: str = ""
    exchange: str = ""
    currency: str = ""


class GatewayClient:
    """A connection. `emit` gets every message, `on_closed`, once, the reason why the connection ended."""

    def __init__(self, emit: Emit, on_closed: Callable[[str], None], now: Callable[[], datetime]) -> None:
        disable_ib_async_logging()
        self._ib = _WrappedIB(emit, now)
        # its methods are untyped
        self._client: Any = self._ib.client
        self._on_closed: Callable[[str], None] | None = on_closed
        self._received = 0
        self._handshake: bytes | None = b""
        self._client.conn.hasData += self._count
        self._client.conn.disconnected += self._report_closed
        self._client.apiError += self._report_closed

    async def connect(self, host: str, port: int, client_id: int, *, is_read_only: bool) -> None:
        """Connect, shake hands, download our own open orders unless `is_read_only`.

        There is no time-out: on a gateway that does not answer it never returns.
        """
        await self._ib.connectAsync(
            host,
            port,
            clientId=client_id,
            timeout=0,
            readonly=is_read_only,
            raiseSyncErrors=True,
            fetchFields=StartupFetch.ORDERS_OPEN,
        )

    def disconnect(self) -> None:
        """Close the socket; `on_closed` is not called."""
        self._on_closed = None
        self._client.disconnect()

    def socket_traffic(self) -> SocketTraffic | None:
        """The open socket's port and counts; None while there is none."""
        transport = self._client.conn.transport
        name = transport.get_extra_info("sockname") if transport else None
        return SocketTraffic(name[1], self._client.conn.numBytesSent, self._received) if name else None

    @property
    def times(self) -> GatewayTimes:
        """The reader of this gateway's times."""
        times: GatewayTimes = self._client.decoder.times
        return times

    @property
    def messages_sent(self) -> int:
        return int(self._client.conn.numMsgSent)

    def next_id(self) -> int:
        """An id for a request or an order: both come from one counter."""
        return int(self._client.getReqId())

    def request_account(self, account: AccountId) -> None:
        self._client.reqAccountUpdates(True, account)  # noqa: FBT003 - ib_async's own

    def cancel_account(self, account: AccountId) -> None:
        self._client.reqAccountUpdates(False, account)  # noqa: FBT003 - ib_async's own

    def request_positions(self) -> None:
        self._client.reqPositions()

    def cancel_positions(self) -> None:
        self._client.cancelPositions()

    def request_open_orders(self) -> None:
        """Of all clients."""
        self._client.reqAllOpenOrders()

    def request_completed_orders(self) -> None:
        """Of all clients, and those entered by hand."""
        self._client.reqCompletedOrders(False)  # noqa: FBT003 - ib_async's own

    def request_executions(self, request: int, account: AccountId) -> None:
        self._client.reqExecutions(request, ExecutionFilter(acctCode=account))

    def request_contract_details(self, request: int, query: ContractQuery) -> None:
        contract = Contract(
            conId=query.con_id,
            symbol=query.symbol,
            secType=query.security_type,
            exchange=query.exchange,
            currency=query.currency,
        )
        self._client.reqContractDetails(request, contract)

    def request_market_rule(self, rule_id: int) -> None:
        self._client.reqMarketRule(rule_id)

    def request_market_data(self, request: int, contract: OurContract, *, is_snapshot: bool) -> None:
        self._client.reqMktData(request, _place_of(contract), "", is_snapshot, False, [])  # noqa: FBT003

    def cancel_market_data(self, request: int) -> None:
        self._client.cancelMktData(request)

    def request_market_data_type(self, number: int) -> None:
        self._client.reqMarketDataType(number)

    def request_current_time(self) -> None:
        self._client.reqCurrentTime()

    def place_order(self, order_id: int, order: Order, *, is_what_if: bool = False) -> None:
        """Send the order in one message; with `is_what_if` the broker only computes its effect and places nothing."""
        self._client.placeOrder(order_id, _place_of(order.contract), _order_of(order, is_what_if=is_what_if))

    def cancel_order(self, order_id: int) -> None:
        self._client.cancelOrder(order_id)

    def _count(self, data: bytes) -> None:
        self._received += len(data)
        if self._handshake is not None:
            self._handshake = self._read_handshake(self._handshake + data)

    def _read_handshake(self, begun: bytes) -> bytes | None:
        """Take the time from the gateway's first message, of which ib_async drops it.

        What has arrived comes back while the message is incomplete, None once it was read.
        """
        end = LENGTH + int.from_bytes(begun[:LENGTH])
        if len(begun) < end:
            return begun
        _, _, local_time = begun[LENGTH:end].partition(b"\0")
        self.times.set_offset(local_time.rstrip(b"\0").decode(errors="replace"))
        return None

    def _report_closed(self, why: str) -> None:
        on_closed, self._on_closed = self._on_closed, None
        if on_closed:
            # ib_async has many texts for a plain end of the connection; only this one is a reason
            on_closed("the gateway is too old" if "version" in why else "")


class _WrappedIB(IB):
    """ib_async's session with our wrapper and decoder in place of its own, without its throttle and requests."""

    RaiseRequestErrors = True

    def __init__(self, emit: Emit, now: Callable[[], datetime]) -> None:
        super().__init__()
        self.wrapper = GatewayWrapper(self, emit)
        self.client = Client(self.wrapper)  # type: ignore[no-untyped-call]
        self.client.decoder = ExactDecoder(self.wrapper, emit, now)
        # past 45 messages in a second ib_async queues, and drops the queue with the connection: an order would be lost
        self.client.MaxRequests = 0

    def _onError(self, *_: object) -> None:
        """Nothing: at 1102 ib_async would request an account summary, past our rate limit."""


def disable_ib_async_logging() -> None:
    """Let nothing of ib_async's reach a log: its lines show orders and accounts in full, and nothing new."""
    for name in IB_ASYNC_LOGGERS:
        logging.getLogger(name).disabled = True


def _place_of(contract: OurContract) -> Contract:
    # conId and exchange identify the instrument and its venue; any further field could only contradict them
    return Contract(conId=contract.con_id, exchange=contract.exchange)


def _order_of(order: Order, *, is_what_if: bool) -> IbOrder:
    """The order as it is sent, with a value for every field that TWS would otherwise take from its presets."""
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
