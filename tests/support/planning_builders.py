"""Planning cases with sensible defaults: an account in which everything costs 100.00 and trades at the mid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from builders import NOW, contract, limit_rules, position, quote, quote_rules

from core.model import (
    CAD,
    CASH,
    USD,
    USD_CAD,
    AccountId,
    AccountSnapshot,
    Contract,
    ConvertMode,
    Currency,
    FundingRules,
    Mode,
    OrderType,
    Plan,
    PlanRules,
    Position,
    Quote,
    RunId,
    SecurityType,
    Side,
    SizingRules,
    Symbol,
    Targets,
    TradeDirection,
    TradeLine,
    TriggerMode,
    TriggerRules,
    Untargeted,
    ValuationRules,
)
from core.money import D, Money
from core.planning import PlanInputs, make_plan

ZERO = Decimal(0)


def sizing_rules(**changes: object) -> SizingRules:
    """Whole shares, no minimum, no commission, no borrowing: what a test is about stands out."""
    values: dict[str, object] = {
        "min_order_usd": ZERO,
        "max_order_usd": None,
        "max_turnover_pct": None,
        "allow_fractional": False,
        "allow_margin": False,
        "max_leverage": D("1.5"),
        "maintenance_buffer_pct": D(10),
        "maintenance_margin_pct": D(25),
        "commission_per_order_usd": ZERO,
    }
    return SizingRules(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def trigger_rules(**changes: object) -> TriggerRules:
    """Every holding in a band of 50 bps."""
    values: dict[str, object] = {
        "mode": TriggerMode.PER_HOLDING,
        "per_holding_band_bps": D(50),
        "portfolio_total_band_bps": D(100),
        "direction": TradeDirection.BOTH,
    }
    return TriggerRules(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def valuation_rules(**changes: object) -> ValuationRules:
    """No cash buffer."""
    values: dict[str, object] = {
        "cash_buffer_pct": ZERO,
        "untargeted": Untargeted.SELL,
        "max_net_liq_gap_pct": D(5),
        "max_mark_gap_pct": D(5),
    }
    return ValuationRules(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def funding_rules(**changes: object) -> FundingRules:
    """The product's defaults, conversion switched on."""
    values: dict[str, object] = {
        "enabled": True,
        "convert_mode": ConvertMode.JUST_IN_TIME,
        "use_mid_for_planning": True,
        "min_fx_order_usd": D(1000),
        "max_fx_order_usd": None,
        "fx_buffer_bps": D(20),
        "order_type": OrderType.MKT,
        "limit_slippage_bps": D(5),
        "prefer_market_hours": False,
    }
    return FundingRules(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def plan_rules(**changes: object) -> PlanRules:
    """All groups at their builders' defaults; conversion switched off; orders are sent."""
    values: dict[str, object] = {
        "quotes": quote_rules(),
        "valuation": valuation_rules(),
        "trigger": trigger_rules(),
        "sizing": sizing_rules(),
        "limits": limit_rules(),
        "funding": funding_rules(enabled=False),
        "plan_lifetime": timedelta(hours=1),
        "sends_orders": True,
    }
    return PlanRules(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


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
    own = rates or ({USD: "1", CAD: "0.8"} if base == USD else {USD: "1.25", CAD: "1"})
    books = {currency: D(rate) for currency, rate in own.items()}
    ledger = {currency: D(amount) for currency, amount in (cash or {USD: "0"}).items()}
    in_etfs = sum(((p.market_value or ZERO) * books.get(p.contract.currency, ZERO) for p in positions), ZERO)
    net_liq = in_etfs + sum((amount * books.get(currency, ZERO) for currency, amount in ledger.items()), ZERO)
    values: dict[str, object] = {
        "account_id": AccountId("DU1234567"),
        "base_currency": base,
        "net_liq": Money(net_liq, base),
        "excess_liquidity": Money(net_liq - in_etfs / 4, base),
        "buying_power": Money(net_liq * 4, base),
        "maintenance_margin": Money(in_etfs / 4, base),
        "cash": ledger,
        "rates": books,
        "positions": positions,
        "working_orders": (),
        "taken_at": NOW,
    }
    return AccountSnapshot(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


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


def planned(inputs: PlanInputs, **rules: object) -> Plan:
    """The plan of a case under these rules."""
    return make_plan(inputs, plan_rules(**rules))


def lines(plan: Plan) -> dict[Symbol, TradeLine]:
    """The lines of a plan by symbol."""
    return {line.symbol: line for line in plan.lines}


def traded(plan: Plan) -> list[tuple[Side | None, Symbol, Decimal]]:
    """What a plan trades, in its order."""
    return [(line.side, line.symbol, line.quantity) for line in plan.lines if line.quantity]
