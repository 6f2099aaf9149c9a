"""What really happened as CSV and Markdown: result, failures with their next step, orders, cash, what drift is left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from core.errors import RebalanceError, leading
from core.masking import mask_account, mask_accounts
from core.model import (
    AccountSnapshot,
    Currency,
    Mode,
    OrderRecord,
    RunResult,
    Symbol,
    TradeLine,
    Valuation,
    WorkingOrder,
)
from core.money import ZERO
from core.report import formats
from core.report.facts import traded_text
from core.report.formats import UNKNOWN, bullets, document, section, table
from core.report.rows import (
    NOT_SENT,
    POST_TRADE_COLUMNS,
    PostTradeRow,
    UnsentTrade,
    by_drift,
    post_trade_rows,
    unsent_trades,
)
from core.report.sections import approvals_section, gates_section, mode_text, run_warnings, warnings_section

_TEXT_COLUMNS = ("symbol", "side", "status")
_RIGHT = ("before", "after", "change", "shares", "filled", "code", "target_pct", "drift_before", "planned", "residual")


def post_trade_csv(outcome: RunResult) -> str:
    """post_trade.csv: every order, and every trade of the plan that was not sent; the header alone without any."""
    return formats.csv_text(POST_TRADE_COLUMNS, (row.cells for row in post_trade_rows(outcome)))


def post_trade_markdown(outcome: RunResult) -> str:
    """post_trade.md: what happened first, what was looked at after it, the settings last.

    What did not happen is left out: a dry run has no orders, no cash after and no drift that is left.
    """
    text = document(
        f"# Rebalance {outcome.run_id}: {outcome.ending.lower()}",
        _head(outcome),
        section("What went wrong", _errors(outcome.errors)),
        warnings_section(run_warnings(outcome)),
        section("Notes", bullets(outcome.plan.notes if outcome.plan else ())),
        section("Orders", _orders(outcome), _notes(outcome)),
        section("Residual drift", _drift(outcome)),
        section("Cash", _cash(outcome)),
        section("Orders of an earlier run, cancelled first", _cancelled(outcome.cancelled)),
        approvals_section(outcome.approvals),
        gates_section(outcome.gates),
        section("Settings", _settings(outcome)),
    )
    return mask_accounts(text, outcome.account_id)


def order_notes(outcome: RunResult) -> tuple[str, ...]:
    """What was said of single orders, by the broker or by us, and why trades of the plan were not sent."""
    orders = outcome.orders
    return (
        *(f"{record.order.ref}: {record.state.label}, {record.reason}" for record in orders if record.reason),
        *(f"{record.order.ref}: the broker said: {words}" for record in orders for words in record.notices),
        *(_unreported(record) for record in orders if record.reported_filled > record.filled),
        *_unsent(unsent_trades(outcome)),
    )


def _unsent(trades: Iterable[UnsentTrade]) -> Iterator[str]:
    """A line for each reason, with all trades that it kept from being sent."""
    kept: dict[str, list[str]] = {}
    for trade in trades:
        kept.setdefault(trade.reason, []).append(trade.what)
    for reason, names in kept.items():
        yield f"{NOT_SENT}{f' ({reason})' if reason else ''}: {', '.join(names)}"


def _head(outcome: RunResult) -> str:
    rows = [
        ("result", "" if outcome.errors else outcome.reason),  # what went wrong has a section of its own
        ("exit code", f"{outcome.exit_code.value} {outcome.exit_code.name.lower().replace('_', ' ')}"),
        ("account", mask_account(outcome.account_id)),
        ("mode", mode_text(outcome.mode)),
        ("broker", "" if outcome.mode is Mode.REPORT_ONLY else outcome.broker or "none"),
        ("name", outcome.name),
        ("started", formats.utc(outcome.started_at)),
        ("ended", formats.utc(outcome.ended_at)),
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


def _orders(outcome: RunResult) -> str:
    rows = post_trade_rows(outcome)
    if not rows:
        return "None was due." if outcome.mode.sends_orders and outcome.plan else ""
    right = [column for column in POST_TRADE_COLUMNS if column not in _TEXT_COLUMNS]
    return table(POST_TRADE_COLUMNS, map(_for_reading, rows), right)


def _for_reading(row: PostTradeRow) -> tuple[str, ...]:
    """An empty commission of an order that filled is one nobody knows yet; why a trade was not sent stands below."""
    is_unknown = not row.commission and row.filled_shares != "0"
    shown = replace(row, status=row.state, commission=UNKNOWN if is_unknown else row.commission)
    return tuple(map(formats.with_commas, shown.cells))


def _notes(outcome: RunResult) -> str:
    return bullets(filter(None, (traded_text(outcome), *order_notes(outcome))))


def _unreported(record: OrderRecord) -> str:
    reported, arrived = formats.shares(record.reported_filled), formats.shares(record.filled)
    return f"{record.order.ref}: the broker counts {reported} filled, fills of {arrived} have arrived"


def _drift(outcome: RunResult) -> str:
    residual = outcome.residual_drift_bps
    if outcome.plan is None or not outcome.was_sent:
        return ""
    if residual is None:
        return "The account was not read again."
    rows = [
        _drift_row(line, residual.get(line.symbol), outcome.valuation_after) for line in by_drift(outcome.plan.lines)
    ]
    total = sum(map(abs, residual.values()), ZERO)
    totals = outcome.plan.totals
    sums = map(_bps, (totals.drift_before_bps, totals.drift_after_bps, total))
    header = ("symbol", "shares", "target_pct", "current_pct", "drift_before", "planned", "residual")
    return table(header, [*rows, ("sum of absolute drift", "", "", "", *sums)], (*_RIGHT, "current_pct"))


def _drift_row(line: TradeLine, residual: Decimal | None, after: Valuation | None) -> tuple[str, ...]:
    return (
        line.symbol,
        formats.grouped(_held(line.symbol, after)),
        formats.percent(line.target),
        formats.percent(_weight(line.symbol, after)),
        _bps(line.drift_bps),
        _bps(line.projected_drift_bps),
        _bps(residual),
    )


def _bps(value: Decimal | None) -> str:
    return formats.with_commas(formats.bps(value))


def _held(symbol: Symbol, after: Valuation | None) -> Decimal | None:
    """Shares after trading: what has left the universe was sold out."""
    return None if after is None else after.held.get(symbol, ZERO)


def _weight(symbol: Symbol, after: Valuation | None) -> Decimal | None:
    if after is None or not after.investable:
        return None
    held = after.held.get(symbol, ZERO)
    return held * after.prices[symbol].value / after.investable if held else ZERO


def _cash(outcome: RunResult) -> str:
    if not outcome.was_sent:
        return ""
    before, after = _balances(outcome.before), _balances(outcome.after)
    rows = [_cash_row(currency, before.get(currency), after.get(currency)) for currency in sorted({*before, *after})]
    return table(("currency", "before", "after", "change"), rows, _RIGHT) if rows else ""


def _cash_row(currency: Currency, before: Decimal | None, after: Decimal | None) -> tuple[str, ...]:
    change = None if before is None or after is None else after - before
    return (currency, *(formats.amount(amount) or UNKNOWN for amount in (before, after, change)))


def _balances(snapshot: AccountSnapshot | None) -> dict[Currency, Decimal]:
    return dict(snapshot.cash) if snapshot else {}


def _cancelled(orders: tuple[WorkingOrder, ...]) -> str:
    rows = [
        (order.symbol, order.side, formats.shares(order.quantity), formats.shares(order.filled), order.order_ref)
        for order in orders
    ]
    return table(("symbol", "side", "shares", "filled", "order"), rows, _RIGHT) if rows else ""


def _settings(outcome: RunResult) -> str:
    rows = [(f"{name}.{key}", value) for name, values in outcome.settings.items() for key, value in values.items()]
    return table(("setting", "value"), rows) if rows else ""
