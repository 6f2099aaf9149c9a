"""Which function handles which request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.sim.gateway import account, contracts, lists, market, orders
from core.sim.gateway.contracts import subject_of_contract
from core.sim.gateway.faults import NO_SUBJECT, Subject
from core.sim.gateway.state import ClientSession, GatewayState
from core.sim.wire import requests
from core.sim.wire import session as wire_session
from core.sim.wire.placing import PlaceOrder

# the letters by which a gateway names its own messages in the text
READ_ONLY_REFUSES: Mapping[type, str] = {
    requests.RequestOpenOrders: "as",
    requests.RequestCompletedOrders: "S",
    requests.RequestIds: "aa",
    PlaceOrder: "bF",
}
READ_ONLY = "Error validating request.-'{letters}' : cause - The API interface is currently in Read-Only mode."

Handler = Callable[[GatewayState, ClientSession, Any], None]


def handle(state: GatewayState, session: ClientSession, request: requests.Request) -> None:
    """Handle the request; an unknown kind is ignored and logged."""
    letters = READ_ONLY_REFUSES.get(type(request), "")
    if state.options.is_read_only and letters:
        session.send_error(NO_SUBJECT, 321, READ_ONLY.format(letters=letters))
    else:
        HANDLERS[type(request)](state, session, request)


def refuse_too_fast(state: GatewayState, session: ClientSession, request: requests.Request, subject: Subject) -> None:
    """Error 100 instead of an answer."""
    if isinstance(request, PlaceOrder):
        orders.place_too_fast(state, session, request)
    else:
        session.send_error(subject, 100)


def subject_of(state: GatewayState, client: int, request: requests.Request) -> Subject:
    """What a request is about: its own id or that of its order, the symbol, the order's reference."""
    match request:
        case PlaceOrder():
            return orders.subject_of_order(state, request)
        case requests.CancelOrder():
            perm_id = state.order_ids.perm_id(client, request.order_id)
            if perm_id is None:
                return Subject(request.order_id)
            account = state.account_of(perm_id)
            return account.order_messages.subject(account.exchange.orders[perm_id])
        case requests.RequestMarketData() | requests.RequestContractDetails() | requests.RequestHistory():
            return subject_of_contract(state, request.req_id, request.contract)
        case _:
            return Subject(getattr(request, "req_id", NO_SUBJECT.id))


def _ignore(state: GatewayState, session: ClientSession, request: requests.Request) -> None:
    name = f"{request.msg_id}" if isinstance(request, requests.UnknownRequest) else type(request).__name__
    state.note("ignored", name, client=session.client)


def _send_accounts(state: GatewayState, session: ClientSession, _request: requests.RequestManagedAccounts) -> None:
    session.send(wire_session.managed_accounts(state.accounts))


def _send_next_id(state: GatewayState, session: ClientSession, _request: requests.RequestIds) -> None:
    session.send(wire_session.next_valid_id(state.order_ids.next_id(session.client)))


def _send_time(state: GatewayState, session: ClientSession, _request: requests.RequestCurrentTime) -> None:
    session.send(wire_session.current_time(state.now()))


HANDLERS: Mapping[type, Handler] = {
    requests.SetLogLevel: _ignore,
    requests.AutoOpenOrders: _ignore,
    requests.UnknownRequest: _ignore,
    requests.RequestManagedAccounts: _send_accounts,
    requests.RequestIds: _send_next_id,
    requests.RequestCurrentTime: _send_time,
    requests.RequestAccountUpdates: account.request_account_updates,
    requests.RequestAccountUpdatesMulti: account.request_account_updates_multi,
    requests.CancelAccountUpdatesMulti: account.cancel_account_updates_multi,
    requests.RequestAccountSummary: account.request_account_summary,
    requests.CancelAccountSummary: account.cancel_account_summary,
    requests.RequestPositions: account.request_positions,
    requests.CancelPositions: account.cancel_positions,
    requests.RequestPnl: account.request_pnl,
    requests.CancelPnl: account.cancel_pnl,
    requests.RequestPnlSingle: account.request_pnl_single,
    requests.CancelPnlSingle: account.cancel_pnl_single,
    requests.RequestContractDetails: contracts.request_contract_details,
    requests.RequestMarketRule: contracts.request_market_rule,
    requests.RequestMarketData: market.request_market_data,
    requests.CancelMarketData: market.cancel_market_data,
    requests.SetMarketDataType: market.set_data_type,
    requests.RequestHistory: market.request_history,
    requests.CancelHistory: market.cancel_history,
    PlaceOrder: orders.place,
    requests.CancelOrder: orders.cancel,
    requests.GlobalCancel: orders.global_cancel,
    requests.RequestOpenOrders: lists.request_open_orders,
    requests.RequestAllOpenOrders: lists.request_all_open_orders,
    requests.RequestCompletedOrders: lists.request_completed_orders,
    requests.RequestExecutions: lists.request_executions,
}
