"""What the exchange reports, as messages to the client whose order it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from core.model import (
    USD_CAD,
    BrokerEvent,
    CommissionReport,
    ConnectionChange,
    Fill,
    Notice,
    OrderState,
    OrderUpdate,
    Side,
)
from core.money import ZERO
from core.sim.gateway.error_texts import text_of
from core.sim.gateway.faults import Subject
from core.sim.venue.exchange import Exchange
from core.sim.venue.orders import Report, VenueOrder
from core.sim.wire import listings
from core.sim.wire import orders as wire_orders
from core.sim.wire.contracts import contract_fields_of
from core.sim.wire.fields import Fields
from core.sim.wire.placing import OrderTerms
from core.sim.wire.session import error

HELD_CODE = 399
REJECTED_CODE = 201
CANCELLED_CODE = 202
ENDED_ALREADY_CODE = 10148
DAY_OVER = "The day of the order is over"
JUST_CANCELLED = "Order Canceled"
NEVER = datetime.max.replace(tzinfo=UTC)
PRE_SUBMITTED = "PreSubmitted"
DAY, UNTIL_CANCELLED = "DAY", "GTC"

STATUSES: Mapping[OrderState, str] = {
    OrderState.SENT: "PendingSubmit",
    OrderState.WORKING: "Submitted",
    OrderState.CANCELLING: "PendingCancel",
    OrderState.FILLED: "Filled",
    OrderState.CANCELLED: "Cancelled",
    OrderState.EXPIRED: "Cancelled",  # a gateway has no status of its own for the end of the day
    OrderState.REJECTED: "Inactive",
}

NO_ID = 0


class OrderIds:
    """Outlives connections and restarts. An id that was given out twice stands for its newest order."""

    def __init__(self) -> None:
        self._used: dict[int, int] = {}
        self._orders: dict[tuple[int, int], int] = {}
        self._rolled_back: set[tuple[int, int]] = set()
        self._ids: dict[int, int] = {}

    def next_id(self, client: int) -> int:
        """An id beyond every one that this client used."""
        return self._used.get(client, 0) + 1

    def use(self, client: int, order_id: int) -> None:
        """The id is spent, whatever becomes of its order; a client's ids only go up."""
        self._used[client] = order_id

    def enter(self, client: int, order_id: int, perm_id: int) -> None:
        """The client's id stands for this order from now on."""
        self.use(client, order_id)
        self._orders[client, order_id] = perm_id
        self._rolled_back.discard((client, order_id))
        self._ids[perm_id] = order_id

    def perm_id(self, client: int, order_id: int) -> int | None:
        """The order that the client's id stands for."""
        return self._orders.get((client, order_id))

    def modified(self, client: int, order_id: int) -> int | None:
        """The order that a client changes by sending this id; an id that was rolled back makes a new one."""
        return None if (client, order_id) in self._rolled_back else self.perm_id(client, order_id)

    def order_id(self, order: VenueOrder) -> int:
        """The id that the order was sent with; 0 for one entered by hand."""
        return self._ids.get(order.perm_id, NO_ID)

    def roll_back(self) -> None:
        """Forget which ids were used: they are given out again, while orders keep theirs."""
        self._used.clear()
        self._rolled_back = set(self._orders)


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """One message to one client."""

    client: int
    fields: Fields
    subject: Subject


class OrderMessages:
    """Orders and fills of an exchange, in the messages of the wire."""

    def __init__(self, exchange: Exchange, order_ids: OrderIds) -> None:
        self._exchange = exchange
        self._order_ids = order_ids
        self._opens_at: dict[int, datetime] = {}
        self._until_cancelled: set[int] = set()

    def send(self, reports: Sequence[Report]) -> Iterator[ClientMessage]:
        """The messages to the clients whose orders these are; the status of a fill comes before its commission."""
        for report in reports:
            if isinstance(report.event, Notice) and report.event.code == HELD_CODE:
                self._opens_at[report.perm_id] = self._exchange.orders[report.perm_id].due or NEVER
        for report in _status_before_commission(reports):
            order = self._exchange.orders[report.perm_id]
            subject = self.subject(order)
            for fields in self._messages(order, report.event):
                yield ClientMessage(order.client_id, fields, subject)
        paid = [report.perm_id for report in reports if isinstance(report.event, CommissionReport)]
        for perm_id in dict.fromkeys(paid):
            yield from self._final_listing(self._exchange.orders[perm_id])

    def _final_listing(self, order: VenueOrder) -> Iterator[ClientMessage]:
        """The order once more when it has filled, now with what all of it cost."""
        if order.state is OrderState.FILLED:
            for fields in self.listed(order):
                yield ClientMessage(order.client_id, fields, self.subject(order))

    def note_time_in_force(self, order: VenueOrder, tif: str) -> None:
        """Note a time in force other than DAY: the order is listed with it, and does not expire."""
        if tif == UNTIL_CANCELLED:
            self._until_cancelled.add(order.perm_id)
            order.expires = None

    def subject(self, order: VenueOrder) -> Subject:
        return Subject(self._order_ids.order_id(order), order.terms.contract.symbol, order.terms.order_ref)

    def order(self, order: VenueOrder, status: str = "") -> listings.OrderFields:
        """The order as 5 and 101 show it."""
        costs = [fill.commission for fill in order.fills if fill.commission is not None]
        return listings.OrderFields(
            order_id=self._order_ids.order_id(order),
            client_id=order.client_id,
            perm_id=order.perm_id,
            contract=contract_fields_of(order.terms.contract),
            terms=self._terms(order),
            status=status or self._status_text(order, order.state),
            commission=sum(costs, ZERO) if costs else None,
            commission_currency=next((fill.commission_currency or "" for fill in order.fills), ""),
        )

    def listed(self, order: VenueOrder) -> tuple[Fields, Fields]:
        """The order's entry in the list of open orders, and its status."""
        return listings.open_order(self.order(order)), self._status(order, order.state, order.filled)

    def execution(self, order: VenueOrder, fill: Fill, req_id: int = wire_orders.NO_REQUEST) -> Fields:
        """One fill, with the order's total up to it."""
        contract = order.terms.contract
        fills_so_far, venue = _fills_up_to(order.fills, fill), contract.primary_exchange or contract.exchange
        shown = wire_orders.ExecutionFields(
            exec_id=fill.exec_id,
            order_id=self._order_ids.order_id(order),
            client_id=order.client_id,
            perm_id=order.perm_id,
            # an execution names where it filled, not how the order was routed
            contract=replace(contract_fields_of(contract), exchange=venue),
            account=self._exchange.world.account.id,
            exchange=venue,
            side="BOT" if fill.side is Side.BUY else "SLD",
            shares=fill.shares,
            price=fill.price,
            total=sum((one.shares for one in fills_so_far), order.filled_before),
            average_price=_average(fills_so_far),
            at=fill.at,
            order_ref=fill.order_ref,
        )
        return wire_orders.execution(shown, req_id)

    def completed(self, order: VenueOrder) -> Fields:
        """The order's entry in the list of those that ended."""
        ended = order.fills[-1].at if order.fills else self._exchange.now
        texts = {OrderState.FILLED: f"Filled Size: {order.filled:f}", OrderState.EXPIRED: "Expired"}
        text = texts.get(order.state, order.reason)
        is_filled = order.state is OrderState.FILLED
        return listings.completed_order(
            self.order(order), listings.CompletionFields(order.filled, ended, text, is_filled)
        )

    def _messages(self, order: VenueOrder, event: BrokerEvent) -> tuple[Fields, ...]:
        match event:
            case Fill():
                return (self.execution(order, event),)
            case CommissionReport():
                return (commission(event.exec_id, event.commission, event.currency),)
            case Notice():
                text = event.text.replace(" Warning:", "\nWarning:").replace("Message: ", "Message:\n")
                return (self._error(order, event.code or HELD_CODE, text),)
            case OrderUpdate():
                return self._update(order, event)
            case ConnectionChange():
                return ()

    def _update(self, order: VenueOrder, update: OrderUpdate) -> tuple[Fields, ...]:
        status = self._status(order, update.state, update.filled)
        if update.state in (OrderState.CANCELLED, OrderState.EXPIRED) and update.code != ENDED_ALREADY_CODE:
            reason = DAY_OVER if update.state is OrderState.EXPIRED else _special(update.reason)
            return status, self._error(order, CANCELLED_CODE, text_of(CANCELLED_CODE) + reason)
        if update.state is OrderState.CANCELLING:
            return (status,)
        if update.code is not None:
            text = update.reason
            if update.code == ENDED_ALREADY_CODE:
                number, status_text = self._order_ids.order_id(order), STATUSES[order.state]
                text = f"OrderId {number} that needs to be cancelled can not be cancelled, state: {status_text}."
            refused = self._error(order, update.code, text)
            # a gateway follows only 201 with a status Inactive, and not even that for a currency pair
            is_sent_once = update.code != REJECTED_CODE or order.terms.contract.symbol == USD_CAD
            ends_here = update.state is OrderState.REJECTED and is_sent_once
            return (refused,) if ends_here or update.code == ENDED_ALREADY_CODE else (refused, status)
        status_text = self._status_text(order, update.state)
        return listings.open_order(self.order(order, status_text)), status

    def _status(self, order: VenueOrder, state: OrderState, filled: Decimal) -> Fields:
        fills = _first_fills(order, filled)
        return wire_orders.order_status(
            wire_orders.StatusFields(
                order_id=self._order_ids.order_id(order),
                client_id=order.client_id,
                perm_id=order.perm_id,
                status=self._status_text(order, state),
                filled=filled,
                remaining=order.terms.quantity - filled,
                average_price=_average(fills),
                last_price=fills[-1].price if fills else ZERO,
            )
        )

    def _status_text(self, order: VenueOrder, state: OrderState) -> str:
        opens_at = self._opens_at.get(order.perm_id)
        if state is OrderState.WORKING and opens_at is not None and opens_at > self._exchange.now:
            return PRE_SUBMITTED
        return STATUSES[state]

    def _terms(self, order: VenueOrder) -> OrderTerms:
        terms = order.terms
        return OrderTerms(
            action=terms.side,
            quantity=terms.quantity,
            order_type=terms.order_type,
            limit_price=terms.limit_price,
            account=self._exchange.world.account.id,
            order_ref=terms.order_ref,
            outside_rth=terms.outside_rth,
            transmit=not order.is_held,
            tif=UNTIL_CANCELLED if order.perm_id in self._until_cancelled else DAY,
        )

    def _error(self, order: VenueOrder, code: int, text: str) -> Fields:
        return error(self._order_ids.order_id(order), code, text)


def _special(reason: str) -> str:
    """The reason of a cancel, where it is more than that the order was cancelled."""
    return "" if reason == JUST_CANCELLED else reason


def commission(exec_id: str, amount: Decimal, currency: str) -> Fields:
    """What a fill cost."""
    return wire_orders.commission_report(wire_orders.CommissionFields(exec_id, amount, currency))


def _status_before_commission(reports: Sequence[Report]) -> list[Report]:
    # the exchange charges before it closes the order; a gateway sends the status first
    ordered = list(reports)
    for at in range(len(ordered) - 1):
        first, second = ordered[at], ordered[at + 1]
        is_pair = isinstance(first.event, CommissionReport) and isinstance(second.event, OrderUpdate)
        if is_pair and first.perm_id == second.perm_id:
            ordered[at], ordered[at + 1] = second, first
    return ordered


def _fills_up_to(fills: Sequence[Fill], fill: Fill) -> Sequence[Fill]:
    ids = [one.exec_id for one in fills]
    return fills[: ids.index(fill.exec_id) + 1] if fill.exec_id in ids else [fill]


def _first_fills(order: VenueOrder, filled: Decimal) -> list[Fill]:
    """The order's first fills that make up so many shares."""
    found: list[Fill] = []
    total = order.filled_before
    for fill in order.fills:
        if total >= filled:
            break
        total += fill.shares
        found.append(fill)
    return found


def _average(fills: Sequence[Fill]) -> Decimal:
    shares = sum((fill.shares for fill in fills), ZERO)
    return sum((fill.shares * fill.price for fill in fills), ZERO) / shares if shares else ZERO
