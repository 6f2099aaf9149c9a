"""Requests on orders: place, change, hold, what-if, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.model import (
    AccountId,
    Contract,
    Currency,
    Order,
    OrderRef,
    OrderState,
    OrderType,
    SecurityType,
    Side,
    Stage,
    Symbol,
    TickBand,
)
from core.money import ONE, ZERO
from core.sim.gateway.contracts import find, symbol_of
from core.sim.gateway.faults import Subject
from core.sim.gateway.order_messages import DAY, UNTIL_CANCELLED
from core.sim.gateway.state import ClientSession, GatewayState, ManagedAccount
from core.sim.venue.checks import refusal_of
from core.sim.venue.orders import Refusal, Report
from core.sim.wire import listings
from core.sim.wire.contracts import ContractFields, contract_fields_of
from core.sim.wire.placing import PlaceOrder
from core.sim.wire.requests import CancelOrder, GlobalCancel

# as recorded from a gateway with several accounts; the letters name its own message
NO_ACCOUNT = "Error validating request.-'bF' : cause - You must specify an account."
# an empty one is DAY by the order preset, about which a real gateway sends 10349
TIMES_IN_FORCE = ("", DAY, UNTIL_CANCELLED)


def subject_of_order(state: GatewayState, request: PlaceOrder) -> Subject:
    """What an order that comes in is about."""
    contract = find(state, request.contract)
    symbol = contract.symbol if contract else symbol_of(request.contract)
    return Subject(request.order_id, symbol, request.terms.order_ref, request.terms.what_if)


def place(state: GatewayState, session: ClientSession, request: PlaceOrder) -> None:
    """Place, change or preview the order, as scripted; its reports are sent as they happen."""
    subject = subject_of_order(state, request)
    code, text = _why_unsupported(state, request)
    known = state.order_ids.modified(session.client, request.order_id)
    if code:
        session.send_error(subject, code, text)
    elif request.terms.what_if:
        _preview(state, session, request)
    elif known is not None:
        _resend(state, session, request, known)
    elif request.order_id < state.order_ids.next_id(session.client):
        session.send_error(subject, 103)
    else:
        _arrive(state, session, request)


def place_too_fast(state: GatewayState, session: ClientSession, request: PlaceOrder) -> None:
    """The order is refused with error 100; the exchange remembers it like any other it refused."""
    is_new = request.order_id >= state.order_ids.next_id(session.client)
    if is_new and not request.terms.what_if and not _why_unsupported(state, request)[0]:
        _submit(state, session, request, refusal_of(100))
    else:
        session.send_error(subject_of_order(state, request), 100)


def cancel(state: GatewayState, session: ClientSession, request: CancelOrder) -> None:
    """Cancel an order of this client's own; 10147 for any other."""
    perm_id = state.order_ids.perm_id(session.client, request.order_id)
    if perm_id is None:
        text = f"OrderId {request.order_id} that needs to be cancelled is not found."
        session.send_error(Subject(request.order_id), 10147, text)
    else:
        account = state.account_of(perm_id)
        state.dispatch(account, account.exchange.cancel(perm_id))


def global_cancel(state: GatewayState, _session: ClientSession, _request: GlobalCancel) -> None:
    """Cancel every order of every account."""
    for account in state.all_accounts:
        state.dispatch(account, account.exchange.cancel_all())


def _arrive(state: GatewayState, session: ClientSession, request: PlaceOrder) -> None:
    symbol = Symbol(subject_of_order(state, request).symbol)
    refusal, breaks = state.scripted_faults.at_order(symbol)
    if breaks:
        # the order still arrives; its client learns of it only after a reconnect
        session.sink.close(f"as scripted: order of {symbol}")
    _submit(state, session, request, refusal)


def _submit(state: GatewayState, session: ClientSession, request: PlaceOrder, refusal: Refusal | None) -> None:
    client, account = session.client, _account(state, request)
    exchange, order = account.exchange, _order(state, request)
    before = len(exchange.orders)
    if find(state, request.contract) is None:
        refusal = refusal_of(200)
    if request.terms.transmit or refusal:
        reports: Sequence[Report] = exchange.submit(order, client_id=client, refusal=refusal)
    else:
        reports = exchange.hold(order, client_id=client)
    state.order_ids.use(client, request.order_id)
    if len(exchange.orders) > before:
        state.order_ids.enter(client, request.order_id, next(reversed(exchange.orders)))
        account.order_messages.note_time_in_force(next(reversed(exchange.orders.values())), request.terms.tif)
    state.dispatch(account, reports)


def _resend(state: GatewayState, session: ClientSession, request: PlaceOrder, perm_id: int) -> None:
    """The same id once more: a change of the order while it is open, else an error."""
    account = state.account_of(perm_id)
    placed = account.exchange.orders[perm_id]
    subject = account.order_messages.subject(placed)
    if placed.is_open:
        # the exchange refuses a change of the account
        changed = account.exchange.modify(perm_id, _order(state, request), is_held=not request.terms.transmit)
        state.dispatch(account, changed)
    elif placed.state is OrderState.FILLED:
        session.send_error(subject, 104)
    else:
        session.send_error(subject, 103)


def _preview(state: GatewayState, session: ClientSession, request: PlaceOrder) -> None:
    subject = subject_of_order(state, request)
    contract = find(state, request.contract)
    if contract is None:
        session.send_error(subject, 200)
        return
    found = _account(state, request).exchange.what_if(_order(state, request))
    if found is None:
        return
    if isinstance(found, Refusal):
        session.send_error(subject, found.code, found.text)
        return
    shown = listings.OrderFields(
        order_id=request.order_id,
        client_id=session.client,
        perm_id=0,
        contract=contract_fields_of(contract),
        terms=request.terms,
        status="PreSubmitted",
        effect=found,
    )
    session.send(listings.open_order(shown), subject)


def _why_unsupported(state: GatewayState, request: PlaceOrder) -> tuple[int, str]:
    """Why this is no order that the exchange knows, as a code and a text; 0 when it is one."""
    terms = request.terms
    if state.account_named(terms.account) is None and not terms.account:
        return 321, NO_ACCOUNT
    faults = {
        f"not simulated: {', '.join(terms.unsupported)}": bool(terms.unsupported),
        f"action {terms.action[:20]!r}": terms.action not in tuple(Side),
        f"order type {terms.order_type[:20]!r} is not simulated": terms.order_type not in tuple(OrderType),
        f"time in force {terms.tif[:20]!r} is not simulated": terms.tif not in TIMES_IN_FORCE,
        "a limit order without a limit": terms.order_type == OrderType.LMT and terms.limit_price is None,
        "an order id is above 0": request.order_id <= 0,
    }
    found = [text for text, is_so in faults.items() if is_so]
    return (321, f"Error validating request: {found[0]}") if found else (0, "")


def _account(state: GatewayState, request: PlaceOrder) -> ManagedAccount:
    """The account of the order; for one that there is not, the first, whose exchange refuses the order."""
    return state.account_named(request.terms.account) or state.all_accounts[0]


def _order(state: GatewayState, request: PlaceOrder) -> Order:
    terms = request.terms
    contract = find(state, request.contract) or _unlisted(request.contract)
    contract = replace(contract, exchange=request.contract.exchange or contract.exchange)
    side = Side(terms.action)
    is_limited = terms.order_type == OrderType.LMT
    return Order(
        ref=OrderRef(terms.order_ref),
        account_id=AccountId(terms.account) if terms.account else state.all_accounts[0].id,
        contract=contract,
        stage=_stage(contract, side),
        line=0,
        attempt=1,
        side=side,
        quantity=terms.quantity,
        order_type=OrderType(terms.order_type),
        limit_price=terms.limit_price if is_limited else None,
        outside_rth=terms.outside_rth,
    )


def _stage(contract: Contract, side: Side) -> Stage:
    if contract.security_type is SecurityType.CASH:
        return Stage.FX
    return Stage.BUY if side is Side.BUY else Stage.SELL


def _unlisted(fields: ContractFields) -> Contract:
    return Contract(
        symbol=symbol_of(fields),
        con_id=fields.con_id,
        security_type=SecurityType.OTHER,
        currency=Currency(fields.currency),
        ticks=(TickBand(ZERO, ONE),),
    )
