"""What the exchange reports, as the messages that tell a client of it."""

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
from core.sim.gateway.faults import About
from core.sim.gateway.order_ids import OrderIds
from core.sim.venue.exchange import Exchange
from core.sim.venue.orders import Report, VenueOrder
from core.sim.wire import listings
from core.sim.wire import orders as says
from core.sim.wire.contracts import contract_fields_of
from core.sim.wire.frames import Fields
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
    OrderState.EXPIRED: "Cancelled",
    OrderState.REJECTED: "Inactive",
}


@dataclass(frozen=True, slots=True)
class Told:
    """One message to one client."""

    client: int
    fields: Fields
    about: About


class OrderMessages:
    """Orders and fills of an exchange, in the messages of the wire."""

    def __init__(self, exchange: Exchange, registry: OrderIds) -> None:
        self._exchange = exchange
        self._registry = registry
        self._opens_at: dict[int, datetime] = {}
        self._until_cancelled: set[int] = set()

    def tell(self, reports: Sequence[Report]) -> Iterator[Told]:
        """The messages to the clients whose orders these are; the status of a fill comes before its commission."""
        for report in reports:
            if isinstance(report.event, Notice) and report.event.code == HELD_CODE:
                self._opens_at[report.perm_id] = self._exchange.tickets[report.perm_id].due or NEVER
        for report in _status_before_commission(reports):
            ticket = self._exchange.tickets[report.perm_id]
            about = self.about(ticket)
            for fields in self._messages(ticket, report.event):
                yield Told(ticket.client_id, fields, about)
        paid = [report.perm_id for report in reports if isinstance(report.event, CommissionReport)]
        for perm_id in dict.fromkeys(paid):
            yield from self._once_more(self._exchange.tickets[perm_id])

    def _once_more(self, ticket: VenueOrder) -> Iterator[Told]:
        """An order that has filled is told again, now with what all of it cost."""
        if ticket.state is OrderState.FILLED:
            for fields in self.listed(ticket):
                yield Told(ticket.client_id, fields, self.about(ticket))

    def note_time_in_force(self, ticket: VenueOrder, tif: str) -> None:
        """How long the order is good for, if not for the day: it is shown so, and does not expire."""
        if tif == UNTIL_CANCELLED:
            self._until_cancelled.add(ticket.perm_id)
            ticket.expires = None

    def about(self, ticket: VenueOrder) -> About:
        return About(self._registry.order_id(ticket), ticket.terms.contract.symbol, ticket.terms.order_ref)

    def order(self, ticket: VenueOrder, status: str = "") -> listings.OrderFields:
        """The order as 5 and 101 show it."""
        costs = [fill.commission for fill in ticket.fills if fill.commission is not None]
        return listings.OrderFields(
            order_id=self._registry.order_id(ticket),
            client_id=ticket.client_id,
            perm_id=ticket.perm_id,
            contract=contract_fields_of(ticket.terms.contract),
            terms=self._terms(ticket),
            status=status or self._status_word(ticket, ticket.state),
            commission=sum(costs, ZERO) if costs else None,
            commission_currency=next((fill.commission_currency or "" for fill in ticket.fills), ""),
        )

    def listed(self, ticket: VenueOrder) -> tuple[Fields, Fields]:
        """The order's line in the list of open orders, and how far it is."""
        return listings.open_order(self.order(ticket)), self._status(ticket, ticket.state, ticket.filled)

    def execution(self, ticket: VenueOrder, fill: Fill, req_id: int = says.NO_REQUEST) -> Fields:
        """One fill, with the order's total up to it."""
        contract = ticket.terms.contract
        upto, venue = _upto(ticket.fills, fill), contract.primary_exchange or contract.exchange
        shown = says.ExecutionFields(
            exec_id=fill.exec_id,
            order_id=self._registry.order_id(ticket),
            client_id=ticket.client_id,
            perm_id=ticket.perm_id,
            # it is told where it filled, not how the order was routed
            contract=replace(contract_fields_of(contract), exchange=venue),
            account=self._exchange.world.account.id,
            exchange=venue,
            side="BOT" if fill.side is Side.BUY else "SLD",
            shares=fill.shares,
            price=fill.price,
            total=sum((one.shares for one in upto), ticket.filled_before),
            average_price=_average(upto),
            at=fill.at,
            order_ref=fill.order_ref,
        )
        return says.execution(shown, req_id)

    def completed(self, ticket: VenueOrder) -> Fields:
        """The order's line in the list of those that ended."""
        ended = ticket.fills[-1].at if ticket.fills else self._exchange.now
        texts = {OrderState.FILLED: f"Filled Size: {ticket.filled:f}", OrderState.EXPIRED: "Expired"}
        text = texts.get(ticket.state, ticket.reason)
        is_filled = ticket.state is OrderState.FILLED
        return listings.completed_order(self.order(ticket), listings.Ending(ticket.filled, ended, text, is_filled))

    def _messages(self, ticket: VenueOrder, event: BrokerEvent) -> tuple[Fields, ...]:
        match event:
            case Fill():
                return (self.execution(ticket, event),)
            case CommissionReport():
                return (commission(event.exec_id, event.commission, event.currency),)
            case Notice():
                text = event.text.replace(" Warning:", "\nWarning:").replace("Message: ", "Message:\n")
                return (self._error(ticket, event.code or HELD_CODE, text),)
            case OrderUpdate():
                return self._update(ticket, event)
            case ConnectionChange():
                return ()

    def _update(self, ticket: VenueOrder, update: OrderUpdate) -> tuple[Fields, ...]:
        status = self._status(ticket, update.state, update.filled)
        if update.state in (OrderState.CANCELLED, OrderState.EXPIRED) and update.code != ENDED_ALREADY_CODE:
            reason = DAY_OVER if update.state is OrderState.EXPIRED else _special(update.reason)
            return status, self._error(ticket, CANCELLED_CODE, text_of(CANCELLED_CODE) + reason)
        if update.state is OrderState.CANCELLING:
            return (status,)
        if update.code is not None:
            text = update.reason
            if update.code == ENDED_ALREADY_CODE:
                number, word = self._registry.order_id(ticket), STATUSES[ticket.state]
                text = f"OrderId {number} that needs to be cancelled can not be cancelled, state: {word}."
            refused = self._error(ticket, update.code, text)
            is_told_once = update.code != REJECTED_CODE or ticket.terms.contract.symbol == USD_CAD
            ends_here = update.state is OrderState.REJECTED and is_told_once
            return (refused,) if ends_here or update.code == ENDED_ALREADY_CODE else (refused, status)
        word = self._status_word(ticket, update.state)
        return listings.open_order(self.order(ticket, word)), status

    def _status(self, ticket: VenueOrder, state: OrderState, filled: Decimal) -> Fields:
        fills = _worth(ticket, filled)
        return says.order_status(
            says.StatusFields(
                order_id=self._registry.order_id(ticket),
                client_id=ticket.client_id,
                perm_id=ticket.perm_id,
                status=self._status_word(ticket, state),
                filled=filled,
                remaining=ticket.terms.quantity - filled,
                average_price=_average(fills),
                last_price=fills[-1].price if fills else ZERO,
            )
        )

    def _status_word(self, ticket: VenueOrder, state: OrderState) -> str:
        opens_at = self._opens_at.get(ticket.perm_id)
        if state is OrderState.WORKING and opens_at is not None and opens_at > self._exchange.now:
            return PRE_SUBMITTED
        return STATUSES[state]

    def _terms(self, ticket: VenueOrder) -> OrderTerms:
        terms = ticket.terms
        return OrderTerms(
            action=terms.side,
            quantity=terms.quantity,
            order_type=terms.order_type,
            limit_price=terms.limit_price,
            account=self._exchange.world.account.id,
            order_ref=terms.order_ref,
            outside_rth=terms.outside_rth,
            transmit=not ticket.is_held,
            tif=UNTIL_CANCELLED if ticket.perm_id in self._until_cancelled else DAY,
        )

    def _error(self, ticket: VenueOrder, code: int, text: str) -> Fields:
        return error(self._registry.order_id(ticket), code, text)


def _special(reason: str) -> str:
    """The reason of a cancel, where it says more than that the order was cancelled."""
    return "" if reason == JUST_CANCELLED else reason


def commission(exec_id: str, amount: Decimal, currency: str) -> Fields:
    """What a fill cost."""
    return says.commission_report(says.CommissionFields(exec_id, amount, currency))


def _status_before_commission(reports: Sequence[Report]) -> list[Report]:
    ordered = list(reports)
    for at in range(len(ordered) - 1):
        first, second = ordered[at], ordered[at + 1]
        is_pair = isinstance(first.event, CommissionReport) and isinstance(second.event, OrderUpdate)
        if is_pair and first.perm_id == second.perm_id:
            ordered[at], ordered[at + 1] = second, first
    return ordered


def _upto(fills: Sequence[Fill], fill: Fill) -> Sequence[Fill]:
    ids = [one.exec_id for one in fills]
    return fills[: ids.index(fill.exec_id) + 1] if fill.exec_id in ids else [fill]


def _worth(ticket: VenueOrder, filled: Decimal) -> list[Fill]:
    """The order's first fills that make up so many shares."""
    found: list[Fill] = []
    total = ticket.filled_before
    for fill in ticket.fills:
        if total >= filled:
            break
        total += fill.shares
        found.append(fill)
    return found


def _average(fills: Sequence[Fill]) -> Decimal:
    shares = sum((fill.shares for fill in fills), ZERO)
    return sum((fill.shares * fill.price for fill in fills), ZERO) / shares if shares else ZERO
