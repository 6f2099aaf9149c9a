"""Report what is planned, and what happened: as files, and as artifacts on the Prefect page."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from loguru import logger

from core.errors import OutputFailed, unexpected
from core.model import Plan, RunResult
from core.report import (
    PRE_TRADE_FILES,
    PreTrade,
    Written,
    files_page,
    plan_page,
    planned_weights,
    result_page,
    try_reports,
    verdict_table,
    weights,
    write_pre_trade,
    write_texts,
)
from expectations.data_docs import INDEX, data_docs
from tasks.app.artifacts import (
    Milestone,
    end_progress,
    ended_orders,
    planned_orders,
    publish,
    publish_charts,
    publish_orders,
    show_progress,
)
from tasks.app.progress import log, show
from tasks.app.run import Run
from tasks.app.step import step

T = TypeVar("T")

DATA_DOCS = "data_docs"


@step("Report the plan")
async def report_plan(run: Run, plan: Plan) -> None:
    """Put the plan on record and write the pre-trade report, before anybody is asked. Raises OutputFailed."""
    if run.is_on_record:
        run.journal.plan(plan)
    report = PreTrade(plan=plan, warnings=tuple(run.warnings), gates=tuple(run.gates.values()))
    write_pre_trade(report, run.folder)
    await asyncio.gather(
        publish(run, "plan", plan_page(report), "The plan"),
        publish_orders(run, planned_orders(plan), "The planned orders"),
        publish_charts(run, lambda: planned_weights(plan), "Weights: target, before and planned"),
        show_progress(run, Milestone.PLANNED),
    )
    run.log_step("report", f"plan written to {' and '.join(file.name for file in PRE_TRADE_FILES)}")


@step("Report the result")
async def report_result(run: Run, outcome: RunResult) -> Written:
    """Write all reports, and put them on the page of the run; which were written, and why others were not."""
    written = await in_thread(partial(try_reports, outcome, run.folder))
    if written.failure and written.failure.__cause__:
        show(logger.opt(exception=written.failure.__cause__).error, "unexpected failure of the report")
    await _publish_result(run, outcome, written.paths)
    return written


async def report_gates(run: Run) -> tuple[Path, ...]:
    """Write the library's own pages on the gates, where somebody asked for them; their index. Raises OutputFailed."""
    return await in_thread(partial(_write_data_docs, run))


async def _publish_result(run: Run, outcome: RunResult, paths: Iterable[Path]) -> None:
    """Put the result on the page of the flow run. What the page lacks is no failure: the report is in files."""
    whole = [path.absolute() for path in paths]
    try:
        gates, result, orders = verdict_table(outcome.gates), result_page(outcome), ended_orders(outcome)
        files = files_page(run.id, whole, platform.node()) if whole else "No file of the report could be written."
        # beside each other: a slow server keeps a run waiting once, not once for each
        await asyncio.gather(
            publish(run, "gates", gates, "The data gates"),
            publish(run, "result", result, "The result"),
            publish_orders(run, orders, "The orders as they ended"),
            publish_charts(
                run, lambda: weights(outcome) if outcome.was_sent else (), "Weights: target, before and after"
            ),
            publish(run, "files", files, "The files of the run"),
            end_progress(run, outcome),
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, the trading is done
        log("WARNING", "the Prefect page does not show the result: {}", unexpected(error, "").message)


async def in_thread(write: Callable[[], T]) -> T:
    """What `write` returns, called in a thread, so that the loop goes on; charts and pages take a second or more.

    A cancellation is raised only when all is written.
    """
    writing = asyncio.ensure_future(asyncio.to_thread(write))
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing})
        raise


def _write_data_docs(run: Run) -> tuple[Path, ...]:
    """The index of the library's own pages on the gates, all of them written; nothing where nobody asked for them."""
    if not run.checked:
        return ()
    try:
        pages = data_docs(run.id, run.settings.ibkr.account_id, tuple(run.checked.values()))
    except Exception as error:
        raise OutputFailed(
            f"the Data Docs of the gates could not be made: {type(error).__name__}: {error}",
            next_step="the other reports are complete; report it",
        ) from error
    write_texts(pages, run.folder / DATA_DOCS)
    return (run.folder / DATA_DOCS / INDEX,)
