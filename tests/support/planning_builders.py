"""Planning cases with sensible defaults: an account in which everything costs 100.00 and trades at the mid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from builders import NOW, contract, position, quote, snapshot

from core.model import (
    CAD,
    CASH,
    USD,
    USD_CAD,
    AccountSnapshot,
    Contract,
    Currency,
    Mode,
    ModelName,
    Plan,
    Position,
    Quote,
    RunId,
    SecurityType,
    Side,
    Symbol,
    Targets,
    TradeLine,
)
from core.money import ZERO, D, Money
from core.planning import PlanInputs, make_plan
from core.settings import Settings
from core.settings.describe import keys_of, sections

# what a test is about stands out: no minimum, no commission, no cash buffer, one attempt
PLAIN = {"min_order_usd": ZERO, "commission_per_order_usd": ZERO, "cash_buffer_pct": ZERO, "reprice_attempts": 0}


def plan_settings(**changes: object) -> Settings:
    """The defaults, but plain (see PLAIN), with these keys changed: `direction=...`, or `fx__order_type=...`.

    A key without its section belongs to the first section of the file that has it.
    """
    own: dict[str, dict[str, object]] = {section: {} for section in sections()}
    own["ibkr"]["account_id"] = "DU1234567"
    for name, value in (PLAIN | changes).items():
        section, _, key = name.rpartition("__")
        home = section or next(each for each in sections() if key in keys_of(each))
        own[home][key] = value
    made = {section: kind(**own[section]) for section, kind in sections().items()}
    return Settings(folder=Path(), models={ModelName("CORE"): D(1)}, **made)


def targets(weights: Mapping[str, str]) -> Targets:
    """Final weights by symbol; CASH, negative, is what is borrowed."""
    cash = D(weights.get(CASH, "0"))
    assets = {Symbol(symbol): D(weight) for symbol, weight in sorted(weights.items()) if symbol != CASH}
    gross = sum(assets.values(), ZERO)
    return Targets(assets, gross, cash, gross + cash)


def etf(symbol: str, /, **changes: object) -> Contract:
    """An ETF whose conId is made of the symbol's letters in order, so that no two share one."""
    values: dict[str, object] = {"symbol": Symbol(symbol), "con_id": int.from_bytes(symbol.encode(), "big")}
    return replace(contract(symbol), **(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def held(symbol: str, quantity: str, price: str = "100", **changes: object) -> Position:
    """Shares of an ETF, marked at `price`."""
    return position(symbol, quantity, price, **({"contract": etf(symbol)} | changes))


def share(symbol: str, quantity: str, price: str = "100", currency: Currency = USD) -> Position:
    """Shares of a company: an outside holding."""
    stock = etf(symbol, security_type=SecurityType.STOCK, currency=currency)
    return held(symbol, quantity, price, contract=stock)


def account(
    *positions: Position,
    cash: Mapping[Currency, str] | None = None,
    rates: Mapping[Currency, str] | None = None,
    base: Currency = USD,
    **changes: object,
) -> AccountSnapshot:
    """An account whose own figures agree with its cash and marks; one USD is 1.25 CAD; margin is a quarter."""
    texts = rates or ({USD: "1", CAD: "0.8"} if base == USD else {USD: "1.25", CAD: "1"})
    own_rates = {currency: D(rate) for currency, rate in texts.items()}
    amounts = {currency: D(amount) for currency, amount in (cash or {USD: "0"}).items()}
    in_etfs = sum(((p.market_value or ZERO) * own_rates.get(p.contract.currency, ZERO) for p in positions), ZERO)
    net_liq = in_etfs + sum((amount * own_rates.get(currency, ZERO) for currency, amount in amounts.items()), ZERO)
    values: dict[str, object] = {
        "base_currency": base,
        "net_liq": Money(net_liq, base),
        "excess_liquidity": Money(net_liq - in_etfs / 4, base),
        "buying_power": Money(net_liq * 4, base),
        "maintenance_margin": Money(in_etfs / 4, base),
        "cash": amounts,
        "rates": own_rates,
    }
    return snapshot(*positions, **(values | changes))


def at(symbol: str, price: str = "100", half_spread: str = "0", **changes: object) -> Quote:
    """A fresh quote with its last trade in the middle; locked unless a spread is given."""
    mid, half = D(price), D(half_spread)
    return quote(symbol, **({"bid": mid - half, "ask": mid + half, "last": mid} | changes))


def case(
    weights: Mapping[str, str],
    snapshot: AccountSnapshot,
    *quotes: Quote,
    contracts: Mapping[str, Contract] | None = None,
    **changes: object,
) -> PlanInputs:
    """Inputs of a plan: symbols without a quote trade at 100.00, USD.CAD at 1.25."""
    wanted = targets(weights)
    symbols = {*wanted.weights, *(position.contract.symbol for position in snapshot.positions)}
    given = {found.symbol: found for found in quotes}
    currency_pair = contract(USD_CAD, security_type=SecurityType.CASH, currency=CAD, ticks=etf("X").ticks)
    known = {symbol: etf(symbol) for symbol in symbols} | {USD_CAD: currency_pair} | (contracts or {})
    values: dict[str, object] = {
        "run_id": RunId("ABCDEFGHIJ23"),
        "mode": Mode.PAPER,
        "targets": wanted,
        "snapshot": snapshot,
        "contracts": known,
        "quotes": {symbol: at(symbol) for symbol in symbols} | {USD_CAD: at(USD_CAD, "1.25")} | given,
        "now": NOW,
    }
    return PlanInputs(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def planned(inputs: PlanInputs, **changes: object) -> Plan:
    """The plan of a case under settings with these changes."""
    return make_plan(inputs, plan_settings(**changes))


def lines(plan: Plan) -> dict[Symbol, TradeLine]:
    """The lines of a plan by symbol."""
    return {line.symbol: line for line in plan.lines}


def traded(plan: Plan) -> list[tuple[Side | None, Symbol, Decimal]]:
    """What a plan trades, in its order."""
    return [(line.side, line.symbol, line.quantity) for line in plan.lines if line.quantity]
