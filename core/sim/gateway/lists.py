"""What clients ask of orders and fills: those that work, those that ended, and what filled today."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from core.model import Fill, OrderState, Side
from core.sim.gateway.house import House, Session
from core.sim.gateway.tidings import commission
from core.sim.messages import listings
from core.sim.messages import orders as says
from core.sim.messages import requests as ask
from core.sim.messages.contracts import contract_fields_of
from core.sim.sessions import NEW_YORK
from core.sim.tickets import Ticket
from core.sim.wire import venue_time

SIDES = {Side.BUY: ("BUY", "BOT"), Side.SELL: ("SELL", "SLD")}


def ask_open_orders(house: House, session: Session, _request: ask.AskOpenOrders) -> None:
    """This client's own open orders, each with its status, and the end of them."""
    _list(house, session, _own(house, session))


def list_own_orders(house: House, session: Session) -> None:
    """What a client with working orders of its own is told before anything else, without having asked."""
    own = _own(house, session)
    if own:
        _list(house, session, own)


def ask_all_open_orders(house: House, session: Session, _request: ask.AskAllOpenOrders) -> None:
    """Everybody's open orders, each with its status, and the end of them."""
    _list(house, session, house.exchange.open_to(session.client))


def ask_completed_orders(house: House, session: Session, request: ask.AskCompletedOrders) -> None:
    """The orders that ended, of everybody or of those sent through the API, and the end of them.

    The statuses of the client's own cancelled ones are told again first, as a gateway does.
    """
    for ticket in house.exchange.tickets.values():
        if ticket.state is OrderState.CANCELLED and ticket.client_id == session.client:
            session.say(house.teller.listed(ticket)[1], house.teller.about(ticket))
    for ticket in house.exchange.tickets.values():
        if not ticket.is_open and (ticket.client_id or not request.api_only):
            session.say(house.teller.completed(ticket), house.teller.about(ticket))
    session.say(listings.completed_orders_end())


def ask_executions(house: House, session: Session, request: ask.AskExecutions) -> None:
    """Today's fills that match, then their commissions, and the end of them."""
    fills = [(fill, ticket) for ticket in house.exchange.tickets.values() for fill in ticket.fills]
    found: list[tuple[Fill, Ticket]] = []
    for fill, ticket in sorted(fills, key=lambda one: (one[0].at, one[0].exec_id)):
        if not _matches(house, request, ticket, fill):
            continue
        session.say(house.teller.execution(ticket, fill, request.req_id), house.teller.about(ticket))
        found.append((fill, ticket))
    for fill, ticket in found:
        if fill.commission is not None:
            paid = commission(fill.exec_id, fill.commission, fill.commission_currency or "")
            session.say(paid, house.teller.about(ticket))
    session.say(says.execution_end(request.req_id))


def _own(house: House, session: Session) -> list[Ticket]:
    return [ticket for ticket in house.exchange.open_to(session.client) if ticket.client_id == session.client]


def _list(house: House, session: Session, tickets: Iterable[Ticket]) -> None:
    for ticket in tickets:
        for fields in house.teller.listed(ticket):
            session.say(fields, house.teller.about(ticket))
    session.say(listings.open_order_end())


def _matches(house: House, request: ask.AskExecutions, ticket: Ticket, fill: Fill) -> bool:
    fields = contract_fields_of(ticket.terms.contract)
    wanted = (
        (request.account, (house.account,)),
        (request.symbol, (fields.symbol, fields.local_symbol)),
        (request.security_type, (fields.security_type,)),
        (request.exchange, (fields.exchange, fields.primary_exchange)),
        (request.side.upper(), SIDES[fill.side]),
    )
    is_clients = request.client_id in (0, ticket.client_id)
    is_recent = _is_today(house.now(), fill.at) and venue_time(fill.at) >= request.since.replace("-", " ")
    return is_clients and is_recent and all(not said or said in found for said, found in wanted)


def _is_today(now: datetime, at: datetime) -> bool:
    return at.astimezone(NEW_YORK).date() == now.astimezone(NEW_YORK).date()
