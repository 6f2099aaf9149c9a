"""What a plan was made from, counted anew: the account in USD, the quotes, the blend of the models.

In: the same values that planning had. Out: figures and columns in floats, for the rules of `plan_basis_rules`. Nothing
here comes from the plan but its prices, which the plan's gate compares with the quotes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from core.model import (
    CASH,
    FUNDING,
    USD,
    ConvertMode,
    Currency,
    ModelWeight,
    Plan,
    Position,
    SecurityType,
    Symbol,
    TradeDirection,
    TriggerMode,
)
from core.planning import PlanInputs
from core.settings import Settings
from expectations.rules import CLOSE, tolerance

NAN, INF = float("nan"), float("inf")
BPS = 10_000.0


@dataclass(frozen=True, slots=True)
class Basis:
    """`columns` by symbol (bid, ask, last, in_account, blended_pct), `limits` by name in USD, bps and fractions.

    `unlike` names the figures of the plan that are not what the account shows.
    """

    columns: pd.DataFrame
    limits: dict[str, float]
    unlike: tuple[str, ...]

    def joined(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The plan's table with these columns."""
        return frame.join(self.columns, on="symbol")


def basis_of(made: Plan, seen: PlanInputs, rows: Iterable[ModelWeight], settings: Settings) -> Basis:
    """The basis of a plan; without `rows` of the models its final weights are taken as they were given."""
    account = _Account(made, seen, settings)
    blend = _blend(rows, settings) or {symbol: float(weight) for symbol, weight in seen.targets.weights.items()}
    columns = pd.DataFrame(
        {
            "symbol": [str(line.symbol) for line in made.lines],
            **{side: [_side(seen, line.symbol, side) for line in made.lines] for side in ("bid", "ask", "last")},
            "in_account": [account.held.get(line.symbol, 0.0) for line in made.lines],
            "blended_pct": [blend.get(line.symbol, 0.0) * 100 for line in made.lines],
        }
    )
    figures = account.figures()
    limits = _settings(settings) | _market(made, seen, settings) | figures
    limits["gross_pct"] = sum(weight for symbol, weight in blend.items() if symbol != CASH) * 100
    return Basis(columns.set_index("symbol"), limits, _unlike(made, figures))


class _Account:
    """The account in USD: what is held of the plan's symbols, and everything else at the broker's marks."""

    def __init__(self, made: Plan, seen: PlanInputs, settings: Settings) -> None:
        snapshot = seen.snapshot
        self._snapshot, self._made, self._settings = snapshot, made, settings
        self._rates = _rates(seen, settings)
        by_con_id = {made.contracts[line.symbol].con_id: line.symbol for line in made.lines}
        self.held: dict[Symbol, float] = {}
        self._outside: list[float] = []
        for position in snapshot.positions:
            symbol = by_con_id.get(position.contract.con_id)
            if position.contract.security_type is SecurityType.CASH or not position.quantity:
                continue
            if symbol is None:
                self._outside.append(self._mark(position))
            else:
                self.held[symbol] = self.held.get(symbol, 0.0) + float(position.quantity)

    def figures(self) -> dict[str, float]:
        """NetLiq and what follows from it, and what the limits of borrowing are counted by."""
        snapshot, cash = self._snapshot, self._snapshot.cash
        prices = {line.symbol: float(line.price.value) for line in self._made.lines}
        in_etfs = sum(shares * prices[symbol] for symbol, shares in self.held.items())
        net_liq = in_etfs + sum(self._outside) + sum(self._usd(float(cash[each]), each) for each in cash)
        buffer = net_liq * float(self._settings.rebalance.cash_buffer_pct) / 100
        excess = snapshot.excess_liquidity
        return {
            "net_liq": net_liq,
            "buffer": buffer,
            "investable": net_liq - buffer - sum(self._outside),
            "position_value": in_etfs + sum(map(abs, self._outside)),
            "excess": self._usd(float(excess.amount), Currency(excess.currency)),
            "usd": float(cash.get(USD, 0)),
            "cad": float(cash.get(FUNDING.currency, 0)),
        }

    def _mark(self, position: Position) -> float:
        """The broker's mark of an outside holding; what has none is valued by its quote, which has its own gate."""
        symbol, value = position.contract.symbol, position.market_value
        if value or (value is not None and symbol not in self._settings.rebalance.hold_symbols):
            return self._usd(float(value), position.contract.currency)
        same = [each for each in self._made.valuation.outside if each.symbol == symbol]
        return next((float(each.value) for each in same if each.quantity == position.quantity), 0.0)

    def _usd(self, amount: float, currency: Currency) -> float:
        if not amount or currency == USD:
            return amount
        return amount * self._rates.get(currency, NAN) / self._rates.get(USD, NAN)


def _rates(seen: PlanInputs, settings: Settings) -> dict[Currency, float]:
    """The account's own rates; in an account of CAD whose books have none for USD, the middle of USD.CAD for it."""
    rates = {currency: float(rate) for currency, rate in seen.snapshot.rates.items()}
    bid, ask = (_side(seen, FUNDING.symbol, side) for side in ("bid", "ask"))
    if settings.fx.enabled and seen.snapshot.base_currency == FUNDING.currency and bid <= ask:
        rates.setdefault(USD, (bid + ask) / 2)
    return rates


def _blend(rows: Iterable[ModelWeight], settings: Settings) -> dict[Symbol, float]:
    """The weight of each symbol, as a fraction: Σ mix × weight, over the sum of the mix."""
    mix = {str(model): float(weight) for model, weight in settings.models.items()}
    blend: dict[Symbol, float] = {}
    for row in rows:
        weight = mix.get(str(row.model), 0.0) * float(row.weight) / sum(mix.values())
        blend[row.symbol] = blend.get(row.symbol, 0.0) + weight
    return blend


def _side(seen: PlanInputs, symbol: Symbol, side: str) -> float:
    """A price of the quote, NaN without one; a halted symbol has only its last."""
    quote = seen.quotes.get(symbol)
    value = getattr(quote, side) if quote else None
    if quote is None or value is None or value <= 0 or (quote.is_halted and side != "last"):
        return NAN
    return float(value)


def _settings(settings: Settings) -> dict[str, float]:
    """What the settings allow a plan, 1 and 0 for yes and no."""
    rebalance, limits, fx = settings.rebalance, settings.limits, settings.fx
    is_total = rebalance.trigger_mode is TriggerMode.TOTAL_DRIFT
    most = rebalance.max_turnover_pct
    return {
        "by_total": float(is_total),
        "band": float(rebalance.portfolio_total_band_bps if is_total else rebalance.per_holding_band_bps),
        "may_buy": float(rebalance.direction is not TradeDirection.SELL_ONLY),
        "may_sell": float(rebalance.direction is not TradeDirection.BUY_ONLY),
        "buys_inside": float(rebalance.idle_cash_pct is not None),
        "pays_debit": float(not rebalance.allow_margin),
        "most": INF if rebalance.max_order_usd is None else float(rebalance.max_order_usd),
        "fractions": float(rebalance.allow_fractional),
        "capped": float(limits.use_ask_bid_cap),
        "offset": float(limits.max_offset_bps) / BPS,
        "turnover": INF if most is None else float(most) / 100,
        "fx_buffer": float(fx.fx_buffer_bps) / BPS,
        "tops_up": float(fx.convert_mode is ConvertMode.ALWAYS_TOP_UP),
        "fx_most": INF if fx.max_fx_order_usd is None else float(fx.max_fx_order_usd),
        "fx_least": float(fx.min_fx_order_usd),
    }


def _market(made: Plan, seen: PlanInputs, settings: Settings) -> dict[str, float]:
    """The conversion, and the quote it was priced by; without both sides there is nothing to compare."""
    leg, bid, ask = made.fx, _side(seen, FUNDING.symbol, "bid"), _side(seen, FUNDING.symbol, "ask")
    rates = [float(rate) if leg and rate else 0.0 for rate in ((leg.planning_rate, leg.worst_rate) if leg else ())]
    is_odd = not bid <= ask
    return {
        "fx_usd": float(leg.quantity) if leg else 0.0,
        "fx_planned": rates[0] if rates else 0.0,
        "fx_worst": rates[1] if rates else 0.0,
        "fx_bid": 0.0 if is_odd else bid,
        "fx_ask": 0.0 if is_odd else ask,
        "slippage": float(settings.fx.limit_slippage_bps) / BPS,
    }


def _unlike(made: Plan, figures: Mapping[str, float]) -> tuple[str, ...]:
    value = made.valuation
    counted = {
        "NetLiq": (value.net_liq, figures["net_liq"]),
        "cash buffer": (value.buffer, figures["buffer"]),
        "investable value": (value.investable, figures["investable"]),
        "gross position value": (value.gross_position_value, figures["position_value"]),
        "excess liquidity": (value.excess_liquidity, figures["excess"]),
        "USD cash": (value.cash.get(USD, 0), figures["usd"]),
        f"{FUNDING.currency} cash": (value.cash.get(FUNDING.currency, 0), figures["cad"]),
    }
    most = tolerance(figures["net_liq"]) + abs(figures["position_value"]) * CLOSE
    return tuple(name for name, (ours, seen) in counted.items() if not abs(float(ours) - seen) <= most)
