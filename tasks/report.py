"""Report what is planned, and what happened: as files, and as artifacts on the Prefect page."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from core.errors import OutputFailed
from core.model import Plan, RunResult
from core.report import (
    PRE_TRADE_FILES,
    PreTrade,
    files_page,
    plan_page,
    planned_weights,
    result_page,
    verdict_table,
    weights,
    write_pre_trade,
    write_reports,
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
async def report_result(run: Run, outcome: RunResult) -> tuple[Path, ...]:
    """Write all reports; their paths. Raises OutputFailed."""
    paths = await in_thread(partial(write_reports, outcome, run.folder))
    whole = [path.absolute() for path in paths]
    # beside each other: a slow server keeps a run waiting once, not once for each
    await asyncio.gather(
        publish(run, "gates", verdict_table(outcome.gates), "The data gates"),
        publish(run, "result", result_page(outcome), "The result"),
        publish_orders(run, ended_orders(outcome), "The orders as they ended"),
        publish_charts(run, lambda: weights(outcome) if outcome.was_sent else (), "Weights: target, before and after"),
        publish(run, "files", files_page(run.id, whole, platform.node()), "The files of the run"),
        end_progress(run, outcome),
    )
    return paths + await in_thread(partial(_write_data_docs, run))


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
