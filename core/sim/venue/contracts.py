"""The contracts of a simulated world."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from zlib import crc32

from core.model import CAD, IDEALPRO, USD, USD_CAD, Contract, Currency, SecurityType, Symbol, TickBand
from core.money import CENT, ZERO, D
from core.sim.venue.sessions import Sessions
from core.sim.venue.world import SimQuote, World

HALF_PIP = D("0.00005")
USD_CAD_CON_ID = 15016062
CURRENCY_VENUES = (IDEALPRO, "FXCONV")


def con_id_of(symbol: Symbol) -> int:
    """The same positive number for the same symbol, everywhere and always."""
    # crc32, for hash() of a text differs from process to process; + 1, for a con id of 0 means none
    return USD_CAD_CON_ID if symbol == USD_CAD else crc32(symbol.encode()) % 0x7FFF_FFFF + 1


def list_contracts(world: World, sessions: Sessions, today: date) -> dict[Symbol, Contract]:
    """Every contract of the world by symbol, in alphabetical order, with its hours from `today` (New York) on."""
    kinds: dict[Symbol, tuple[SecurityType, Currency]] = {USD_CAD: (SecurityType.CASH, CAD)}
    changed = [position for change in world.changes for position in change.positions]
    for position in (*world.account.positions, *changed):
        kinds.setdefault(position.symbol, (position.security_type, position.currency))
    stock_hours = sessions.liquid_text(today), sessions.trading_text(today)
    contracts: dict[Symbol, Contract] = {}
    for symbol in sorted(_symbols(world) | set(kinds)):
        kind, currency = kinds.get(symbol, (SecurityType.ETF, USD))
        quote = world.quotes.get(symbol, SimQuote())
        if kind is SecurityType.CASH:
            contracts[symbol] = _pair(symbol, currency, _ticks(quote, HALF_PIP), sessions.fx_text(today))
        else:
            contracts[symbol] = _share(symbol, (kind, currency), quote, stock_hours)
    return contracts


def _symbols(world: World) -> set[Symbol]:
    moved = {symbol for change in world.changes for symbol in change.quotes}
    ordered = {order.symbol for order in world.account.open_orders}
    return set(world.quotes) | moved | ordered | set(world.listed)


def _ticks(quote: SimQuote, usual: Decimal) -> tuple[TickBand, ...]:
    return (TickBand(low_edge=ZERO, increment=quote.min_tick or usual),)


def _pair(symbol: Symbol, currency: Currency, ticks: tuple[TickBand, ...], hours: str) -> Contract:
    return Contract(
        symbol=symbol,
        con_id=con_id_of(symbol),
        security_type=SecurityType.CASH,
        currency=currency,
        ticks=ticks,
        exchange=IDEALPRO,
        primary_exchange=IDEALPRO,
        liquid_hours=hours,
        trading_hours=hours,
    )


def _share(symbol: Symbol, kind: tuple[SecurityType, Currency], quote: SimQuote, hours: tuple[str, str]) -> Contract:
    return Contract(
        symbol=symbol,
        con_id=con_id_of(symbol),
        security_type=kind[0],
        currency=kind[1],
        ticks=_ticks(quote, CENT),
        primary_exchange="ARCA" if kind[1] == USD else "TSE",
        liquid_hours=hours[0],
        trading_hours=hours[1],
        fractional=quote.is_fractional,
    )
