"""What happened, as CSV and Markdown: result, failures with their next step, orders, cash, residual drift."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from core.errors import RebalanceError, leading_first
from core.masking import mask_account, mask_accounts
from core.model import (
    AccountSnapshot,
    Currency,
    Mode,
    OrderRecord,
    RunResult,
    WorkingOrder,
)
from core.report import formats
from core.report.columns import (
    NOT_SENT,
    ORDERS_FILE,
    Columns,
    TradeRow,
    by_drift,
    csv_of,
    drift_columns,
    left,
    markdown_of,
    right,
    trade_rows,
    unsent_rows,
)
from core.report.facts import pct, traded_text
from core.report.formats import UNKNOWN, bullets, document, section, table
from core.report.sections import approvals_section, gates_section, mode_text, run_warnings, warnings_section

CASH_HEADINGS = ("currency", "before", "planned", "after", "change")
CANCELLED: Columns[WorkingOrder] = (
    left("symbol", lambda order: order.symbol),
    left("side", lambda order: order.side),
    right("shares", lambda order: formats.shares(order.quantity)),
    right("filled", lambda order: formats.shares(order.filled)),
    left("order", lambda order: order.order_ref),
)


def post_trade_csv(outcome: RunResult) -> str:
    """post_trade.csv: every order, and every trade of the plan that was not sent; the header alone without any."""
    return csv_of(ORDERS_FILE, trade_rows(outcome))


def post_trade_markdown(outcome: RunResult) -> str:
    """post_trade.md: what happened first, then what was checked, the settings last.

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
    """Notes on single orders, the broker's and ours, and why trades of the plan were not sent."""
    orders = outcome.orders
    return (
        *(f"{record.order.ref}: {record.state.label}, {record.reason}" for record in orders if record.reason),
        *(
            f"{record.order.ref}: {record.finding.by} found: {record.finding.text}"
            for record in orders
            if record.finding is not None
        ),
        *(f"{record.order.ref}: the broker reported: {text}" for record in orders for text in record.notices),
        *(_unreported(record) for record in orders if record.reported_filled > record.filled),
        *_unsent(unsent_rows(outcome)),
    )


def _unsent(rows: Iterable[TradeRow]) -> Iterator[str]:
    """A line for each reason, with all trades that were not sent for it."""
    unsent: dict[str, list[str]] = {}
    for row in rows:
        unsent.setdefault(row.reason, []).append(row.trade)
    for reason, names in unsent.items():
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
    ordered = leading_first(errors)
    rows = [(str(error.exit_code.value), error.message, error.next_step) for error in ordered]
    faults = [fault for error in ordered for fault in error.faults]
    listed = (table(("code", "what happened", "what to do next"), rows, right=("code",)), bullets(faults))
    return "\n\n".join(filter(None, listed))


def _orders(outcome: RunResult) -> str:
    rows = trade_rows(outcome)
    if not rows and outcome.mode.sends_orders and outcome.plan:
        return "No order was due."
    return markdown_of(ORDERS_FILE, rows)


def _notes(outcome: RunResult) -> str:
    return bullets(filter(None, (traded_text(outcome), *order_notes(outcome))))


def _unreported(record: OrderRecord) -> str:
    reported, arrived = formats.shares(record.reported_filled), formats.shares(record.filled)
    return f"{record.order.ref}: the broker counts {reported} filled, fills of {arrived} have arrived"


def _drift(outcome: RunResult) -> str:
    if outcome.plan is None or not outcome.was_sent:
        return ""
    if outcome.residual_drift_bps is None:
        return f"{unmeasured_text(outcome)}."
    columns = drift_columns(outcome, "sum of absolute drift")
    return markdown_of(columns, by_drift(outcome.plan.lines), outcome.plan)


def unmeasured_text(outcome: RunResult) -> str:
    """Why the drift after trading is not known."""
    return "The account was not read again" if outcome.after is None else "The drift that is left could not be measured"


def _cash(outcome: RunResult) -> str:
    rows = cash_rows(outcome)
    listed = table(CASH_HEADINGS, rows, right=CASH_HEADINGS[1:]) if rows else ""
    return "\n\n".join(filter(None, (listed, gross_text(outcome))))


def gross_text(outcome: RunResult) -> str:
    """The gross exposure after trading beside the planned one; empty where it is not known."""
    plan, now = outcome.plan, outcome.valuation_after
    if plan is None or now is None:
        return ""
    planned, reached = pct(plan.totals.gross_after), pct(now.gross_position_value / now.net_liq)
    return f"Gross exposure: {reached} of NetLiq, planned {planned}."


def cash_rows(outcome: RunResult) -> list[tuple[str, ...]]:
    """The cash of each currency under `CASH_HEADINGS`; none in a run that sent nothing.

    What is planned is counted at worst prices, with the usual commissions: a little more is normal.
    """
    if not outcome.was_sent:
        return []
    before, after = _balances(outcome.before), _balances(outcome.after)
    planned = outcome.plan.totals.cash_after if outcome.plan else {}
    return [
        _cash_row(currency, before.get(currency), planned.get(currency), after.get(currency))
        for currency in sorted({*before, *after})
    ]


def _cash_row(
    currency: Currency, before: Decimal | None, planned: Decimal | None, after: Decimal | None
) -> tuple[str, ...]:
    change = None if before is None or after is None else after - before
    return (currency, *(formats.amount(amount) or UNKNOWN for amount in (before, planned, after, change)))


def _balances(snapshot: AccountSnapshot | None) -> dict[Currency, Decimal]:
    return dict(snapshot.cash) if snapshot else {}


def _cancelled(orders: tuple[WorkingOrder, ...]) -> str:
    return markdown_of(CANCELLED, orders)


def _settings(outcome: RunResult) -> str:
    rows = [(f"{name}.{key}", value) for name, values in outcome.settings.items() for key, value in values.items()]
    return table(("setting", "value"), rows) if rows else ""
