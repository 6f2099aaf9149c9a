"""Values → tables for the data gates. The only pandas of the core, and the only floats: gates compare with tolerances.

Each function returns a row for each thing that can be at fault, with the columns that name it. None becomes NaN.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from decimal import Decimal

import pandas as pd

from core.market.ticks import increment_at
from core.model import (
    AccountSnapshot,
    Contract,
    ModelWeight,
    Plan,
    Position,
    Price,
    Quote,
    SecurityType,
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
    order_type, dollars, target_pct, drift_bps, tick (price step at the limit), takes_fractions.
    """
    rows = [_line(line, made.contracts.get(line.symbol)) for line in made.lines]
    columns = [
        "symbol",
        "side",
        "order_type",
        "takes_fractions",
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
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[4:], float))


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


def _tick(contract: Contract | None, price: Decimal | None) -> Decimal | None:
    return None if contract is None or price is None else increment_at(contract.ticks, price)


def _number(value: Decimal | None) -> float:
    return NAN if value is None else float(value)
