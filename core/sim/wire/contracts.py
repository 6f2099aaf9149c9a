"""Contracts as the wire spells them, their details, and the price steps they trade in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from zlib import crc32

from core.model import USD, Contract, SecurityType, TickBand
from core.money import FRACTION_OF_SHARE, ONE, ZERO
from core.sim.venue.sessions import GATEWAY_ZONE
from core.sim.wire.fields import Cursor, Fields, number

SECURITY_TYPES = {
    SecurityType.ETF: "STK",
    SecurityType.STOCK: "STK",
    SecurityType.CASH: "CASH",
    SecurityType.OTHER: "BOND",
}
STOCK_TYPES = {SecurityType.ETF: "ETF", SecurityType.STOCK: "COMMON"}
# where any share of the US trades, as IBKR lists it
US_EXCHANGES = (
    *("AMEX", "NYSE", "CBOE", "PHLX", "ISE", "CHX", "ARCA", "NASDAQ", "DRCTEDGE", "BEX", "BATS", "EDGEA", "BYX", "IEX"),
    *("EDGX", "FOXRIVER", "PEARL", "NYSENAT", "LTSE", "MEMX", "IBEOS", "OVERNIGHT", "TPLUS0", "PSX", "T24X"),
)
ROUND_LOT = Decimal(100)
PAIR_SIZE = Decimal("0.01")
SHARES_GROUP, PAIRS_GROUP = "1", "4"
# the numbers that IBKR itself gives to the two rules most used here; any other is computed
RULES: Mapping[tuple[TickBand, ...], int] = {
    (TickBand(ZERO, Decimal("0.01")),): 26,
    (TickBand(ZERO, Decimal("0.00005")),): 3188,
}


@dataclass(frozen=True, slots=True)
class ContractFields:
    """A contract as it is requested or shown; empty and zero stand for what is not set."""

    con_id: int = 0
    symbol: str = ""
    security_type: str = ""
    expiry: str = ""
    strike: Decimal = ZERO
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""

    @property
    def listed_at(self) -> str:
        """The exchange it is listed at, where the lists of holdings show it, rather than how orders are routed."""
        return self.primary_exchange or self.exchange


@dataclass(frozen=True, slots=True)
class DetailFields:
    """The details of a contract; `market_rule_ids` has one id for each of `exchanges`, in their order."""

    contract: ContractFields
    min_tick: Decimal
    exchanges: tuple[str, ...]
    market_rule_ids: tuple[int, ...]
    trading_hours: str = ""
    liquid_hours: str = ""
    stock_type: str = ""
    long_name: str = ""
    min_size: Decimal = ONE
    size_increment: Decimal = ONE
    usual_size: Decimal = ROUND_LOT
    isin: str = ""
    time_zone: str = GATEWAY_ZONE
    order_types: str = "ACTIVETIM,DAY,LMT,MKT,WHATIF"


def read_contract(cursor: Cursor) -> ContractFields:
    """The twelve fields of a contract in a request."""
    return ContractFields(
        con_id=cursor.integer() or 0,
        symbol=cursor.text(),
        security_type=cursor.text(),
        expiry=cursor.text(),
        strike=cursor.decimal() or ZERO,
        right=cursor.text(),
        multiplier=cursor.text(),
        exchange=cursor.text(),
        primary_exchange=cursor.text(),
        currency=cursor.text(),
        local_symbol=cursor.text(),
        trading_class=cursor.text(),
    )


def contract_fields_of(contract: Contract) -> ContractFields:
    """The contract as the broker spells it: of a pair USD.CAD the symbol is USD, its currency CAD."""
    is_pair = contract.security_type is SecurityType.CASH
    return ContractFields(
        con_id=contract.con_id,
        symbol=contract.symbol.partition(".")[0] if is_pair else contract.symbol,
        security_type=SECURITY_TYPES[contract.security_type],
        exchange=contract.exchange,
        primary_exchange="" if is_pair else contract.primary_exchange,
        currency=contract.currency,
        local_symbol=contract.symbol,
        trading_class=contract.symbol,
    )


def detail_fields_of(contract: Contract) -> DetailFields:
    """The details of a contract; all its exchanges keep the one market rule of its ticks (`rule_id_of`)."""
    fields = contract_fields_of(contract)
    is_pair = contract.security_type is SecurityType.CASH
    elsewhere = US_EXCHANGES if contract.currency == USD and not is_pair else ()
    exchanges = tuple(dict.fromkeys((fields.exchange, fields.listed_at, *elsewhere)))
    size = PAIR_SIZE if is_pair else FRACTION_OF_SHARE if contract.fractional else ONE
    return DetailFields(
        contract=fields,
        min_tick=min(band.increment for band in contract.ticks),
        exchanges=exchanges,
        market_rule_ids=(rule_id_of(contract.ticks),) * len(exchanges),
        trading_hours=contract.trading_hours,
        liquid_hours=contract.liquid_hours,
        stock_type=STOCK_TYPES.get(contract.security_type, ""),
        long_name=contract.symbol,
        min_size=size,
        size_increment=size,
        usual_size=size if is_pair else ROUND_LOT,
        isin="" if is_pair else f"US{contract.con_id:010d}",
    )


def rule_id_of(ticks: tuple[TickBand, ...]) -> int:
    """The same positive number for the same price steps, everywhere and always; the broker's own where it is known."""
    known = RULES.get(ticks)
    if known:
        return known
    text = ",".join(f"{number(band.low_edge.normalize())}:{number(band.increment.normalize())}" for band in ticks)
    return crc32(text.encode()) % 0x7FFF_FFFE + 1


def contract_details(req_id: int, details: DetailFields) -> Fields:
    """One contract that matches (10)."""
    contract = details.contract
    identity = (
        *(contract.symbol, contract.security_type, contract.expiry, number(contract.strike), contract.right),
        *(contract.exchange, contract.currency, contract.local_symbol, contract.local_symbol, contract.trading_class),
        *(str(contract.con_id), number(details.min_tick), contract.multiplier),
    )
    # both clients undo escapes in the long name, so a backslash of its own is escaped as well
    long_name = details.long_name.encode("unicode_escape").decode("ascii")
    market = (
        *(details.order_types, ",".join(details.exchanges), "1", "0", long_name, contract.primary_exchange),
        *("", "", "", "", details.time_zone, details.trading_hours, details.liquid_hours, "", ""),
    )
    ids = ("1", "ISIN", details.isin, SHARES_GROUP) if details.isin else ("0", PAIRS_GROUP)
    sizes = (number(details.min_size), number(details.size_increment), number(details.usual_size))
    rules = ",".join(str(rule) for rule in details.market_rule_ids)
    return ("10", str(req_id), *identity, *market, *ids, "", "", rules, "", details.stock_type, *sizes)


def contract_details_end(req_id: int) -> Fields:
    """No further contract matches (52)."""
    return "52", "1", str(req_id)


def market_rule(rule_id: int, ticks: tuple[TickBand, ...]) -> Fields:
    """The price steps of a rule (93)."""
    steps = (text for band in ticks for text in (number(band.low_edge), number(band.increment)))
    return ("93", str(rule_id), str(len(ticks)), *steps)
