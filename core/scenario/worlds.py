"""Account, quotes and behaviour of a file → the simulated world."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from core.model import USD, AccountId, Currency, MarketDataType, OrderRef, SecurityType, Side, Symbol
from core.money import ONE, ZERO
from core.scenario.nodes import Node
from core.sim.venue.world import (
    ORDER_POINT,
    Change,
    Fault,
    FaultKind,
    FillScript,
    Point,
    SimAccount,
    SimOrder,
    SimPosition,
    SimQuote,
    Values,
    World,
)

T = TypeVar("T")

CURRENCIES = ("USD", "CAD")
TYPES = {"ETF": SecurityType.ETF, "STK": SecurityType.STOCK, "CASH": SecurityType.CASH}
OTHER_TYPES = frozenset({"BILL", "BOND", "CFD", "CMDTY", "CRYPTO", "FOP", "FUND", "FUT", "IND", "OPT", "WAR"})
LONGEST_DELAY = Decimal(1_000_000)
CHANGE_POINTS = (Point.APPROVAL, Point.BEFORE_SELLS, Point.BEFORE_BUYS)


def read_world(as_of: datetime, fields: dict[str, Node]) -> World:
    """The world of the nodes `account`, `quotes` and `behaviour`."""
    behaviour = fields["behaviour"].fields("fills", "changes", "faults")
    return World(
        as_of=as_of,
        account=_account(fields["account"]),
        quotes=_by_symbol(fields["quotes"], _quote),
        fills=_by_symbol(behaviour["fills"], _fill),
        changes=tuple(_change(node) for node in behaviour["changes"].items()),
        faults=tuple(_fault(node) for node in behaviour["faults"].items()),
    )


def symbol_of(text: str) -> Symbol:
    """The symbol as the account and the market know it: trimmed, in upper case."""
    return Symbol(text.strip().upper())


def _account(node: Node) -> SimAccount:
    if node.is_absent:
        node.fault("is missing")
    fields = node.fields("id", "base_currency", "cash", "excess_liquidity", "positions", "open_orders")
    return SimAccount(
        id=AccountId(fields["id"].text(None if not node.is_absent else "")),
        base_currency=_currency(fields["base_currency"], fields["base_currency"].text(USD)),
        cash=_cash(fields["cash"]),
        excess_liquidity=fields["excess_liquidity"].number(),
        positions=_positions(fields["positions"]),
        open_orders=tuple(_open_order(item) for item in fields["open_orders"].items()),
    )


def _cash(node: Node) -> dict[Currency, Decimal]:
    return {_currency(amount, key): amount.number() or ZERO for key, amount in node.entries()}


def _currency(node: Node, text: str) -> Currency:
    if text.upper() not in CURRENCIES:
        node.fault(f"{text[:40]!r} is not one of {', '.join(CURRENCIES)}")
        return USD
    return Currency(text.upper())


def _positions(node: Node) -> tuple[SimPosition, ...]:
    positions: dict[Symbol, SimPosition] = {}
    for item in node.items():
        position = _position(item)
        if position.symbol in positions:
            item.fault(f"{position.symbol} appears here twice")
        positions[position.symbol] = position
    return tuple(positions.values())


def _position(node: Node) -> SimPosition:
    fields = node.fields("symbol", "quantity", "average_cost", "security_type", "currency")
    return SimPosition(
        symbol=symbol_of(fields["symbol"].name()),
        quantity=fields["quantity"].needed(),
        average_cost=fields["average_cost"].amount(ZERO, least=ZERO),
        security_type=_security_type(fields["security_type"]),
        currency=_currency(fields["currency"], fields["currency"].text(USD)),
    )


def _security_type(node: Node) -> SecurityType:
    text = node.text("ETF").upper()
    if text in OTHER_TYPES:
        return SecurityType.OTHER
    if text not in TYPES:
        node.fault(f"{text[:40]!r} is not one of {', '.join([*TYPES, *sorted(OTHER_TYPES)])}")
    return TYPES.get(text, SecurityType.ETF)


def _open_order(node: Node) -> SimOrder:
    fields = node.fields("symbol", "side", "quantity", "filled", "limit_price", "order_ref")
    quantity = fields["quantity"].needed()
    filled = fields["filled"].amount(ZERO, least=ZERO)
    if filled >= quantity:
        fields["filled"].fault(f"{filled} of {quantity} is not an order that works")
    return SimOrder(
        symbol=symbol_of(fields["symbol"].name()),
        side=fields["side"].choice(Side),
        quantity=quantity,
        filled=filled,
        limit_price=fields["limit_price"].number(),
        order_ref=OrderRef(fields["order_ref"].text("")),
    )


def _by_symbol(node: Node, read: Callable[[Node], T]) -> dict[Symbol, T]:
    found: dict[Symbol, T] = {}
    for key, value in node.entries():
        if symbol_of(key) in found:
            value.fault("appears here twice")
        found[symbol_of(key)] = read(value)
    return found


def _quote(node: Node) -> SimQuote:
    fields = node.fields(
        "bid", "ask", "last", "age_seconds", "min_tick", "snapshot", "previous_close", "data_type", "halted"
    )
    tick = fields["min_tick"].number()
    if tick is not None and tick <= 0:
        fields["min_tick"].fault(f"{tick} must be above 0")
        tick = None
    snapshot = fields["snapshot"]
    return SimQuote(
        values=_values(fields),
        snapshot=None if snapshot.is_absent else _values(snapshot.fields("bid", "ask", "last")),
        age_seconds=fields["age_seconds"].amount(ZERO, least=ZERO, most=LONGEST_DELAY),
        min_tick=tick,
        previous_close=fields["previous_close"].number(),
        data_type=fields["data_type"].choice(MarketDataType, MarketDataType.LIVE),
        is_halted=fields["halted"].flag(),
    )


def _values(fields: dict[str, Node]) -> Values:
    return Values(fields["bid"].number(), fields["ask"].number(), fields["last"].number())


def _fill(node: Node) -> FillScript:
    fields = node.fields("delay_seconds", "fill_fraction", "price", "reject", "what_if_reject", "what_if_silent")
    price = fields["price"].number()
    if price is not None and price <= 0:
        fields["price"].fault(f"{price} must be above 0")
    return FillScript(
        delay_seconds=fields["delay_seconds"].amount(ZERO, least=ZERO, most=LONGEST_DELAY),
        fill_fraction=fields["fill_fraction"].amount(ONE, least=ZERO, most=ONE),
        price=price,
        reject=_code(fields["reject"]),
        what_if_reject=_code(fields["what_if_reject"]),
        what_if_silent=fields["what_if_silent"].flag(),
    )


def _code(node: Node) -> int | None:
    return None if node.is_absent else _count(node)


def _change(node: Node) -> Change:
    fields = node.fields("at", "quotes", "positions", "cash")
    at = fields["at"].choice(Point)
    if at not in CHANGE_POINTS and not fields["at"].is_absent:
        fields["at"].fault(f"{at} is not one of {', '.join(CHANGE_POINTS)}")
    return Change(
        at=at,
        quotes=_by_symbol(fields["quotes"], _quote),
        positions=_positions(fields["positions"]),
        cash=_cash(fields["cash"]),
    )


def _fault(node: Node) -> Fault:
    fields = node.fields("at", "kind", "times")
    at = fields["at"].text()
    kind = fields["kind"].choice(FaultKind)
    times = 1 if fields["times"].is_absent else _count(fields["times"])
    if at.startswith(ORDER_POINT):
        return Fault(ORDER_POINT + symbol_of(at.removeprefix(ORDER_POINT)), kind, times)
    return Fault(fields["at"].choice(Point), kind, times) if at else Fault(at, kind, times)


def _count(node: Node) -> int:
    text = node.text("")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        node.fault(f"{text[:40]!r} is not a whole number")
        return 1
    return int(text)
