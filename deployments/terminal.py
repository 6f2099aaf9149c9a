"""What a person at a terminal sees: progress, tables, and the question; colours on a terminal, plain text in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.errors import RebalanceError, leading
from core.masking import mask_accounts
from core.report import formats, post_trade_rows, pre_trade_rows

if TYPE_CHECKING:
    from loguru import Message

    from core.model import Outcome, Plan

PIPE_WIDTH = 160
WIDE = 130
WORDS = ("symbol", "side", "status")
PLAN_COLUMNS = ("symbol", "target %", "current %", "drift bps", "price", "side", "shares", "limit", "dollars")
RESULT_COLUMNS = (
    "symbol",
    "side",
    "filled",
    "ordered",
    "avg price",
    "notional",
    "status",
    "slippage bps",
    "residual bps",
)
LEVELS = {"WARNING": ("warning: ", "yellow"), "ERROR": ("failed: ", "bold red")}


def console() -> Console:
    """Where results go."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def errors_console() -> Console:
    """Where progress and failures go."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else PIPE_WIDTH, highlight=False)


class Progress:
    """A loguru sink: one line per step of a run, warnings yellow and failures red."""

    def __init__(self) -> None:
        self._console = errors_console()

    def __call__(self, message: Message) -> None:
        record = message.record
        label, style = LEVELS.get(record["level"].name, ("", ""))
        line = mask_accounts(f"{record['time']:%H:%M:%S}  {label}{record['message']}")
        self._console.print(line, style=style, markup=False, soft_wrap=True)


def show_failure(error: RebalanceError) -> None:
    """The failure on one line, and on lines of their own the single faults that it does not name already."""
    to = errors_console()
    line = mask_accounts(f"exit {error.exit_code:d}: {error}")
    to.print(line, style="bold red", markup=False, highlight=False, soft_wrap=True)
    for fault in error.faults:
        if fault not in error.message:
            to.print(f"  {mask_accounts(fault)}", markup=False, highlight=False, soft_wrap=True)


def show_plan(plan: Plan, to: Console) -> None:
    """The plan as a table: what trades and why; on a narrow screen the reasons stand below it."""
    is_wide = to.width >= WIDE
    table = _table(f"Plan {plan.run_id}", PLAN_COLUMNS, to)
    if is_wide:
        table.add_column("reason", overflow="fold")
    rows = pre_trade_rows(plan)
    for row in rows:
        cells = (row.symbol, row.target_pct, row.current_pct, row.drift_bps, row.price, row.side, row.share_delta)
        reason = (row.reason,) if is_wide else ()
        table.add_row(*map(escape, (*cells, row.limit_price, row.est_notional, *reason)))
    to.print(table)
    for row in () if is_wide else rows:
        to.print(f"{row.symbol}: {row.reason}", markup=False)
    if plan.fx:
        bought = f"BUY {formats.shares(plan.fx.quantity)} USD.CAD, " if plan.fx.quantity else ""
        to.print(f"FX: {bought}{plan.fx.reason}", markup=False)


def show_outcome(outcome: Outcome, paths: Iterable[Path], to: Console) -> None:
    """What happened: the orders, the cash, the result and where its reports are."""
    if outcome.plan and not outcome.orders:
        show_plan(outcome.plan, to)
    if outcome.orders:
        to.print(_orders_table(outcome, to))
    if outcome.after:
        cash = ", ".join(
            f"{formats.money(amount)} {currency}" for currency, amount in sorted(outcome.after.cash.items())
        )
        to.print(f"Cash after: {cash}")
    _show_faults(outcome, to)
    for path in paths:
        to.print(f"  {path}", markup=False, soft_wrap=True)
    style = "bold red" if outcome.errors else "bold green"
    what = str(leading(outcome.errors)) if outcome.errors else outcome.reason
    line = mask_accounts(f"{outcome.status}: {what} (exit {outcome.exit_code:d})")
    to.print(line, style=style, markup=False, soft_wrap=True)


def _show_faults(outcome: Outcome, to: Console) -> None:
    for error in outcome.errors:
        for fault in (each for each in error.faults if each not in error.message):
            to.print(f"  {mask_accounts(fault)}", style="red", markup=False, soft_wrap=True)


def _table(title: str, columns: Iterable[str], to: Console) -> Table:
    """An empty table; a narrow screen gets one without frames, so that no number is cut short."""
    is_wide = to.width >= WIDE
    padding = (0, 1) if is_wide else (0, 0)
    table = Table(title=title, title_justify="left", box=HEAVY_HEAD if is_wide else SIMPLE_HEAD, padding=padding)
    for name in columns:
        table.add_column(name, justify="left" if name in WORDS else "right", overflow="fold")
    return table


def _orders_table(outcome: Outcome, to: Console) -> Table:
    table = _table(f"Result of run {outcome.run_id}", RESULT_COLUMNS, to)
    for row in post_trade_rows(outcome.orders, outcome.residual_drift_bps or {}):
        cells = (row.symbol, row.side, row.filled_shares, row.ordered_shares, row.avg_price, row.notional)
        table.add_row(*map(escape, (*cells, row.status, row.slippage_bps, row.residual_drift_bps)))
    return table
