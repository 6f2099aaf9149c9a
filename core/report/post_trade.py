"""What really happened as CSV and Markdown: result, failures with their next step, orders, cash, what drift is left."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from core.errors import RebalanceError, leading
from core.masking import mask_account, mask_accounts
from core.model import (
    AccountSnapshot,
    Currency,
    OrderRecord,
    Outcome,
    Side,
    Stage,
    Symbol,
    TradeLine,
    Valuation,
    WorkingOrder,
)
from core.money import ZERO
from core.report import formats
from core.report.formats import UNKNOWN, bullets, document, section, table
from core.report.rows import POST_TRADE_COLUMNS, PostTradeRow, by_drift, post_trade_rows
from core.report.sections import approvals_section, gates_section, run_warnings, warnings_section

_TEXT_COLUMNS = ("symbol", "side", "status")
_RIGHT = ("before", "after", "change", "shares", "filled", "code", "target_pct", "drift_before", "planned", "residual")


def post_trade_csv(outcome: Outcome) -> str:
    """post_trade.csv; the header alone when no order was made."""
    rows = post_trade_rows(outcome.orders, outcome.residual_drift_bps)
    return formats.csv_text(POST_TRADE_COLUMNS, (row.cells for row in rows))


def post_trade_markdown(outcome: Outcome) -> str:
    """post_trade.md."""
    text = document(
        f"# Rebalance {outcome.run_id}: {outcome.status.replace('_', ' ')}",
        _head(outcome),
        section("What went wrong", _errors(outcome.errors)),
        warnings_section(run_warnings(outcome)),
        section("Orders", _orders(outcome), _order_totals(outcome.orders)),
        section("Residual drift", _drift(outcome)),
        section("Cash", _cash(outcome)),
        section("Orders of an earlier run, cancelled first", _cancelled(outcome.cancelled)),
        gates_section(outcome.gates),
        approvals_section(outcome.approvals),
        section("Settings", _settings(outcome)),
    )
    return mask_accounts(text, outcome.account_id)


def _head(outcome: Outcome) -> str:
    rows = [
        ("name", outcome.name),
        ("account", mask_account(outcome.account_id)),
        ("mode", outcome.mode),
        ("broker", outcome.broker or "none"),
        ("started", formats.utc(outcome.started_at)),
        ("ended", formats.utc(outcome.ended_at)),
        ("exit code", f"{outcome.exit_code.value} {outcome.exit_code.name.lower().replace('_', ' ')}"),
        ("result", outcome.reason),
    ]
    return table(("run", outcome.run_id), [row for row in rows if row[1]])


def _errors(errors: tuple[RebalanceError, ...]) -> str:
    if not errors:
        return ""
    first = leading(errors)
    ordered = (first, *(error for error in errors if error is not first))
    rows = [(str(error.exit_code.value), error.message, error.next_step) for error in ordered]
    faults = [fault for error in ordered for fault in error.faults]
    listed = (table(("code", "what happened", "what to do next"), rows, _RIGHT), bullets(faults))
    return "\n\n".join(filter(None, listed))


def _orders(outcome: Outcome) -> str:
    rows = post_trade_rows(outcome.orders, outcome.residual_drift_bps)
    if not rows:
        return "No order was made."
    right = [column for column in POST_TRADE_COLUMNS if column not in _TEXT_COLUMNS]
    return table(POST_TRADE_COLUMNS, map(_for_reading, rows), right)


def _for_reading(row: PostTradeRow) -> tuple[str, ...]:
    """An empty commission of an order that filled is one nobody knows yet."""
    cells = dict(zip(POST_TRADE_COLUMNS, row.cells, strict=True))
    if row.filled_shares != "0":
        cells["commission"] = row.commission or UNKNOWN
    return tuple(cells.values())


def _order_totals(orders: tuple[OrderRecord, ...]) -> str:
    if not orders:
        return ""
    fills = [fill for record in orders for fill in record.fills]
    unknown = sum(fill.commission is None for fill in fills)
    sold, bought = (formats.money(_notional(orders, side)) for side in (Side.SELL, Side.BUY))
    lines = [
        f"sold {sold} USD, bought {bought} USD",
        f"commissions of {unknown} of {len(fills)} fills are {UNKNOWN}" if unknown else "",
        *(f"{record.order.ref}: {record.state.label}, {record.reason}" for record in orders if record.reason),
        *(_unreported(record) for record in orders if record.reported_filled > record.filled),
    ]
    return bullets(filter(None, lines))


def _unreported(record: OrderRecord) -> str:
    counted, arrived = formats.shares(record.reported_filled), formats.shares(record.filled)
    return f"{record.order.ref}: the broker counts {counted} filled, fills of {arrived} have arrived"


def _notional(orders: Iterable[OrderRecord], side: Side) -> Decimal:
    """USD filled on one side; conversions are not trades."""
    return sum(
        (
            fill.shares * fill.price
            for record in orders
            if record.order.side is side and record.order.stage is not Stage.FX
            for fill in record.fills
        ),
        ZERO,
    )


def _drift(outcome: Outcome) -> str:
    residual = outcome.residual_drift_bps
    if outcome.plan is None:
        return ""
    if residual is None:
        return "The account was not read again." if outcome.orders else ""
    rows = [
        _drift_row(line, residual.get(line.symbol), outcome.valuation_after) for line in by_drift(outcome.plan.lines)
    ]
    total = sum(map(abs, residual.values()), ZERO)
    totals = outcome.plan.totals
    rows.append(
        ("sum of absolute drift", "", "", *map(formats.bps, (totals.drift_before_bps, totals.drift_after_bps, total)))
    )
    header = ("symbol", "target_pct", "current_pct", "drift_before", "planned", "residual")
    return table(header, rows, (*_RIGHT, "current_pct"))


def _drift_row(line: TradeLine, residual: Decimal | None, after: Valuation | None) -> tuple[str, ...]:
    return (
        line.symbol,
        formats.percent(line.target),
        formats.percent(_weight(line.symbol, after)),
        formats.bps(line.drift_bps),
        formats.bps(line.projected_drift_bps),
        formats.bps(residual),
    )


def _weight(symbol: Symbol, after: Valuation | None) -> Decimal | None:
    if after is None or symbol not in after.prices or not after.investable:
        return None
    return after.held[symbol] * after.prices[symbol].value / after.investable


def _cash(outcome: Outcome) -> str:
    before, after = outcome.before, outcome.after
    currencies = sorted({*_balances(before), *_balances(after)})
    rows = [
        _cash_row(currency, _balances(before).get(currency), _balances(after).get(currency)) for currency in currencies
    ]
    return table(("currency", "before", "after", "change"), rows, _RIGHT) if rows else ""


def _cash_row(currency: Currency, before: Decimal | None, after: Decimal | None) -> tuple[str, ...]:
    change = None if before is None or after is None else after - before
    return (currency, *(formats.money(amount) or UNKNOWN for amount in (before, after, change)))


def _balances(snapshot: AccountSnapshot | None) -> dict[Currency, Decimal]:
    return dict(snapshot.cash) if snapshot else {}


def _cancelled(orders: tuple[WorkingOrder, ...]) -> str:
    rows = [
        (order.symbol, order.side, formats.shares(order.quantity), formats.shares(order.filled), order.order_ref)
        for order in orders
    ]
    return table(("symbol", "side", "shares", "filled", "order"), rows, _RIGHT) if rows else ""


def _settings(outcome: Outcome) -> str:
    rows = [(f"{name}.{key}", value) for name, values in outcome.settings.items() for key, value in values.items()]
    return table(("setting", "value"), rows) if rows else ""
