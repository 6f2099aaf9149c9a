"""Values → tables for the data gates. The only pandas of the core, and the only floats: gates compare with tolerances.

Each function returns a row for each thing that can be at fault, with the columns that name it. None becomes NaN.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pandas as pd

from core.model import (
    FUNDING,
    AccountSnapshot,
    Contract,
    Fill,
    Holdings,
    ModelWeight,
    Order,
    OrderRecord,
    Plan,
    Position,
    Price,
    Quote,
    SecurityType,
    Stage,
    Symbol,
    TradeLine,
)
from core.money import HUNDRED

# a missing figure is NaN, as Great Expectations skips only what is null
NAN = float("nan")
NOT_TRADED = "NONE"
FIGURE = "figure"
CASH_ROW = "cash"
POSITION = "position"
FILL = "fill"
NET_LIQ = "net liquidation value"


def portfolios(weights: Iterable[ModelWeight]) -> pd.DataFrame:
    """portfolios.csv as parsed: line, portfolio, symbol, target_pct (percent, CASH negative)."""
    rows = [(row.line, row.model, str(row.symbol), float(row.weight * HUNDRED)) for row in weights]
    return pd.DataFrame(rows, columns=["line", "portfolio", "symbol", "target_pct"])


def account(snapshot: AccountSnapshot) -> pd.DataFrame:
    """What the account holds, a row per position and per currency, and the broker's own figures.

    Columns: symbol, kind (position, cash, figure), security_type, currency, quantity, price, value (in
    `currency`), rate (base currency per unit) and base_value = value × rate, 0 of any currency being 0.
    Balances that show up as positions are left out: they are in the cash already.
    """
    figures = {
        NET_LIQ: snapshot.net_liq,
        "excess liquidity": snapshot.excess_liquidity,
        "buying power": snapshot.buying_power,
        "maintenance margin": snapshot.maintenance_margin,
    }
    rows = [
        *(_position(held) for held in snapshot.positions if held.contract.security_type is not SecurityType.CASH),
        *((f"cash {name}", CASH_ROW, "", name, amount, Decimal(1), amount) for name, amount in snapshot.cash.items()),
        *((name, FIGURE, "", money.currency, NAN, NAN, money.amount) for name, money in figures.items()),
    ]
    columns = ["symbol", "kind", "security_type", "currency", "quantity", "price", "value"]
    frame = pd.DataFrame(rows, columns=columns).astype({"quantity": float, "price": float, "value": float})
    rates = {str(currency): float(rate) for currency, rate in snapshot.rates.items()}
    frame["rate"] = frame["currency"].map(rates).astype(float)
    # without any of a currency its missing rate does not matter: NaN × 0 would be NaN
    frame["base_value"] = (frame["value"] * frame["rate"]).where(frame["value"] != 0, 0.0)
    return frame


def quotes(
    found: Mapping[Symbol, Quote], prices: Mapping[Symbol, Price], valued: Collection[Symbol], now: datetime
) -> pd.DataFrame:
    """A row per symbol: symbol, bid, ask, last, price, price_source, age_seconds, data_type, is_valued.

    `valued` are the symbols that need a price; one of them without a quote has a row of NaN. `prices` are
    those that planning will use.
    """
    rows = [_quote(symbol, found.get(symbol), prices.get(symbol), now) for symbol in sorted({*found, *valued})]
    columns = ["symbol", "bid", "ask", "last", "price", "price_source", "age_seconds", "data_type"]
    numbers = dict.fromkeys(("bid", "ask", "last", "price", "age_seconds"), float)
    frame = pd.DataFrame(rows, columns=columns).astype(numbers)
    frame["is_valued"] = [symbol in valued for symbol in frame["symbol"]]
    return frame


def plan(made: Plan) -> pd.DataFrame:
    """A row per symbol of the universe, traded or not.

    Columns: symbol, side (BUY, SELL, NONE), quantity, held, price, worst_price, limit_price (NaN for MKT),
    order_type, dollars, target_pct, drift_bps, tick (price step at the limit), takes_fractions, untargeted.
    """
    rows = [_line(line, made.contracts.get(line.symbol)) for line in made.lines]
    columns = [
        "symbol",
        "side",
        "order_type",
        "takes_fractions",
        "untargeted",
        "quantity",
        "held",
        "price",
        "dollars",
        "target_pct",
        "drift_bps",
        "worst_price",
        "limit_price",
        "tick",
    ]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[5:], float))


def orders(
    sending: Iterable[Order],
    approved: Plan,
    earlier: Iterable[OrderRecord],
    quotes: Mapping[Symbol, Quote],
    *,
    have_waited: bool = False,
) -> pd.DataFrame:
    """A row per order about to be sent, beside what was approved for its symbol and the quote it was priced from.

    Columns: symbol, ref, account, stage, side, order_type, currency, route (exchange), approved_side (NONE
    where nothing was), is_approved (the very contract was), is_new (no earlier order has its ref), outside_rth,
    takes_fractions, under_way (priced while its stage is: a further attempt, or one that `have_waited`), quantity,
    approved_quantity, earlier (what earlier orders in it filled or may still fill), held, limit_price (NaN for MKT),
    approved_worst, bid, ask, tick (price step at the limit).
    """
    known = tuple(earlier)
    rows = [_order(order, approved, known, quotes.get(order.contract.symbol)) for order in sending]
    texts = ["symbol", "ref", "account", "stage", "side", "order_type", "currency", "route", "approved_side"]
    flags = ["is_approved", "is_new", "outside_rth", "takes_fractions", "under_way"]
    numbers = ["quantity", "approved_quantity", "earlier", "held"]
    prices = ["limit_price", "approved_worst", "bid", "ask", "tick"]
    frame = pd.DataFrame(rows, columns=[*texts, *flags, *numbers, *prices])
    frame["under_way"] |= have_waited
    return frame.astype(dict.fromkeys([*numbers, *prices], float))


def fills(
    records: Iterable[OrderRecord],
    approved: Plan,
    before: Holdings | None = None,
    after: Holdings | None = None,
) -> pd.DataFrame:
    """A row per fill beside its order; with what was held before and after, also one per position and per currency.

    Columns: symbol ("cash USD" for a currency), kind (fill, position, cash), execution (id without its revision), ref,
    side, order_side, order_symbol, currency, commission_currency, shares, ordered, approved_quantity, price,
    limit_price (NaN for MKT), commission (NaN until it is known), before, after.
    """
    rows = [_fill(fill, record, approved) for record in records for fill in record.fills]
    if before is not None and after is not None:
        rows.extend(_changes(before, after))
    texts = ["symbol", "kind", "execution", "ref", "side", "order_side", "order_symbol"]
    texts += ["currency", "commission_currency"]
    numbers = ["shares", "ordered", "approved_quantity", "price", "limit_price", "commission", "before", "after"]
    return pd.DataFrame(rows, columns=[*texts, *numbers]).astype(dict.fromkeys(numbers, float))


def _position(position: Position) -> tuple[object, ...]:
    contract = position.contract
    return (
        str(contract.symbol),
        POSITION,
        contract.security_type.value,
        str(contract.currency),
        position.quantity,
        _number(position.market_price),
        _number(position.market_value),
    )


def _quote(symbol: Symbol, quote: Quote | None, price: Price | None, now: datetime) -> tuple[object, ...]:
    valued_at = (_number(price.value), price.source.value) if price else (NAN, "")
    if quote is None:
        return (str(symbol), NAN, NAN, NAN, *valued_at, NAN, "")
    sides = (_number(quote.bid), _number(quote.ask), _number(quote.last))
    return (str(symbol), *sides, *valued_at, (now - quote.taken_at).total_seconds(), quote.data_type.value)


def _line(line: TradeLine, contract: Contract | None) -> tuple[object, ...]:
    limit = line.limit if line.side else None
    return (
        str(line.symbol),
        line.side.value if line.side else NOT_TRADED,
        limit.order_type.value if limit else "",
        contract.fractional if contract else False,
        line.untargeted,
        float(line.quantity),
        float(line.held),
        float(line.price.value),
        float(line.dollars),
        float(line.target * HUNDRED),
        float(line.drift_bps),
        _number(limit.worst_price if limit else None),
        _number(limit.limit_price if limit else None),
        _number(_tick(contract, limit.limit_price if limit else None)),
    )


def _order(order: Order, approved: Plan, earlier: Iterable[OrderRecord], quote: Quote | None) -> tuple[object, ...]:
    symbol = order.contract.symbol
    contract = approved.contracts.get(symbol)
    same = [each for each in earlier if (each.order.stage, each.order.contract.symbol) == (order.stage, symbol)]
    side, most, worst, held = _approved(approved, symbol)
    is_fx = order.stage is Stage.FX
    return (
        str(symbol),
        order.ref,
        order.account_id,
        order.stage.value,
        order.side.value,
        order.order_type.value,
        str(order.contract.currency),
        order.contract.exchange,
        side,
        _is_approved(order, contract),
        order.ref not in {each.order.ref for each in earlier},
        order.outside_rth,
        order.contract.fractional,
        order.attempt > 1,
        float(order.quantity),
        most,
        float(sum(each.filled + each.open_quantity for each in same)),
        held,
        _number(order.limit_price),
        worst,
        _number(quote.bid if quote else None),
        _number(quote.ask if quote else None),
        _number(FUNDING.tick if is_fx else _tick(order.contract, order.limit_price)),
    )


def _is_approved(order: Order, contract: Contract | None) -> bool:
    """Whether the order is in the approved contract; a conversion may go by another route."""
    if contract is None:
        return False
    route = order.contract.exchange if order.stage is Stage.FX else contract.exchange
    return order.contract == replace(contract, exchange=route)


def _approved(approved: Plan, symbol: Symbol) -> tuple[str, float, float, float]:
    """(side, quantity, worst price, shares held) of the approved plan; of USD.CAD nothing is held."""
    if symbol == FUNDING.symbol:
        leg = approved.fx
        return (FUNDING.side.value, float(leg.quantity), _number(leg.worst_rate), 0.0) if leg else _NOTHING
    line = next((line for line in approved.lines if line.symbol == symbol), None)
    if line is None or line.side is None:
        return _NOTHING
    worst = line.limit.worst_price if line.limit else None
    return (line.side.value, float(line.quantity), _number(worst), float(line.held))


_NOTHING = (NOT_TRADED, 0.0, NAN, 0.0)


def _fill(fill: Fill, record: OrderRecord, approved: Plan) -> tuple[object, ...]:
    order, root, _, revision = record.order, *fill.exec_id.rpartition(".")
    _, most, _, _ = _approved(approved, order.contract.symbol)
    return (
        str(fill.symbol),
        FILL,
        root if root and revision.isdecimal() else fill.exec_id,
        order.ref,
        fill.side.value,
        order.side.value,
        str(order.contract.symbol),
        str(order.contract.currency),
        str(fill.commission_currency or ""),
        float(fill.shares),
        float(order.quantity),
        most,
        float(fill.price),
        _number(order.limit_price),
        _number(fill.commission),
        NAN,
        NAN,
    )


def _changes(before: Holdings, after: Holdings) -> Iterator[tuple[object, ...]]:
    """What was there and what is, by symbol and by currency."""
    for symbol in sorted({*before.positions, *after.positions}):
        yield _change(str(symbol), POSITION, "", before.positions.get(symbol), after.positions.get(symbol))
    for currency in sorted({*before.cash, *after.cash}):
        was, now = before.cash.get(currency), after.cash.get(currency)
        yield _change(f"cash {currency}", CASH_ROW, currency, was, now)


def _change(symbol: str, kind: str, currency: str, was: Decimal | None, now: Decimal | None) -> tuple[object, ...]:
    figures = (NAN,) * 6
    return (symbol, kind, "", "", "", "", "", currency, "", *figures, float(was or 0), float(now or 0))


def _tick(contract: Contract | None, price: Decimal | None) -> Decimal | None:
    """The price step at `price`, looked up anew: the gates share no arithmetic with what makes the prices."""
    if contract is None or price is None:
        return None
    valid = [band.increment for band in contract.ticks if band.low_edge <= price]
    return valid[-1] if valid else contract.ticks[0].increment


def _number(value: Decimal | None) -> float:
    return NAN if value is None else float(value)
