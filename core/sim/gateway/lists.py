"""Requests for lists: the working orders, the completed ones, and the executions of the day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from core.model import NEW_YORK, Fill, OrderState, Side
from core.sim.gateway.order_messages import commission
from core.sim.gateway.state import ClientSession, GatewayState, ManagedAccount
from core.sim.venue.orders import VenueOrder
from core.sim.wire import listings, requests
from core.sim.wire import orders as wire_orders
from core.sim.wire.contracts import contract_fields_of
from core.sim.wire.fields import venue_time

AccountOrder = tuple[ManagedAccount, VenueOrder]

# a filter may spell the side as orders do or as executions do
SIDES = {Side.BUY: ("BUY", "BOT"), Side.SELL: ("SELL", "SLD")}


def request_open_orders(state: GatewayState, session: ClientSession, _request: requests.RequestOpenOrders) -> None:
    """Send this client's own open orders, each with its status, and their end."""
    _list(session, _own(state, session))


def list_own_orders(state: GatewayState, session: ClientSession) -> None:
    """Send a client with working orders of its own their list, before anything else and unasked, as a gateway does."""
    own = _own(state, session)
    if own:
        _list(session, own)


def request_all_open_orders(
    state: GatewayState, session: ClientSession, _request: requests.RequestAllOpenOrders
) -> None:
    """Send the open orders of all clients and accounts, each with its status, and their end."""
    _list(session, _open(state, session))


def request_completed_orders(
    state: GatewayState, session: ClientSession, request: requests.RequestCompletedOrders
) -> None:
    """Send the completed orders of all accounts, all or those sent through the API, and their end.

    The statuses of the client's own cancelled orders are sent again first, as a gateway does.
    """
    orders = [(account, order) for account in state.all_accounts for order in account.exchange.orders.values()]
    for account, order in orders:
        if order.state is OrderState.CANCELLED and order.client_id == session.client:
            session.send(account.order_messages.listed(order)[1], account.order_messages.subject(order))
    for account, order in orders:
        if not order.is_open and (order.client_id or not request.api_only):
            session.send(account.order_messages.completed(order), account.order_messages.subject(order))
    session.send(listings.completed_orders_end())


def request_executions(state: GatewayState, session: ClientSession, request: requests.RequestExecutions) -> None:
    """Send today's fills that match, then their commissions, and their end."""
    asked = [account for account in state.all_accounts if request.account in ("", account.id)]
    found = [
        (fill, order, account)
        for account in asked
        for order in account.exchange.orders.values()
        for fill in order.fills
        if _matches(state, request, order, fill)
    ]
    found.sort(key=lambda one: (one[0].at, one[0].exec_id))
    # executions first and their commissions after all of them, in the order of a real gateway
    for fill, order, account in found:
        messages = account.order_messages
        session.send(messages.execution(order, fill, request.req_id), messages.subject(order))
    for fill, order, account in found:
        if fill.commission is not None:
            paid = commission(fill.exec_id, fill.commission, fill.commission_currency or "")
            session.send(paid, account.order_messages.subject(order))
    session.send(wire_orders.execution_end(request.req_id))


def _open(state: GatewayState, session: ClientSession) -> list[AccountOrder]:
    return [(account, order) for account in state.all_accounts for order in account.exchange.open_to(session.client)]


def _own(state: GatewayState, session: ClientSession) -> list[AccountOrder]:
    return [(account, order) for account, order in _open(state, session) if order.client_id == session.client]


def _list(session: ClientSession, orders: Iterable[AccountOrder]) -> None:
    for account, order in orders:
        for fields in account.order_messages.listed(order):
            session.send(fields, account.order_messages.subject(order))
    session.send(listings.open_order_end())


def _matches(state: GatewayState, request: requests.RequestExecutions, order: VenueOrder, fill: Fill) -> bool:
    fields = contract_fields_of(order.terms.contract)
    wanted = (
        (request.symbol, (fields.symbol, fields.local_symbol)),
        (request.security_type, (fields.security_type,)),
        (request.exchange, (fields.exchange, fields.primary_exchange)),
        (request.side.upper(), SIDES[fill.side]),
    )
    is_clients = request.client_id in (0, order.client_id)
    # without a "since" a gateway lists the current day only, which is the exchange's
    is_recent = _is_today(state.now(), fill.at) and venue_time(fill.at) >= request.since.replace("-", " ")
    return is_clients and is_recent and all(not asked or asked in found for asked, found in wanted)


def _is_today(now: datetime, at: datetime) -> bool:
    return at.astimezone(NEW_YORK).date() == now.astimezone(NEW_YORK).date()
