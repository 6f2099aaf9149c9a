"""Report what is planned, and what happened: as files, and as artifacts on the Prefect page."""

from __future__ import annotations

from pathlib import Path

from core.model import Plan, RunResult
from core.report import (
    PRE_TRADE_FILES,
    PreTrade,
    plan_page,
    result_page,
    verdict_table,
    write_pre_trade,
    write_reports,
)
from tasks.app.artifacts import (
    Milestone,
    end_progress,
    ended_orders,
    planned_orders,
    publish,
    publish_orders,
    show_progress,
)
from tasks.app.run import Run
from tasks.app.step import step


@step("Report the plan")
async def report_plan(run: Run, plan: Plan) -> None:
    """Put the plan on record and write the pre-trade report, before anybody is asked. Raises OutputFailed."""
    if run.is_on_record:
        run.journal.plan(plan)
    report = PreTrade(plan=plan, warnings=tuple(run.warnings), gates=tuple(run.gates.values()))
    write_pre_trade(report, run.folder)
    await publish(run, "plan", plan_page(report), "The plan")
    await publish_orders(run, planned_orders(plan), "The planned orders")
    await show_progress(run, Milestone.PLANNED)
    run.log_step("report", f"plan written to {' and '.join(file.name for file in PRE_TRADE_FILES)}")


@step("Report the result")
async def report_result(run: Run, outcome: RunResult) -> tuple[Path, ...]:
    """Write all reports; their paths. Raises OutputFailed."""
    paths = write_reports(outcome, run.folder)
    await publish(run, "gates", verdict_table(outcome.gates), "The data gates")
    await publish(run, "result", result_page(outcome), "The result")
    if outcome.orders:
        await publish_orders(run, ended_orders(outcome), "The orders as they ended")
    await end_progress(run, outcome)
    return paths
