"""Contracts as the broker knows them: requested once, then cached for as long as the client lives."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from core.broker.error_codes import NO_CONTRACT
from core.broker.errors import lost, not_listed_in_us, not_tradable, other_name, unknown, unknown_symbol
from core.broker.ib.client import ContractQuery
from core.broker.ib.messages import ContractDetailsRow, ContractRow, rule_key
from core.broker.ib.requests import RequestRefused
from core.broker.ib.session import GatewaySession
from core.market.hours import is_new_york
from core.model import CAD, IDEALPRO, NEW_YORK, SMART, USD, USD_CAD, Contract, Currency, SecurityType, Symbol, TickBand
from core.money import CENT, ONE, ZERO

RULE_SECONDS = 5.0  # the broker does not answer for a market rule that it does not know
CONTRACTS = "contracts"
# any share of the US trades at several of these
US_EXCHANGES = {
    *("AMEX", "ARCA", "BATS", "BEX", "BYX", "CBOE", "CHX", "DRCTEDGE", "EDGEA", "IEX", "ISLAND", "LTSE"),
    *("MEMX", "NASDAQ", "NYSE", "NYSENAT", "PEARL", "PINK", "PSX"),
}
SECURITY_TYPES: Mapping[str, SecurityType] = {"STK": SecurityType.STOCK, "CASH": SecurityType.CASH}


class ContractFault(Exception):
    """The broker knows no such contract, or more than one; the text names the symbol."""


class ContractCache:
    """The contracts so far: by symbol and override, and by conId where they are held; and the market rules."""

    def __init__(self) -> None:
        self._wanted: dict[tuple[Symbol, str], Contract] = {}
        self._held: dict[int, Contract] = {}
        self._rules: dict[int, tuple[TickBand, ...]] = {}
        self._rule_locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def resolve(
        self, session: GatewaySession, symbols: Sequence[Symbol], overrides: Mapping[Symbol, str]
    ) -> dict[Symbol, Contract]:
        """The contract of each symbol. Raises ContractNotFound naming every one that cannot be traded here."""
        wanted = [(symbol, overrides.get(symbol, "")) for symbol in dict.fromkeys(symbols)]
        missing = [key for key in wanted if key not in self._wanted]
        found = await asyncio.gather(*(self._find(session, *key) for key in missing), return_exceptions=True)
        faults: list[str] = []
        for key, answer in zip(missing, found, strict=True):
            if isinstance(answer, ContractFault):
                faults.append(str(answer))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self._wanted[key] = answer
        if faults:
            raise unknown(faults)
        return {symbol: self._wanted[symbol, override] for symbol, override in wanted}

    async def of_holdings(
        self, session: GatewaySession, holdings: Sequence[ContractRow], what: str
    ) -> dict[int, Contract]:
        """The contract of each holding by conId; without details, it is the contract as the portfolio names it."""
        missing = [one for one in holdings if one.con_id not in self._held]
        found = await asyncio.gather(*(self._hold(session, one, what) for one in missing), return_exceptions=True)
        for holding, answer in zip(missing, found, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                self._held[holding.con_id] = answer
        return {one.con_id: self._held.get(one.con_id) or _without_details(one) for one in holdings}

    async def _find(self, session: GatewaySession, symbol: Symbol, override: str) -> Contract:
        query = _query_of(symbol, override)
        rows = await _details(session, query, CONTRACTS)
        if len({row.contract.con_id for row in rows}) > 1:
            raise ContractFault(f"{symbol} is ambiguous")
        if not rows and query.security_type == "STK":
            # there may be one in another currency, which the error should then name
            rows = await _details(session, replace(query, currency=""), CONTRACTS)
        if not rows:
            raise ContractFault(unknown_symbol(symbol))
        contract = await self._contract(session, rows[0], query.exchange, CONTRACTS)
        if fault := other_name(contract, symbol) or not_tradable(contract):
            raise ContractFault(fault)
        if contract.security_type is SecurityType.ETF and not _is_listed_in_us(rows[0]):
            raise ContractFault(not_listed_in_us(symbol, _listing_of(rows[0])))
        return contract

    async def _hold(self, session: GatewaySession, holding: ContractRow, what: str) -> Contract | None:
        """The contract from its details; None where the broker knows none."""
        for exchange in _exchanges_of(holding):
            rows = await _details(session, ContractQuery(con_id=holding.con_id, exchange=exchange), what)
            if rows:
                row = rows[0]
                best = SMART if SMART in row.exchanges else exchange or row.contract.exchange
                return _unless_abroad(await self._contract(session, row, best, what), row)
        return None

    async def _contract(self, session: GatewaySession, row: ContractDetailsRow, exchange: str, what: str) -> Contract:
        kind = SECURITY_TYPES.get(row.contract.security_type, SecurityType.OTHER)
        return Contract(
            symbol=row.contract.as_symbol,
            con_id=row.contract.con_id,
            security_type=SecurityType.ETF if row.stock_type == "ETF" else kind,
            currency=row.contract.currency,
            ticks=await self._ticks(session, row, exchange, what),
            exchange=exchange,
            primary_exchange=row.contract.primary_exchange or (IDEALPRO if kind is SecurityType.CASH else ""),
            liquid_hours=row.liquid_hours,
            trading_hours=row.trading_hours,
            time_zone=NEW_YORK.key if _is_in_new_york(row) else row.time_zone,
            # IDEALPRO trades in steps of 0.01 of the currency, which are no fractional shares
            fractional=kind is not SecurityType.CASH
            and row.size_increment is not None
            and ZERO < row.size_increment < ONE,
        )

    async def _ticks(
        self, session: GatewaySession, row: ContractDetailsRow, exchange: str, what: str
    ) -> tuple[TickBand, ...]:
        """The price steps at `exchange`: its market rule, else the contract's minTick, else a cent."""
        # marketRuleIds has one id for each of validExchanges, in the same order
        rules = dict(zip(row.exchanges, row.rules, strict=False))
        rule = rules.get(exchange, "")
        if rule.isdecimal():
            bands = await self._rule(session, int(rule), what)
            if bands:
                return bands
        return (TickBand(low_edge=ZERO, increment=row.min_tick or CENT),)

    async def _rule(self, session: GatewaySession, rule_id: int, what: str) -> tuple[TickBand, ...]:
        """The price steps of a market rule; none where the broker does not answer or knows none."""
        # many contracts share a rule: the first one requests it, the others wait for its answer
        async with self._rule_locks[rule_id]:
            if rule_id not in self._rules:
                transmit = partial(session.client.request_market_rule, rule_id)
                try:
                    rows = await session.request_within(RULE_SECONDS, rule_key(rule_id), transmit, what)
                except RequestRefused:
                    rows = None
                if rows is None:
                    return ()
                self._rules[rule_id] = rows[0].bands
        return self._rules[rule_id]


async def _details(session: GatewaySession, query: ContractQuery, what: str) -> list[ContractDetailsRow]:
    """The details of all contracts that match, none for an error 200. Raises ConnectionLost."""
    request_id = session.next_id()
    try:
        return await session.request(
            request_id, lambda: session.client.request_contract_details(request_id, query), what
        )
    except RequestRefused as refusal:
        if refusal.code == NO_CONTRACT:
            return []
        raise lost(f"the gateway refused to report a contract: {refusal}") from None


def _is_listed_in_us(row: ContractDetailsRow) -> bool:
    """By its exchanges, for Toronto is in New York's time zone; by its time zone where no exchanges are reported."""
    exchanges = {*row.exchanges, row.contract.primary_exchange} - {"", SMART}
    if exchanges:
        return bool(exchanges & US_EXCHANGES)
    return _is_in_new_york(row)


def _is_in_new_york(row: ContractDetailsRow) -> bool:
    """Whether its hours are New York's, as they are where the broker names no zone."""
    return not row.time_zone or is_new_york(row.time_zone)


def _unless_abroad(contract: Contract, row: ContractDetailsRow) -> Contract:
    """The holding; an ETF in USD listed elsewhere counts as a share, or it could be sold as an untargeted ETF."""
    is_etf = contract.security_type is SecurityType.ETF and contract.currency == USD
    return replace(contract, security_type=SecurityType.STOCK) if is_etf and not _is_listed_in_us(row) else contract


def _listing_of(row: ContractDetailsRow) -> str:
    others = [exchange for exchange in row.exchanges if exchange != SMART]
    parts = (row.contract.primary_exchange or ", ".join(others), row.time_zone)
    return ", ".join(part for part in parts if part)


def _query_of(symbol: Symbol, override: str) -> ContractQuery:
    """The query for a symbol; an override is a conId or an exchange."""
    is_pair = symbol == USD_CAD
    exchange = IDEALPRO if is_pair else SMART
    if override.isdecimal():
        # with a conId no symbol is sent: the contract found is checked against the symbol afterwards
        return ContractQuery(con_id=int(override), exchange=exchange)
    if is_pair:
        return ContractQuery(symbol=USD, security_type="CASH", exchange=override or exchange, currency=CAD)
    return ContractQuery(symbol=symbol, security_type="STK", exchange=override or exchange, currency=USD)


def _exchanges_of(holding: ContractRow) -> Iterable[str]:
    """Where a holding is looked up, in this order: SMART does not know every one."""
    match SECURITY_TYPES.get(holding.security_type):
        case None:
            return ()
        case SecurityType.CASH:
            return IDEALPRO, ""
        case _:
            return dict.fromkeys((SMART, holding.primary_exchange, ""))


def _without_details(holding: ContractRow) -> Contract:
    return Contract(
        symbol=holding.as_symbol,
        con_id=holding.con_id,
        security_type=SECURITY_TYPES.get(holding.security_type, SecurityType.OTHER),
        currency=Currency(holding.currency),
        ticks=(TickBand(low_edge=ZERO, increment=CENT),),
        exchange=holding.exchange or SMART,
        primary_exchange=holding.primary_exchange,
    )
