"""What ib_async's decoder calls: each message becomes one value of `messages`, with exact numbers, and none is lost.

Times of executions come in UTC, in a named zone, or in the gateway's own zone, which may have no known name:
`20260611-13:31:08` is UTC; `20260413 15:27:04 US/Eastern` names its zone; `20230224  12:04:56` is in the gateway's
own, as is a time whose zone only the gateway's computer knows (`Central European Standard Time`). The offset of the
gateway's zone follows from its first message, which holds its local time.
"""

# ruff: noqa: N802, N803 - the names are ib_async's

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ib_async import IB, Contract, ContractDetails, OrderState, Wrapper
from ib_async import CommissionReport as IbCommissionReport
from ib_async import Execution as IbExecution
from ib_async import Order as IbOrder
from ib_async.decoder import Decoder
from ib_async.objects import PriceIncrement
from ib_async.util import UNSET_DOUBLE

from core.broker.ib import messages
from core.model import AccountId, Currency, OrderRef, OrderType, Side, TickBand
from core.money import ZERO

EXECUTION = "11"
REQUEST_OF_EXECUTION, TIME_OF_EXECUTION = 1, 15
UNSET = Decimal(repr(UNSET_DOUBLE))
UNSOLICITED = "-1"
TOO_SHORT = ("values to unpack", "positional argument")
HALT_TICKS = (49, 90)
LAST_TRADE_TICKS = (45, 88)
EFFECTS = ("initMargin", "maintMargin", "equityWithLoan")

_TIME = re.compile(r"(\d{8})(-| +)(\d\d:\d\d:\d\d)(?: +(\S.*?))? *")
QUARTER = timedelta(minutes=15)  # every zone is a multiple of a quarter of an hour from UTC
UTC_MARK = "-"

Emit = Callable[[messages.Message], None]


class GatewayTimes:
    """Reads the times of one connection; `now` is the time of the reader's clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._ahead: timedelta | None = None

    def set_offset(self, text: str) -> None:
        """Take the gateway's local time, as of now, from which follows the offset of its zone from UTC."""
        found = _TIME.match(text)
        self._ahead = _parsed(found).replace(tzinfo=UTC) - self._now() if found else None

    def adjust(self, gap: timedelta) -> None:
        """Correct the offset: the clock it was measured with was wrong, and has been put forward by `gap`."""
        if self._ahead is not None:
            self._ahead -= gap

    def utc(self, text: str) -> datetime:
        """The time, in UTC. Raises ValueError where it cannot be read, or its zone is unknown."""
        found = _TIME.fullmatch(text)
        if not found:
            raise ValueError(f"not a time: {text!r}")
        at, zone = _parsed(found), _zone(found[4] or "")
        if found[2] == UTC_MARK:
            return at.replace(tzinfo=UTC)
        if zone:
            return at.replace(tzinfo=zone).astimezone(UTC)
        if self._ahead is None:
            raise ValueError(f"in a zone that is not known: {text!r}")
        return (at - round(self._ahead / QUARTER) * QUARTER).replace(tzinfo=UTC)


def _parsed(found: re.Match[str]) -> datetime:
    return datetime.strptime(f"{found[1]} {found[3]}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007 - its zone is read separately


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, KeyError, OSError):
        return None


class ExactDecoder(Decoder):
    """ib_async's decoder only logs what it cannot read or does not know; here that is emitted as well."""

    def __init__(self, wrapper: Wrapper, emit: Emit, now: Callable[[], datetime]) -> None:
        super().__init__(wrapper, 0)
        self.times = GatewayTimes(now)
        self._emit = emit
        self._now = now
        self._number = ""
        self._known = {str(number) for number in self.handlers}
        self.logger: Any = self

    def interpret(self, fields: list[str]) -> None:
        self._number = fields[0] if fields else ""
        if self._number not in self._known:
            self._emit(messages.UnknownMessage(self._number))
            return
        if self._number == EXECUTION and len(fields) > TIME_OF_EXECUTION:
            fields[TIME_OF_EXECUTION] = self._readable_time(fields)
        super().interpret(fields)  # type: ignore[no-untyped-call]

    def exception(self, _: str) -> None:
        """ib_async calls this as its logger's, within its except clause, for a message that it could not read."""
        self._emit(messages.UnreadableMessage(self._number, _why(sys.exception())))

    def _readable_time(self, fields: list[str]) -> str:
        """The time of an execution as ib_async reads it, which takes UTC for local time and loses unknown zones.

        Where none can be read, a fill that happens now gets the time of its arrival. A listed one keeps its text, with
        which reading the list fails: it must not be dated today.
        """
        text = fields[TIME_OF_EXECUTION]
        try:
            at = self.times.utc(text)
        except ValueError:
            if fields[REQUEST_OF_EXECUTION] != UNSOLICITED:
                return text
            at = self._now()
        return f"{at:%Y%m%d %H:%M:%S} UTC"


class GatewayWrapper(Wrapper):
    """Receives ib_async's callbacks and emits each as a message.

    ib_async's own handling runs only where `connectAsync` waits for it.
    """

    def __init__(self, ib: IB, emit: Emit) -> None:
        super().__init__(ib)
        self._emit = emit

    def connectAck(self) -> None:
        self._emit(messages.ServerVersion(self.ib.client.serverVersion()))

    def managedAccounts(self, accountsList: str) -> None:
        self._emit(messages.ManagedAccounts(tuple(AccountId(each) for each in accountsList.split(",") if each)))
        super().managedAccounts(accountsList)

    def error(self, reqId: int, errorCode: int, errorString: str, advancedOrderRejectJson: str) -> None:  # noqa: ARG002
        self._emit(messages.ErrorMessage(reqId, errorCode, " ".join(errorString.split())))

    def updateAccountValue(self, tag: str, val: str, currency: str, account: str) -> None:
        self._emit(messages.AccountValueRow(account, tag, val, currency))

    def updatePortfolio(self, *row: Any) -> None:
        contract, quantity, price, value, average_cost, _, _, account = row
        figures = [_exact(each) for each in (price, value, average_cost)]
        self._emit(messages.PortfolioRow(account, _contract_row(contract), _number(quantity), *figures))

    def accountDownloadEnd(self, _account: str) -> None:
        self._emit(messages.EndOfAccount(_account))

    def position(self, account: str, contract: Contract, posSize: float, avgCost: float) -> None:  # noqa: ARG002
        self._emit(messages.PositionRow(account, _contract_row(contract), _number(posSize)))

    def positionEnd(self) -> None:
        self._emit(messages.EndOfAnswer(messages.POSITIONS))
        super().positionEnd()  # type: ignore[no-untyped-call]

    def openOrder(self, orderId: int, contract: Contract, order: IbOrder, orderState: OrderState) -> None:
        self._emit(_open_order_row(contract, order, orderState))
        # ids used by any client are skipped: error 103 would follow
        self.ib.client.updateReqId(orderId + 1)  # type: ignore[no-untyped-call]

    def openOrderEnd(self) -> None:
        self._emit(messages.EndOfAnswer(messages.OPEN_ORDERS))
        super().openOrderEnd()  # type: ignore[no-untyped-call]

    def orderStatus(self, *row: Any) -> None:
        order_id, status, filled, _, _, perm_id, _, _, client_id, *_ = row
        self._emit(messages.OrderStatusRow(order_id, client_id, perm_id, status, _number(filled)))

    def completedOrder(self, contract: Contract, order: IbOrder, orderState: OrderState) -> None:
        self._emit(_completed_order_row(contract, order, orderState))

    def completedOrdersEnd(self) -> None:
        self._emit(messages.EndOfAnswer(messages.COMPLETED_ORDERS))

    def execDetails(self, reqId: int, contract: Contract, execution: IbExecution) -> None:
        self._emit(_execution_row(reqId, contract, execution))

    def execDetailsEnd(self, reqId: int) -> None:
        self._emit(messages.EndOfAnswer(reqId))

    def commissionReport(self, commissionReport: IbCommissionReport) -> None:
        amount = _exact(commissionReport.commission)
        # −1 stands for a commission that is not known yet
        known = None if amount == -1 else amount
        self._emit(messages.CommissionRow(commissionReport.execId, known, Currency(commissionReport.currency)))

    def contractDetails(self, reqId: int, contractDetails: ContractDetails) -> None:
        self._emit(_details_row(reqId, contractDetails))

    def contractDetailsEnd(self, reqId: int) -> None:
        self._emit(messages.EndOfAnswer(reqId))

    def marketRule(self, marketRuleId: int, priceIncrements: list[PriceIncrement]) -> None:
        steps = sorted((_number(each.lowEdge), _number(each.increment)) for each in priceIncrements)
        bands = tuple(TickBand(low_edge, increment) for low_edge, increment in steps if increment > 0)
        self._emit(messages.MarketRuleRow(marketRuleId, bands))

    def marketDataType(self, reqId: int, marketDataId: int) -> None:
        self._emit(messages.MarketDataTypeRow(reqId, marketDataId))

    def priceSizeTick(self, reqId: int, tickType: int, price: float, size: float) -> None:
        self._emit(messages.TickValue(reqId, tickType, _exact(price), _exact(size)))

    def tickSize(self, reqId: int, tickType: int, size: float) -> None:
        self._emit(messages.TickValue(reqId, tickType, None, _exact(size)))

    def tickGeneric(self, reqId: int, tickType: int, value: float) -> None:
        if tickType in HALT_TICKS:
            self._emit(messages.HaltTick(reqId, value > 0))

    def tickString(self, reqId: int, tickType: int, value: str) -> None:
        if tickType in LAST_TRADE_TICKS and value.isdecimal() and int(value):
            self._emit(messages.LastTradeTick(reqId, datetime.fromtimestamp(int(value), UTC)))

    def tickSnapshotEnd(self, reqId: int) -> None:
        self._emit(messages.EndOfAnswer(reqId))

    def currentTime(self, time: int) -> None:
        self._emit(messages.CurrentTimeRow(datetime.fromtimestamp(time, UTC)))


def _why(error: BaseException | None) -> str:
    """Why a message could not be read; the Python error that a truncated one causes would help no person."""
    is_short = isinstance(error, IndexError | UnboundLocalError) or any(text in str(error) for text in TOO_SHORT)
    return "it has too few fields" if is_short else str(error)


def _exact(number: Any) -> Decimal | None:
    """The decimal that a float was read from, without a trailing .0; None for nan, infinity and the API's unset value.

    repr gives the shortest text that reads back as the same float, which is what the gateway wrote: 100.05 is 100.05.
    """
    value = float(number)
    if not math.isfinite(value) or value == UNSET_DOUBLE:
        return None
    return Decimal(int(value)) if value.is_integer() else Decimal(repr(value))


def figure(text: str) -> Decimal | None:
    """The decimal that `text` writes; None for what is no number, and for the API's unset value."""
    with suppress(ArithmeticError, ValueError):
        number = Decimal(text)
        return number if number.is_finite() and number < UNSET else None
    return None


def _number(number: Any) -> Decimal:
    """As `_exact`, for a number that must be one. Raises ValueError."""
    value = _exact(number)
    if value is None:
        raise ValueError(f"not a number: {number!r}")
    return value


def _contract_row(contract: Contract) -> messages.ContractRow:
    return messages.ContractRow(
        con_id=contract.conId,
        symbol=contract.symbol,
        security_type=contract.secType,
        currency=Currency(contract.currency),
        exchange=contract.exchange,
        primary_exchange=contract.primaryExchange,
        local_symbol=contract.localSymbol,
    )


def _side(action: str) -> Side:
    """SELL, SLD and SSHORT sell."""
    return Side.BUY if action.startswith("B") else Side.SELL


def _open_order_row(contract: Contract, order: IbOrder, state: OrderState) -> messages.OpenOrderRow:
    limit = _exact(order.lmtPrice) if order.lmtPrice is not None else None
    return messages.OpenOrderRow(
        order_id=order.orderId,
        client_id=order.clientId,
        perm_id=order.permId,
        order_ref=OrderRef(order.orderRef),
        account=order.account,
        contract=_contract_row(contract),
        side=_side(order.action),
        quantity=_number(order.totalQuantity),
        order_type=order.orderType,
        limit_price=limit if order.orderType != OrderType.MKT and limit else None,
        status=state.status,
        effect=_effect(state) if order.whatIf else None,
    )


def _effect(state: OrderState) -> messages.WhatIfEffect:
    margins = {
        name: (figure(getattr(state, f"{name}Before")), figure(getattr(state, f"{name}Change"))) for name in EFFECTS
    }
    commission = state.commission if state.commission != UNSET_DOUBLE else None
    return messages.WhatIfEffect(
        margins, None if commission is None else _exact(commission), Currency(state.commissionCurrency)
    )


def _completed_order_row(contract: Contract, order: IbOrder, state: OrderState) -> messages.CompletedOrderRow:
    return messages.CompletedOrderRow(
        perm_id=order.permId,
        order_ref=OrderRef(order.orderRef),
        account=order.account,
        contract=_contract_row(contract),
        side=_side(order.action),
        # a gateway reports quantity 0 for a filled order
        quantity=_exact(order.totalQuantity) or _exact(order.filledQuantity) or ZERO,
        # how much of a completed order filled is in filledQuantity alone: orderStatus.filled is 0 for it
        filled=_exact(order.filledQuantity) or ZERO,
        status=state.status,
        completed_status=" ".join(state.completedStatus.split()),
    )


def _execution_row(request: int, contract: Contract, execution: IbExecution) -> messages.ExecutionRow:
    return messages.ExecutionRow(
        request_id=request,
        order_id=execution.orderId,
        order_ref=OrderRef(execution.orderRef),
        account=execution.acctNumber,
        exec_id=execution.execId,
        contract=_contract_row(contract),
        side=_side(execution.side),
        shares=_number(execution.shares),
        price=_number(execution.price),
        at=execution.time.astimezone(UTC),
    )


def _details_row(request: int, details: ContractDetails) -> messages.ContractDetailsRow:
    if details.contract is None:
        raise ValueError("contract details without a contract")
    return messages.ContractDetailsRow(
        request_id=request,
        contract=_contract_row(details.contract),
        stock_type=details.stockType,
        min_tick=_exact(details.minTick),
        size_increment=_exact(details.sizeIncrement),
        exchanges=tuple(details.validExchanges.split(",")),
        rules=tuple(details.marketRuleIds.split(",")),
        time_zone=details.timeZoneId,
        trading_hours=details.tradingHours,
        liquid_hours=details.liquidHours,
    )
