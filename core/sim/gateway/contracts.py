"""Which contract a client means, its details, and its price steps."""

from __future__ import annotations

from dataclasses import replace

from core.model import Contract, SecurityType, Symbol
from core.sim.gateway.faults import NO_SUBJECT, Subject
from core.sim.gateway.state import ClientSession, GatewayState
from core.sim.wire import contracts as wire_contracts
from core.sim.wire.contracts import ContractFields, DetailFields
from core.sim.wire.requests import RequestContractDetails, RequestMarketRule

NO_SUCH_RULE = "The market rule is unknown"


def symbol_of(fields: ContractFields) -> Symbol:
    """The symbol as the exchange knows it: of a pair USD in CAD it is USD.CAD."""
    # the API names a pair by symbol USD and currency CAD; USD.CAD is its local symbol
    if fields.security_type == "CASH" and "." not in fields.symbol:
        return Symbol(f"{fields.symbol}.{fields.currency}" if fields.symbol else fields.local_symbol)
    return Symbol(fields.symbol or fields.local_symbol)


def find(state: GatewayState, fields: ContractFields) -> Contract | None:
    """The one contract that is meant: by its id if there is one, else by all fields that are set."""
    if fields.con_id:
        return state.by_con_id.get(fields.con_id)
    # clients send empty fields for what they leave open, so an empty one fits everything
    contract = state.contracts.get(symbol_of(fields))
    return contract if contract is not None and _fits(contract, fields) else None


def subject_of_contract(state: GatewayState, req_id: int, fields: ContractFields) -> Subject:
    """What a request on this contract is about."""
    contract = find(state, fields)
    return Subject(req_id, contract.symbol if contract else symbol_of(fields))


def request_contract_details(state: GatewayState, session: ClientSession, request: RequestContractDetails) -> None:
    """Send the details and their end, or error 200 alone."""
    contract = find(state, request.contract)
    subject = subject_of_contract(state, request.req_id, request.contract)
    if contract is None:
        session.send_error(subject, 200)
        return
    details = _routed(wire_contracts.detail_fields_of(contract), request.contract.exchange)
    session.send(wire_contracts.contract_details(request.req_id, details), subject)
    session.send(wire_contracts.contract_details_end(request.req_id), subject)


def request_market_rule(state: GatewayState, session: ClientSession, request: RequestMarketRule) -> None:
    """Send the price steps of the rule; an error without an id for a rule that no contract has."""
    ticks = state.rules.get(request.rule_id)
    if ticks is None:
        session.send_error(NO_SUBJECT, 321, NO_SUCH_RULE)
    else:
        session.send(wire_contracts.market_rule(request.rule_id, ticks))


def _routed(details: DetailFields, exchange: str) -> DetailFields:
    """The details at the requested exchange, as a gateway shows them."""
    return replace(details, contract=replace(details.contract, exchange=exchange or details.contract.exchange))


def _fits(contract: Contract, fields: ContractFields) -> bool:
    listed = wire_contracts.contract_fields_of(contract)
    wanted = ((fields.security_type, listed.security_type), (fields.currency, listed.currency))
    return all(not asked or asked == found for asked, found in wanted) and _trades_at(contract, fields)


def _trades_at(contract: Contract, fields: ContractFields) -> bool:
    if contract.security_type is SecurityType.CASH:
        return fields.exchange in ("", contract.exchange)
    return not fields.primary_exchange or fields.primary_exchange == contract.primary_exchange
