"""What clients ask of orders and fills: those that work, those that ended, and what filled today."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from core.model import NEW_YORK, Fill, OrderState, Side
from core.sim.gateway.order_messages import commission
from core.sim.gateway.state import ClientSession, GatewayState
from core.sim.venue.orders import VenueOrder
from core.sim.wire import listings
from core.sim.wire import orders as says
from core.sim.wire import requests as ask
from core.sim.wire.contracts import contract_fields_of
from core.sim.wire.frames import venue_time

SIDES = {Side.BUY: ("BUY", "BOT"), Side.SELL: ("SELL", "SLD")}


def ask_open_orders(state: GatewayState, session: ClientSession, _request: ask.AskOpenOrders) -> None:
    """This client's own open orders, each with its status, and the end of them."""
    _list(state, session, _own(state, session))


def list_own_orders(state: GatewayState, session: ClientSession) -> None:
    """What a client with working orders of its own is told before anything else, without having asked."""
    own = _own(state, session)
    if own:
        _list(state, session, own)


def ask_all_open_orders(state: GatewayState, session: ClientSession, _request: ask.AskAllOpenOrders) -> None:
    """Everybody's open orders, each with its status, and the end of them."""
    _list(state, session, state.exchange.open_to(session.client))


def ask_completed_orders(state: GatewayState, session: ClientSession, request: ask.AskCompletedOrders) -> None:
    """The orders that ended, of everybody or of those sent through the API, and the end of them.

    The statuses of the client's own cancelled ones are told again first, as a gateway does.
    """
    for ticket in state.exchange.tickets.values():
        if ticket.state is OrderState.CANCELLED and ticket.client_id == session.client:
            session.say(state.teller.listed(ticket)[1], state.teller.about(ticket))
    for ticket in state.exchange.tickets.values():
        if not ticket.is_open and (ticket.client_id or not request.api_only):
            session.say(state.teller.completed(ticket), state.teller.about(ticket))
    session.say(listings.completed_orders_end())


def ask_executions(state: GatewayState, session: ClientSession, request: ask.AskExecutions) -> None:
    """Today's fills that match, then their commissions, and the end of them."""
    fills = [(fill, ticket) for ticket in state.exchange.tickets.values() for fill in ticket.fills]
    found: list[tuple[Fill, VenueOrder]] = []
    for fill, ticket in sorted(fills, key=lambda one: (one[0].at, one[0].exec_id)):
        if not _matches(state, request, ticket, fill):
            continue
        session.say(state.teller.execution(ticket, fill, request.req_id), state.teller.about(ticket))
        found.append((fill, ticket))
    for fill, ticket in found:
        if fill.commission is not None:
            paid = commission(fill.exec_id, fill.commission, fill.commission_currency or "")
            session.say(paid, state.teller.about(ticket))
    session.say(says.execution_end(request.req_id))


def _own(state: GatewayState, session: ClientSession) -> list[VenueOrder]:
    return [ticket for ticket in state.exchange.open_to(session.client) if ticket.client_id == session.client]


def _list(state: GatewayState, session: ClientSession, tickets: Iterable[VenueOrder]) -> None:
    for ticket in tickets:
        for fields in state.teller.listed(ticket):
            session.say(fields, state.teller.about(ticket))
    session.say(listings.open_order_end())


def _matches(state: GatewayState, request: ask.AskExecutions, ticket: VenueOrder, fill: Fill) -> bool:
    fields = contract_fields_of(ticket.terms.contract)
    wanted = (
        (request.account, (state.account,)),
        (request.symbol, (fields.symbol, fields.local_symbol)),
        (request.security_type, (fields.security_type,)),
        (request.exchange, (fields.exchange, fields.primary_exchange)),
        (request.side.upper(), SIDES[fill.side]),
    )
    is_clients = request.client_id in (0, ticket.client_id)
    is_recent = _is_today(state.now(), fill.at) and venue_time(fill.at) >= request.since.replace("-", " ")
    return is_clients and is_recent and all(not said or said in found for said, found in wanted)


def _is_today(now: datetime, at: datetime) -> bool:
    return at.astimezone(NEW_YORK).date() == now.astimezone(NEW_YORK).date()
