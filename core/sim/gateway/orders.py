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
from core.sim.gateway.state import ClientSession, GatewayState
from core.sim.venue.checks import refusal_of
from core.sim.venue.orders import Refusal, Report, VenueOrder
from core.sim.wire import listings
from core.sim.wire.contracts import ContractFields, contract_fields_of
from core.sim.wire.placing import PlaceOrder
from core.sim.wire.requests import CancelOrder, GlobalCancel

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
    code, text = _why_unsupported(request)
    known = state.order_ids.modified(session.client, request.order_id)
    if code:
        session.send_error(subject, code, text)
    elif request.terms.what_if:
        _preview(state, session, request)
    elif known is not None:
        _resend(state, session, request, state.exchange.orders[known])
    elif request.order_id < state.order_ids.next_id(session.client):
        session.send_error(subject, 103)
    else:
        _arrive(state, session, request)


def place_too_fast(state: GatewayState, session: ClientSession, request: PlaceOrder) -> None:
    """The order is refused with error 100; the exchange remembers it like any other it refused."""
    is_new = request.order_id >= state.order_ids.next_id(session.client)
    if is_new and not request.terms.what_if and not _why_unsupported(request)[0]:
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
        state.dispatch(state.exchange.cancel(perm_id))


def global_cancel(state: GatewayState, _session: ClientSession, _request: GlobalCancel) -> None:
    """Cancel every order of the account."""
    state.dispatch(state.exchange.cancel_all())


def _arrive(state: GatewayState, session: ClientSession, request: PlaceOrder) -> None:
    symbol = Symbol(subject_of_order(state, request).symbol)
    refusal, breaks = state.scripted_faults.at_order(symbol)
    if breaks:
        # the order still arrives; its client learns of it only after a reconnect
        session.sink.close(f"as scripted: order of {symbol}")
    _submit(state, session, request, refusal)


def _submit(state: GatewayState, session: ClientSession, request: PlaceOrder, refusal: Refusal | None) -> None:
    client, order = session.client, _order(state, request)
    before = len(state.exchange.orders)
    if find(state, request.contract) is None:
        refusal = refusal_of(200)
    if request.terms.transmit or refusal:
        reports: Sequence[Report] = state.exchange.submit(order, client_id=client, refusal=refusal)
    else:
        reports = state.exchange.hold(order, client_id=client)
    state.order_ids.use(client, request.order_id)
    if len(state.exchange.orders) > before:
        state.order_ids.enter(client, request.order_id, next(reversed(state.exchange.orders)))
        state.order_messages.note_time_in_force(next(reversed(state.exchange.orders.values())), request.terms.tif)
    state.dispatch(reports)


def _resend(state: GatewayState, session: ClientSession, request: PlaceOrder, placed: VenueOrder) -> None:
    """The same id once more: a change of the order while it is open, else an error."""
    subject = state.order_messages.subject(placed)
    if placed.is_open:
        order = _order(state, request)
        state.dispatch(state.exchange.modify(placed.perm_id, order, is_held=not request.terms.transmit))
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
    found = state.exchange.what_if(_order(state, request))
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


def _why_unsupported(request: PlaceOrder) -> tuple[int, str]:
    """Why this is no order that the exchange knows, as a code and a text; 0 when it is one."""
    terms = request.terms
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


def _order(state: GatewayState, request: PlaceOrder) -> Order:
    terms = request.terms
    contract = find(state, request.contract) or _unlisted(request.contract)
    contract = replace(contract, exchange=request.contract.exchange or contract.exchange)
    side = Side(terms.action)
    is_limited = terms.order_type == OrderType.LMT
    return Order(
        ref=OrderRef(terms.order_ref),
        account_id=AccountId(terms.account) if terms.account else state.account,
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
