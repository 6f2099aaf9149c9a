"""The charts of the pages: which figures they show, what their marks mean, and the same in text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from core.model import OrderRecord, Plan, RunResult, Side, TradeLine
from core.money import HUNDRED, ZERO
from core.report import formats
from core.report.charts import DriftMark, OrderMark, WeightMark, drawn, drift_chart, orders_chart, weights_chart
from core.report.columns import by_drift, slippage_bps
from core.report.formats import UNKNOWN
from core.report.web_page import Chart, Key

# more rows make a chart nobody reads; the table beside it has them all
MOST_ROWS = 30
_IN_TEXT = 12


def band_bps(outcome: RunResult) -> Decimal | None:
    """The band of a holding in bps; None where the sum of all drifts decides, or the setting is not on record."""
    section = outcome.settings.get("rebalance", {})
    text = section.get("per_holding_band_bps")
    return None if text is None or section.get("trigger_mode") == "total_drift" else Decimal(text)


def order_name(record: OrderRecord) -> str:
    """Side and symbol, and which attempt it was."""
    attempt = f", attempt {record.order.attempt}" if record.order.attempt > 1 else ""
    return f"{record.order.side} {record.order.contract.symbol}{attempt}"


def order_limit(record: OrderRecord) -> str:
    """The limit price, or the order type of an order without one."""
    order = record.order
    return str(order.order_type) if order.limit_price is None else formats.price(order.limit_price)


def weights(outcome: RunResult) -> tuple[Chart, ...]:
    """The weights of the largest holdings: target, before and after, or planned where nothing was sent.

    No chart without a plan or a symbol in it.
    """
    lines = outcome.plan.lines if outcome.plan else ()
    return _weights(lines, lambda line: _drift_after(outcome, line), "after" if outcome.was_sent else "planned")


def planned_weights(plan: Plan) -> tuple[Chart, ...]:
    """The weights of the largest holdings: target, before and planned. No chart without a symbol."""
    return _weights(plan.lines, lambda line: float(line.projected_drift_bps), "planned")


def _weights(
    lines: Sequence[TradeLine], drift_after: Callable[[TradeLine], float | None], after: str
) -> tuple[Chart, ...]:
    shown = sorted(by_drift(lines)[:MOST_ROWS], key=lambda line: (-max(line.target, line.current), line.symbol))
    if not shown:
        return ()
    marks = tuple(
        WeightMark(line.symbol, _percent(line.target), _percent(line.current), _weight(line, drift_after(line)))
        for line in shown
    )
    told = (
        f"{mark.symbol} target {mark.target:.2f}, before {mark.before:.2f}, {after} {_or_word(mark.after)}"
        for mark in marks
    )
    keys = (Key("line", "target"), Key("hollow", "before"), Key("bar", after))
    title = "Weights in % of the investable value"
    return (Chart(title, drawn(lambda: weights_chart(marks)), keys, _alternative(title, told), _left_out(len(lines))),)


def drifts(outcome: RunResult, lines: Sequence[TradeLine]) -> tuple[Chart, ...]:
    """The drift of the largest `lines`, in the order of their table: before and after, with the band."""
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


def timeline(orders: Sequence[OrderRecord]) -> tuple[Chart, ...]:
    """When the largest orders were sent and filled, and their prices against the mid."""
    sent = [record for record in orders if record.sent_at]
    if not sent:
        return ()
    by_size = sorted(sent, key=lambda record: -record.order.quantity * (record.order.mid or ZERO))
    largest = {record.order.ref for record in by_size[:MOST_ROWS]}
    start = min(moment for record in sent if (moment := record.sent_at))
    marks = [_order_mark(record, start) for record in sent if record.order.ref in largest]
    told = (
        f"{order_name(record)} sent {formats.clock(record.sent_at)}, limit {order_limit(record)},"
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


def _weight(line: TradeLine, drift_bps: float | None) -> float | None:
    return None if drift_bps is None else _percent(line.target) + drift_bps / 100


def _drift_after(outcome: RunResult, line: TradeLine) -> float | None:
    """The drift after trading in bps, as planned where nothing was sent; None where nobody knows."""
    if not outcome.was_sent:
        return float(line.projected_drift_bps)
    residual = outcome.residual_drift_bps
    return None if residual is None or line.symbol not in residual else float(residual[line.symbol])


def _or_word(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"
