"""Who answers which request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.sim.gateway import account, contracts, lists, market, orders
from core.sim.gateway.contracts import about_contract
from core.sim.gateway.faults import NOTHING, About
from core.sim.gateway.state import ClientSession, GatewayState
from core.sim.wire import requests as ask
from core.sim.wire import session as says
from core.sim.wire.placing import PlaceOrder

# a gateway calls its own messages so
READ_ONLY_REFUSES: Mapping[type, str] = {
    ask.AskOpenOrders: "as",
    ask.AskCompletedOrders: "S",
    ask.AskIds: "aa",
    PlaceOrder: "bF",
}
READ_ONLY = "Error validating request.-'{letters}' : cause - The API interface is currently in Read-Only mode."

Handler = Callable[[GatewayState, ClientSession, Any], None]


def answer(state: GatewayState, session: ClientSession, request: ask.Request) -> None:
    """Do what the client asks; what nobody here knows is ignored and noted."""
    letters = READ_ONLY_REFUSES.get(type(request), "")
    if state.options.is_read_only and letters:
        session.complain(NOTHING, 321, READ_ONLY.format(letters=letters))
    else:
        HANDLERS[type(request)](state, session, request)


def refuse_too_fast(state: GatewayState, session: ClientSession, request: ask.Request, about: About) -> None:
    """Error 100 instead of an answer."""
    if isinstance(request, PlaceOrder):
        orders.place_too_fast(state, session, request)
    else:
        session.complain(about, 100)


def about_of(state: GatewayState, client: int, request: ask.Request) -> About:
    """What a request is about: its own id or that of its order, the symbol, the order's reference."""
    match request:
        case PlaceOrder():
            return orders.about_order(state, request)
        case ask.CancelOrder():
            perm_id = state.registry.perm_id(client, request.order_id)
            ticket = state.exchange.tickets.get(perm_id or 0)
            return state.teller.about(ticket) if ticket else About(request.order_id)
        case ask.AskMarketData() | ask.AskContract() | ask.AskHistory():
            return about_contract(state, request.req_id, request.contract)
        case _:
            return About(getattr(request, "req_id", NOTHING.id))


def _ignore(state: GatewayState, session: ClientSession, request: ask.Request) -> None:
    name = f"{request.msg_id}" if isinstance(request, ask.Unknown) else type(request).__name__
    state.note("ignored", name, client=session.client)


def _tell_accounts(state: GatewayState, session: ClientSession, _request: ask.AskManagedAccounts) -> None:
    session.say(says.managed_accounts([state.account]))


def _tell_next_id(state: GatewayState, session: ClientSession, _request: ask.AskIds) -> None:
    session.say(says.next_valid_id(state.registry.next_id(session.client)))


def _tell_time(state: GatewayState, session: ClientSession, _request: ask.AskTime) -> None:
    session.say(says.current_time(state.now()))


HANDLERS: Mapping[type, Handler] = {
    ask.StartApi: _ignore,
    ask.SetLogLevel: _ignore,
    ask.BindOpenOrders: _ignore,
    ask.Unknown: _ignore,
    ask.AskManagedAccounts: _tell_accounts,
    ask.AskIds: _tell_next_id,
    ask.AskTime: _tell_time,
    ask.AskAccount: account.ask_account,
    ask.AskAccountMulti: account.ask_account_multi,
    ask.CancelAccountMulti: account.cancel_account_multi,
    ask.AskSummary: account.ask_summary,
    ask.CancelSummary: account.cancel_summary,
    ask.AskPositions: account.ask_positions,
    ask.CancelPositions: account.cancel_positions,
    ask.AskProfit: account.ask_profit,
    ask.CancelProfit: account.cancel_profit,
    ask.AskProfitSingle: account.ask_profit_single,
    ask.CancelProfitSingle: account.cancel_profit_single,
    ask.AskContract: contracts.ask_contract,
    ask.AskMarketRule: contracts.ask_market_rule,
    ask.AskMarketData: market.ask_quote,
    ask.CancelMarketData: market.cancel_quote,
    ask.SetMarketDataType: market.set_data_type,
    ask.AskHistory: market.ask_history,
    ask.CancelHistory: market.cancel_history,
    PlaceOrder: orders.place,
    ask.CancelOrder: orders.cancel,
    ask.CancelEverything: orders.cancel_everything,
    ask.AskOpenOrders: lists.ask_open_orders,
    ask.AskAllOpenOrders: lists.ask_all_open_orders,
    ask.AskCompletedOrders: lists.ask_completed_orders,
    ask.AskExecutions: lists.ask_executions,
}
