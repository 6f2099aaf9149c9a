"""The parts of report.html that show trading: holdings, drift with its bands, orders with their prices, and costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from core.model import OrderRecord, RunResult, Side, TradeLine
from core.money import BPS, HUNDRED, ZERO
from core.report import formats
from core.report.charts import DriftMark, OrderMark, WeightMark, drawn, drift_chart, orders_chart, weights_chart
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
    slippage_bps,
    unsent_rows,
)
from core.report.costs import CostSum, OrderCost, commissions_sum, cost_sum, order_costs
from core.report.facts import balances_text, order_reason
from core.report.formats import UNKNOWN, with_commas
from core.report.post_trade import order_notes
from core.report.web_page import Chart, Key, PageSection, figures_grid, grid_of
from core.text import counted

# more rows make a chart nobody reads; the table beside it has them all
MOST_ROWS = 30
_IN_TEXT = 12


def band_bps(outcome: RunResult) -> Decimal | None:
    """The band of a holding in bps; None where the sum of all drifts decides, or the setting is not on record."""
    section = outcome.settings.get("rebalance", {})
    text = section.get("per_holding_band_bps")
    return None if text is None or section.get("trigger_mode") == "total_drift" else Decimal(text)


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
    return PageSection("Holdings", charts=_weights(outcome, lines), grids=grids)


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
        charts=_drifts(outcome, lines),
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
        "Orders", charts=_timeline(orders), grids=(grid_of("orders", _ORDERS, orders),), lines=order_notes(outcome)
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


def _name(record: OrderRecord) -> str:
    attempt = f", attempt {record.order.attempt}" if record.order.attempt > 1 else ""
    return f"{record.order.side} {record.order.contract.symbol}{attempt}"


def _limit(record: OrderRecord) -> str:
    order = record.order
    return str(order.order_type) if order.limit_price is None else formats.price(order.limit_price)


_ORDERS: Sequence[Column[OrderRecord]] = (
    left("order", _name),
    _record("shares", lambda record: formats.shares(record.order.quantity)),
    left("sent (UTC)", lambda record: formats.clock(record.sent_at) or "not sent"),
    _record("limit", _limit),
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
    left("order", lambda cost: _name(cost.record)),
    _cost("filled", lambda cost: formats.shares(cost.record.filled)),
    _cost("mid when sent", lambda cost: formats.price(cost.arrival_mid)),
    _cost("average", lambda cost: formats.price(cost.record.average_price)),
    _cost("slippage bps", lambda cost: formats.bps(cost.slippage_bps)),
    _cost("USD", lambda cost: formats.money(cost.slippage_usd)),
    _cost("half spread bps", lambda cost: formats.bps(cost.half_spread_bps)),
    _cost("USD", lambda cost: formats.money(cost.half_spread_usd)),
    _cost("commission", lambda cost: balances_text(cost.commissions or {})),
)


# --- charts


def _weights(outcome: RunResult, lines: Sequence[TradeLine]) -> tuple[Chart, ...]:
    shown = sorted(lines[:MOST_ROWS], key=lambda line: (-max(line.target, line.current), line.symbol))
    if not shown:
        return ()
    after = "after" if outcome.was_sent else "planned"
    marks = [
        WeightMark(line.symbol, _percent(line.target), _percent(line.current), _weight_after(outcome, line))
        for line in shown
    ]
    told = (
        f"{mark.symbol} target {mark.target:.2f}, before {mark.before:.2f}, {after} {_or_word(mark.after)}"
        for mark in marks
    )
    keys = (Key("line", "target"), Key("hollow", "before"), Key("bar", after))
    title = "Weights in % of the investable value"
    return (Chart(title, drawn(lambda: weights_chart(marks)), keys, _alternative(title, told), _left_out(len(lines))),)


def _drifts(outcome: RunResult, lines: Sequence[TradeLine]) -> tuple[Chart, ...]:
    shown, band = lines[:MOST_ROWS], band_bps(outcome)
    if not shown:
        return ()
    after = "after" if outcome.was_sent else "planned"
    marks = [DriftMark(line.symbol, float(line.drift_bps), _drift_after(outcome, line)) for line in shown]
    told = (f"{mark.symbol} before {mark.before:.2f}, {after} {_or_word(mark.after)}" for mark in marks)
    shade = () if band is None else (Key("shade", f"band of {band:f} bps"),)
    title = "Drift from the target in bps"
    width = None if band is None else float(band)
    chart = drawn(lambda: drift_chart(marks, width))
    keys = (Key("hollow", "before"), Key("full", after), *shade)
    return (Chart(title, chart, keys, _alternative(title, told), _left_out(len(lines))),)


def _timeline(orders: Sequence[OrderRecord]) -> tuple[Chart, ...]:
    sent = [record for record in orders if record.sent_at]
    if not sent:
        return ()
    by_size = sorted(sent, key=lambda record: -record.order.quantity * (record.order.mid or ZERO))
    largest = {record.order.ref for record in by_size[:MOST_ROWS]}
    start = min(moment for record in sent if (moment := record.sent_at))
    marks = [_order_mark(record, start) for record in sent if record.order.ref in largest]
    told = (
        f"{_name(record)} sent {formats.clock(record.sent_at)}, limit {_limit(record)},"
        f" mid {formats.price(record.order.mid) or UNKNOWN}, filled {formats.shares(record.filled)} of"
        f" {formats.shares(record.order.quantity)} at {formats.price(record.average_price) or 'no price'}"
        for record in sent
    )
    title = "When orders were sent and filled, and at which prices"
    keys = (Key("hollow", "sent"), Key("full", "fill"), Key("line", "limit"), Key("zero", "mid when sent"))
    return (Chart(title, drawn(lambda: orders_chart(marks)), keys, _alternative(title, told), _left_out(len(sent))),)


def _order_mark(record: OrderRecord, start: datetime) -> OrderMark:
    order = record.order

    def cost(price: Decimal | None) -> float | None:
        bps = slippage_bps(price, order.mid, is_buy=order.side is Side.BUY)
        return None if bps is None else float(bps)

    sent = ((record.sent_at or start) - start).total_seconds()
    attempt = f" #{order.attempt}" if order.attempt > 1 else ""
    return OrderMark(
        name=f"{order.side} {order.contract.symbol}{attempt}",
        sent=sent,
        # the broker gives whole seconds, so that a fill may seem to come before its order
        fills=tuple(max((fill.at - start).total_seconds(), sent) for fill in record.fills),
        limit=cost(order.limit_price),
        prices=tuple(bps for fill in record.fills if (bps := cost(fill.price)) is not None),
    )


def _alternative(title: str, told: Iterable[str]) -> str:
    """The chart in text; the table below it has the rest."""
    every = list(told)
    more = f"; and {len(every) - _IN_TEXT} more, in the table" if len(every) > _IN_TEXT else ""
    return f"{title}. {'; '.join(every[:_IN_TEXT])}{more}."


def _left_out(number: int) -> str:
    return f"The {MOST_ROWS} largest of {number}; the table has all." if number > MOST_ROWS else ""


def _percent(fraction: Decimal) -> float:
    return float(fraction * HUNDRED)


def _weight_after(outcome: RunResult, line: TradeLine) -> float | None:
    drift = _drift_after(outcome, line)
    return None if drift is None else _percent(line.target) + drift / 100


def _drift_after(outcome: RunResult, line: TradeLine) -> float | None:
    """The drift after trading in bps, as planned where nothing was sent; None where nobody knows."""
    if not outcome.was_sent:
        return float(line.projected_drift_bps)
    residual = outcome.residual_drift_bps
    return None if residual is None or line.symbol not in residual else float(residual[line.symbol])


def _or_word(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"
