"""What a person at a terminal sees: progress, tables, and the question; colours on a terminal, plain text in a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.errors import RebalanceError, leading
from core.masking import mask_accounts
from core.model.types import OrderType
from core.report import (
    TOTAL,
    account_facts,
    order_notes,
    plan_facts,
    post_trade_rows,
    pre_trade_rows,
    result_facts,
)
from core.report.formats import price, with_commas

if TYPE_CHECKING:
    from loguru import Message

    from core.model import Plan, RunResult
    from core.report import PostTradeRow, PreTradeRow

PIPE_WIDTH = 160
FRAMED_FROM = 110
REASONS_FROM = 150
COLOURS = {"SELL": "magenta", "BUY": "green"}
WORDS = ("symbol", "side", "status")
PLAN_COLUMNS = ("symbol", "target %", "now %", "drift bps", "price", "side", "shares", "limit", "worst", "USD")
RESULT_COLUMNS = ("symbol", "side", "filled", "of", "avg price", "notional", "status", "slip bps", "residual bps")
LEVELS = {"WARNING": ("warning: ", "yellow"), "ERROR": ("error: ", "bold red")}


def console() -> Console:
    """Where results go."""
    return Console(width=_width(sys.stdout), highlight=False)


def errors_console() -> Console:
    """Where progress and failures go."""
    return Console(stderr=True, width=_width(sys.stderr), highlight=False)


def _width(stream: TextIO) -> int | None:
    """A pipe is as wide as COLUMNS says, else 160; None lets a terminal say it itself."""
    if stream.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and int(columns) else PIPE_WIDTH


class Progress:
    """A loguru sink: one line per step of a run, warnings yellow and failures red; no line is said twice."""

    def __init__(self) -> None:
        self._console = errors_console()
        self._said: set[str] = set()

    def __call__(self, message: Message) -> None:
        record = message.record
        label, style = LEVELS.get(record["level"].name, ("", ""))
        line = mask_accounts(f"{label}{record['message']}")
        if line in self._said:
            return
        self._said.add(line)
        self._console.print(f"{record['time']:%H:%M:%S}  {line}", style=style, markup=False, soft_wrap=True)


def show_failure(error: RebalanceError) -> None:
    """The failure on one line, and on lines of their own the single faults that it does not name already."""
    to = errors_console()
    line = mask_accounts(f"exit {error.exit_code:d}: {error}")
    to.print(line, style="bold red", markup=False, highlight=False, soft_wrap=True)
    for fault in error.faults:
        if fault not in error.message:
            to.print(f"  {mask_accounts(fault)}", markup=False, highlight=False, soft_wrap=True)


def show_warnings(warnings: Iterable[str]) -> None:
    """A line for each, where progress goes."""
    to = errors_console()
    for warning in warnings:
        to.print(mask_accounts(f"warning: {warning}"), style="yellow", markup=False, soft_wrap=True)


def show_plan(plan: Plan, to: Console) -> None:
    """The account, the plan as a table, and its sums; where the screen is too narrow the reasons stand below."""
    rows = pre_trade_rows(plan)
    worst: dict[str, str] = {
        line.symbol: price(line.limit.worst_price) for line in plan.lines if line.side and line.limit
    }
    has_reasons = to.width >= REASONS_FROM
    table = _table(PLAN_COLUMNS, to)
    if has_reasons:
        table.add_column("reason", overflow="fold")
    for row in rows:
        if row.symbol == TOTAL:
            table.add_section()
        numbers = (row.target_pct, row.current_pct, row.drift_bps, row.price)
        prices = (row.limit_price or _market(row), worst.get(row.symbol, ""))
        traded = (row.share_delta if row.side else "", *prices, _traded(row))
        reason = (row.reason,) if has_reasons and row.symbol != TOTAL else ()
        _add(table, row.side, (row.symbol, *numbers, row.side, *traded, *reason))
    to.print(Text(f"Plan {plan.run_id}", style="bold"))
    _show_facts(account_facts(plan), to)
    to.print(table)
    if not has_reasons:
        _show_facts([(row.symbol, row.reason) for row in rows if row.symbol != TOTAL], to)
        to.print()
    _show_facts(plan_facts(plan), to)


def show_result(outcome: RunResult, paths: Iterable[Path], to: Console) -> None:
    """What happened: every trade of the plan, the cash, where the reports are, and the result in the last line."""
    rows = post_trade_rows(outcome)
    if outcome.plan and not rows:
        show_plan(outcome.plan, to)
    if rows:
        _show_trades(outcome, rows, to)
    _show_faults(outcome, to)
    for path in paths:
        to.print(f"  {path}", markup=False, soft_wrap=True)
    style = "bold red" if outcome.errors else "bold green"
    what = str(leading(outcome.errors)) if outcome.errors else outcome.reason
    line = mask_accounts(f"{outcome.ending.lower()}: {what} (exit {outcome.exit_code:d})")
    to.print(line, style=style, markup=False, soft_wrap=True)


def _show_trades(outcome: RunResult, rows: Iterable[PostTradeRow], to: Console) -> None:
    table = _table(RESULT_COLUMNS, to)
    for row in rows:
        numbers = (row.filled_shares, row.ordered_shares, row.avg_price, row.notional)
        _add(table, row.side, (row.symbol, row.side, *numbers, row.state, row.slippage_bps, row.residual_drift_bps))
    to.print(Text(f"Result of run {outcome.run_id}", style="bold"))
    to.print(table)
    for note in order_notes(outcome):
        to.print(f"  {mask_accounts(note)}", markup=False, soft_wrap=True)
    _show_facts(result_facts(outcome), to)


def _show_faults(outcome: RunResult, to: Console) -> None:
    for error in outcome.errors:
        for fault in (each for each in error.faults if each not in error.message):
            to.print(f"  {mask_accounts(fault)}", style="red", markup=False, soft_wrap=True)


def _show_facts(facts: Iterable[tuple[str, str]], to: Console) -> None:
    """Names and texts in two columns; a fact without a text is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in facts:
        if text:
            grid.add_row(Text(name), Text(mask_accounts(text)))
    if grid.row_count:
        to.print(grid)


def _table(columns: Iterable[str], to: Console) -> Table:
    """An empty table; a narrow screen gets one without frames, so that no number is cut short."""
    is_framed = to.width >= FRAMED_FROM
    table = Table(box=HEAVY_HEAD if is_framed else SIMPLE_HEAD, padding=(0, 1) if is_framed else (0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name in WORDS else "right", overflow="fold")
    return table


def _add(table: Table, side: str, cells: Iterable[str]) -> None:
    """A row in the colour of its side; the word stands in it all the same."""
    table.add_row(*(Text(with_commas(cell)) for cell in cells), style=COLOURS.get(side))


def _market(row: PreTradeRow) -> str:
    return OrderType.MKT if row.side else ""


def _traded(row: PreTradeRow) -> str:
    return row.est_notional if row.side or row.symbol == TOTAL else ""
