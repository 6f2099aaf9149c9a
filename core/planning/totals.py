"""The sums of a plan, and the rule that looks at one of them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from core.errors import SafetyRefused
from core.model import CAD, USD, FxLeg, Side, SizingRules, Totals, TradeLine, Valuation
from core.money import HUNDRED, ZERO, plain
from core.planning.funding import Proceeds


def totals_of(
    lines: tuple[TradeLine, ...], valuation: Valuation, proceeds: Proceeds, fx: FxLeg | None, commission: Decimal
) -> Totals:
    """The sums over `lines`. Turnover counts both sides: selling and buying for 10 % of NetLiq each is 20 %.

    Cash after is what is left if every order fills at its worst price, commissions paid, the conversion at
    its planning rate. `net_after` is everything owned less everything owed, of NetLiq: 1 but for the costs.
    """
    traded = [line for line in lines if line.quantity]
    bought = [line for line in traded if line.side is Side.BUY]
    buys = _sum([line.dollars for line in bought])
    sells = _sum([line.dollars for line in traded if line.side is Side.SELL])
    paid = _sum([_worst(line) for line in bought])
    charged = commission * len(bought)
    spent = proceeds.total - paid - charged
    given = proceeds.converted * fx.planning_rate if fx and fx.planning_rate else ZERO
    cash_after = dict(valuation.cash)
    cash_after[USD] = cash_after.get(USD, ZERO) + spent
    cash_after[CAD] = cash_after.get(CAD, ZERO) - given
    net_liq = valuation.net_liq
    net_change = buys - sells + spent - given * (valuation.usd_per_cad or ZERO)
    return Totals(
        sells=sells,
        buys=buys,
        turnover_pct=(sells + buys) * HUNDRED / net_liq,
        spread_cost=_sum([_spread_cost(line) for line in traded]),
        gross_after=(valuation.gross_position_value - sells + buys) / net_liq,
        net_after=(net_liq + net_change) / net_liq,
        cash_after=cash_after,
        drift_before_bps=_sum([abs(line.drift_bps) for line in lines]),
        drift_after_bps=_sum([abs(line.projected_drift_bps) for line in lines]),
    )


def check_turnover(totals: Totals, net_liq: Decimal, rules: SizingRules) -> None:
    """Raise SafetyRefused when sells and buys together are above max_turnover_pct of NetLiq."""
    if rules.max_turnover_pct is None or (totals.sells + totals.buys) * HUNDRED <= rules.max_turnover_pct * net_liq:
        return
    raise SafetyRefused(
        f"the plan turns over {totals.turnover_pct:.2f} % of NetLiq (sells {totals.sells:.2f},"
        f" buys {totals.buys:.2f} USD), above max_turnover_pct {plain(rules.max_turnover_pct)}",
        next_step="check targets and prices; if the plan is meant, raise [rebalance] max_turnover_pct",
    )


def _worst(line: TradeLine) -> Decimal:
    return line.quantity * line.limit.worst_price if line.limit else ZERO


def _spread_cost(line: TradeLine) -> Decimal:
    """USD that the worst price is away from the mid, or from the valuation price without one."""
    if line.limit is None:
        return ZERO
    middle = line.price.value if line.limit.mid is None else line.limit.mid
    return line.quantity * abs(line.limit.worst_price - middle)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)
