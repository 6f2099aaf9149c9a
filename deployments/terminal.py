"""What a person at a terminal sees: progress, tables, and the question; colours on a terminal, plain text in a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.errors import RebalanceError, leading
from core.masking import mask_accounts
from core.model.types import Side
from core.money import ZERO
from core.report import account_facts, order_notes, plan_facts, result_facts, trade_rows
from core.report.columns import ORDERS_SCREEN, PLAN_SCREEN, REASON, Column, TradeRow, by_drift, readings
from core.report.formats import UNKNOWN, bps, with_commas
from core.report.history import COMMISSIONS, HISTORY, NAME, RESULT

if TYPE_CHECKING:
    from loguru import Message

    from core.model import Plan, RunResult
    from core.report.history import PastRun

PIPE_WIDTH = 160
FRAMED_FROM = 110
REASONS_FROM = 150
MOST_BARS = 20
WIDEST_BAR = 40
NARROWEST_BAR = 8
# full and light; the second pair where a terminal knows no others
MARKS = ("█", "░")
PLAIN_MARKS = ("#", ".")
COLOURS = {Side.SELL: "magenta", Side.BUY: "green"}
LEVELS = {"WARNING": ("warning: ", "yellow"), "ERROR": ("error: ", "bold red")}


def console() -> Console:
    """Where results go."""
    return Console(width=_width(sys.stdout), highlight=False)


def errors_console() -> Console:
    """Where progress and failures go."""
    return Console(stderr=True, width=_width(sys.stderr), highlight=False)


def _width(stream: TextIO) -> int | None:
    """A pipe is as wide as COLUMNS says, else 160; None leaves it to the terminal."""
    if stream.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and int(columns) else PIPE_WIDTH


class Progress:
    """A loguru sink: one line per step of a run, warnings yellow and failures red; no line is repeated."""

    def __init__(self) -> None:
        self._console = errors_console()
        self._shown: set[str] = set()

    def __call__(self, message: Message) -> None:
        record = message.record
        label, style = LEVELS.get(record["level"].name, ("", ""))
        line = mask_accounts(f"{label}{record['message']}")
        if line in self._shown:
            return
        self._shown.add(line)
        self._console.print(f"{record['time']:%H:%M:%S}  {line}", style=style, markup=False, soft_wrap=True)


def print_progress(line: str) -> None:
    """A line where progress goes."""
    errors_console().print(line, markup=False, soft_wrap=True)


def show_failure(error: RebalanceError) -> None:
    """The failure on one line, and on lines of their own the single faults that it does not name already."""
    to = errors_console()
    line = mask_accounts(f"exit {error.exit_code:d}: {error}")
    to.print(line, style="bold red", markup=False, highlight=False, soft_wrap=True)
    for fault in error.unnamed_faults:
        to.print(f"  {mask_accounts(fault)}", markup=False, highlight=False, soft_wrap=True)


def show_warnings(warnings: Iterable[str]) -> None:
    """A line for each, where progress goes."""
    to = errors_console()
    for warning in warnings:
        to.print(mask_accounts(f"warning: {warning}"), style="yellow", markup=False, soft_wrap=True)


def show_plan(plan: Plan, to: Console) -> None:
    """The account, the plan as a table, and its sums; on a narrow screen the reasons follow below it."""
    lines = by_drift(plan.lines)
    has_reasons = to.width >= REASONS_FROM
    columns = (*PLAN_SCREEN, REASON) if has_reasons else PLAN_SCREEN
    *rows, total = readings(columns, lines, plan)
    table = _table(columns, to)
    for line, row in zip(lines, rows, strict=True):
        _add(table, line.side, row)
    table.add_section()
    _add(table, None, total)
    to.print(Text(f"Plan {plan.run_id}", style="bold"))
    _show_facts(account_facts(plan), to)
    to.print(table)
    if not has_reasons:
        _show_facts([(line.symbol, line.reason) for line in lines], to)
        to.print()
    _show_drift([(line.symbol, line.drift_bps, line.projected_drift_bps) for line in lines], ("bps now", "after"), to)
    _show_facts(plan_facts(plan), to)


def _show_drift(drifts: Sequence[tuple[str, Decimal, Decimal | None]], headings: tuple[str, str], to: Console) -> None:
    """A bar for each symbol's drift in bps, the largest first: full what is left of it, light what is traded away.

    `drifts` are symbols with their drift before and after, None for one that nobody knows.
    """
    largest = max((abs(drift) for _, *both in drifts for drift in both if drift is not None), default=ZERO)
    rows = [
        (symbol, with_commas(bps(before)), UNKNOWN if after is None else with_commas(bps(after)))
        for symbol, before, after in drifts[:MOST_BARS]
    ]
    cells = [("symbol", *headings), *rows]
    taken = sum(max(map(len, column)) + 2 for column in zip(*cells, strict=True))
    width = min(WIDEST_BAR, to.width - taken)
    if not largest or width < NARROWEST_BAR:
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("symbol", no_wrap=True)
    table.add_column("drift", no_wrap=True, width=width)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    marks = PLAIN_MARKS if to.options.ascii_only else MARKS
    for (symbol, before, after), row in zip(drifts, rows, strict=False):
        table.add_row(symbol, Text(drift_bar(before, after, largest / width, marks)), *row[1:])
    to.print(table)
    if len(drifts) > MOST_BARS:
        to.print(f"and {len(drifts) - MOST_BARS} smaller ones")
    to.print()


def drift_bar(before: Decimal, after: Decimal | None, bps_per_mark: Decimal, marks: tuple[str, str]) -> str:
    """A mark for so many bps: full ones for the drift after, light ones up to the drift before.

    >>> drift_bar(Decimal(-60), Decimal(20), Decimal(10), ("#", "."))
    '##....'
    """
    full, light = marks
    long, left = (round(abs(drift or ZERO) / bps_per_mark) for drift in (before, after))
    return full * left + light * max(long - left, 0)


def show_result(outcome: RunResult, paths: Iterable[Path], to: Console) -> None:
    """What happened: every trade of the plan, the cash, where the reports are, and the result in the last line."""
    rows = trade_rows(outcome)
    if outcome.plan and not rows:
        show_plan(outcome.plan, to)
    if rows:
        _show_orders(outcome, rows, to)
    _show_faults(outcome, to)
    for path in paths:
        to.print(f"  {path}", markup=False, soft_wrap=True)
    style = "bold red" if outcome.errors else "bold green"
    what = str(leading(outcome.errors)) if outcome.errors else outcome.reason
    line = mask_accounts(f"{outcome.ending.lower()}: {what} (exit {outcome.exit_code:d})")
    to.print(line, style=style, markup=False, soft_wrap=True)


def show_runs(runs: Sequence[PastRun], to: Console) -> None:
    """A row for each past run; what a narrow screen has no room for follows below the table."""
    below = () if to.width >= REASONS_FROM else (RESULT,) if to.width >= FRAMED_FROM else (COMMISSIONS, RESULT)
    names = [NAME] if any(run.name for run in runs) else []
    columns = [*HISTORY, *names, *(column for column in (COMMISSIONS, RESULT) if column not in below)]
    table = _table(columns, to)
    for cells in readings(columns, runs):
        _add(table, None, map(mask_accounts, cells))
    to.print(Text("Past runs, the newest first", style="bold"))
    to.print(table)
    if below:
        _show_facts([(run.run_id, "; ".join(_stated(column, run) for column in below)) for run in runs], to)


def _stated(column: Column[PastRun], run: PastRun) -> str:
    """The cell, with its heading where a number alone would not say what it is."""
    return f"{column.title} {column.reading(run)}" if column.is_number else column.reading(run)


def _show_orders(outcome: RunResult, rows: Sequence[TradeRow], to: Console) -> None:
    table = _table(ORDERS_SCREEN, to)
    for row, cells in zip(rows, readings(ORDERS_SCREEN, rows), strict=True):
        _add(table, row.side, cells)
    to.print(Text(f"Result of run {outcome.run_id}", style="bold"))
    to.print(table)
    for note in order_notes(outcome):
        to.print(f"  {mask_accounts(note)}", markup=False, soft_wrap=True)
    if outcome.plan and outcome.was_sent:
        left = outcome.residual_drift_bps or {}
        drifts = [(line.symbol, line.drift_bps, left.get(line.symbol)) for line in by_drift(outcome.plan.lines)]
        to.print()
        _show_drift(drifts, ("bps before", "left"), to)
    _show_facts(result_facts(outcome), to)


def _show_faults(outcome: RunResult, to: Console) -> None:
    for error in outcome.errors:
        for fault in error.unnamed_faults:
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


def _table(columns: Iterable[Column[Any]], to: Console) -> Table:
    """An empty table; a narrow screen gets one without frames, so that no number is cut short."""
    is_framed = to.width >= FRAMED_FROM
    table = Table(box=HEAVY_HEAD if is_framed else SIMPLE_HEAD, padding=(0, 1) if is_framed else (0, 0))
    for column in columns:
        table.add_column(column.title, justify="right" if column.is_number else "left", overflow="fold")
    return table


def _add(table: Table, side: Side | None, cells: Iterable[str]) -> None:
    """A row in the colour of its side, which is in its text as well."""
    # as Text, not as markup: a reason may contain [rebalance], which rich would read as a style
    table.add_row(*map(Text, cells), style=None if side is None else COLOURS[side])
