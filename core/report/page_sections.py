"""The parts of report.html that show trading: holdings, drift with its bands, orders with their prices, and costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from core.model import OrderRecord, RunResult, TradeLine
from core.money import BPS, ZERO
from core.report import formats
from core.report.columns import (
    CURRENT,
    NOTIONAL,
    PRICE,
    SHARES,
    SIDE,
    SYMBOL,
    TARGET,
    Column,
    by_drift,
    drift_columns,
    left,
    right,
    unsent_rows,
)
from core.report.costs import CostSum, OrderCost, commissions_sum, cost_sum, order_costs
from core.report.facts import balances_text, order_reason
from core.report.formats import UNKNOWN, with_commas
from core.report.page_charts import band_bps, drifts, order_limit, order_name, timeline, weights
from core.report.post_trade import order_notes
from core.report.web_page import PageSection, figures_grid, grid_of
from core.text import counted


def outside_band(outcome: RunResult) -> str:
    """How many symbols are outside their band after trading; empty without a band, or when nobody knows."""
    band, residual = band_bps(outcome), outcome.residual_drift_bps
    if band is None or residual is None:
        return ""
    names = [symbol for symbol, drift in residual.items() if abs(drift) > band]
    every = counted(len(residual), "symbol")
    if not names:
        return f"all of {every} inside the band of {band:f} bps"
    return f"{len(names)} of {every} outside the band of {band:f} bps"


def holdings_section(outcome: RunResult) -> PageSection:
    """The weight of every symbol: the target, before and after, with what was planned and why."""
    plan = outcome.plan
    if plan is None:
        return PageSection("Holdings")
    lines = by_drift(plan.lines)
    columns = (SYMBOL, TARGET, CURRENT.titled("before %"), *_held_after(outcome), PRICE, SIDE, SHARES, NOTIONAL)
    # apart from the numbers, since a column of long texts would make every row of them tall
    grids = (grid_of("weights", columns, lines, plan), grid_of("reasons", (SYMBOL, _WHY), lines))
    return PageSection("Holdings", charts=weights(outcome), grids=grids)


def drift_section(outcome: RunResult) -> PageSection:
    """How far every symbol was from its target, and is, with the band that is tolerated."""
    plan = outcome.plan
    if plan is None:
        return PageSection("Drift")
    lines, band = by_drift(plan.lines), band_bps(outcome)
    symbol, _, _, _, before, planned, after = drift_columns(outcome, "sum of all")
    columns = [symbol, before.titled("before bps"), planned.titled("planned bps")]
    if outcome.was_sent:
        columns.append(_or_unknown(after).titled("after bps"))
    if band is not None:
        columns.append(left("now", lambda line: _place(_drift_now(outcome, line), band)))
    return PageSection(
        "Drift",
        texts=_band_rule(outcome),
        charts=drifts(outcome, lines),
        grids=(grid_of("drift", columns, lines, plan),),
    )


def _band_rule(outcome: RunResult) -> tuple[str, ...]:
    """What the bands of the settings mean; nothing where they are not on record."""
    section, band = outcome.settings.get("rebalance", {}), band_bps(outcome)
    if band is not None:
        return (f"The band of a holding is {band:f} bps: what lies within is left alone.",)
    total = section.get("portfolio_total_band_bps")
    return () if total is None else (f"The absolute drifts may sum to {total} bps before anything is traded.",)


def orders_section(outcome: RunResult) -> PageSection:
    """Every order with its limit, the mid when it was sent, and its fills; what was not sent is among the notes."""
    orders = outcome.orders
    unsent = [row for row in unsent_rows(outcome) if not row.reason]
    if not orders and not unsent and not outcome.not_sent:
        return PageSection("Orders")
    return PageSection(
        "Orders", charts=timeline(orders), grids=(grid_of("orders", _ORDERS, orders),), lines=order_notes(outcome)
    )


def costs_section(outcome: RunResult) -> PageSection:
    """What the fills cost: slippage against the mid, half the spread, and commissions; totals and each order."""
    costs = order_costs(outcome)
    if not costs:
        return PageSection("Costs")
    traded = sum((cost.notional_usd for cost in costs), ZERO)
    paid = commissions_sum(costs)
    slippage = cost_sum([cost.slippage_usd for cost in costs], costs)
    spread = cost_sum([cost.half_spread_usd for cost in costs], costs)
    figures = (
        ("traded, conversions included", f"{formats.amount(traded)} USD"),
        ("slippage against the mid when sent", _sum_text(slippage)),
        ("half the spread when sent", _sum_text(spread)),
        ("commissions", UNKNOWN if paid is None else balances_text(paid)),
    )
    about = (
        "Slippage is how much worse than the mid the fills were; it contains what was paid of the spread. Half the"
        " spread is what crossing it at once would have cost. A negative cost is a gain."
    )
    return PageSection(
        "Costs", texts=(about,), grids=(figures_grid("costs", figures), grid_of("each order", _COSTS, costs))
    )


def _sum_text(total: CostSum) -> str:
    if total.usd is None:
        return UNKNOWN
    rate = "" if total.bps is None else f", {formats.bps(total.bps)} bps"
    missing = f"; {UNKNOWN} for {counted(total.unknown, 'order')}" if total.unknown else ""
    return f"{formats.amount(total.usd)} USD{rate}{missing}"


# --- columns


def _or_unknown(column: Column[TradeLine]) -> Column[TradeLine]:
    return replace(column, reading=lambda line: column.reading(line) or UNKNOWN)


def _held_after(outcome: RunResult) -> list[Column[TradeLine]]:
    """Weight and shares after trading; as planned where nothing was sent."""
    if not outcome.was_sent:
        return [right("planned %", lambda line: formats.percent(_planned(line)))]
    _, shares, _, weight, *_ = drift_columns(outcome, "")
    held: Column[TradeLine] = right("held before", lambda line: formats.shares(line.held))
    return [_or_unknown(weight).titled("after %"), held, _or_unknown(shares).titled("held after")]


def _planned(line: TradeLine) -> Decimal:
    return line.target + line.projected_drift_bps / BPS


def _drift_now(outcome: RunResult, line: TradeLine) -> Decimal | None:
    """The drift as it is: measured again, or the one before where nothing was sent; None where nobody knows."""
    if outcome.residual_drift_bps is not None:
        return outcome.residual_drift_bps.get(line.symbol)
    return None if outcome.was_sent else line.drift_bps


def _place(drift: Decimal | None, band: Decimal) -> str:
    if drift is None:
        return UNKNOWN
    return "outside the band" if abs(drift) > band else "inside the band"


_WHY: Column[TradeLine] = left("why", order_reason)


def _record(name: str, cell: Callable[[OrderRecord], str]) -> Column[OrderRecord]:
    return right(name, cell, reading=lambda record: with_commas(cell(record)))


_ORDERS: Sequence[Column[OrderRecord]] = (
    left("order", order_name),
    _record("shares", lambda record: formats.shares(record.order.quantity)),
    left("sent (UTC)", lambda record: formats.clock(record.sent_at) or "not sent"),
    _record("limit", order_limit),
    _record("mid", lambda record: formats.price(record.order.mid) or UNKNOWN),
    _record("filled", lambda record: formats.shares(record.filled)),
    _record("average", lambda record: formats.price(record.average_price)),
    left("last fill", lambda record: formats.clock(record.fills[-1].at) if record.fills else ""),
    left("status", lambda record: record.state.label),
    left("reference", lambda record: record.order.ref),
)


def _cost(name: str, cell: Callable[[OrderCost], str]) -> Column[OrderCost]:
    return right(name, cell, reading=lambda cost: with_commas(cell(cost)) or UNKNOWN)


_COSTS: Sequence[Column[OrderCost]] = (
    left("order", lambda cost: order_name(cost.record)),
    _cost("filled", lambda cost: formats.shares(cost.record.filled)),
    _cost("mid when sent", lambda cost: formats.price(cost.arrival_mid)),
    _cost("average", lambda cost: formats.price(cost.record.average_price)),
    _cost("slippage bps", lambda cost: formats.bps(cost.slippage_bps)),
    _cost("USD", lambda cost: formats.money(cost.slippage_usd)),
    _cost("half spread bps", lambda cost: formats.bps(cost.half_spread_bps)),
    _cost("USD", lambda cost: formats.money(cost.half_spread_usd)),
    _cost("commission", lambda cost: balances_text(cost.commissions or {})),
)
