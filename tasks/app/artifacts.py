"""What a run leaves on the Prefect page: plan, orders, chart, gates, result, files, and how far it has come.

Each has one key per account, such as `plan-567`, so that its versions over time are one history. When the server
refuses one, the log gets a warning and the run goes on: its report is in files.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from typing import TypeVar

from prefect.artifacts import (
    Artifact,
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.context import FlowRunContext

from core.masking import VISIBLE
from core.model import Plan, RunId, RunResult
from core.report import Chart, chart_page, trade_rows
from core.report.columns import ORDERS_RECORDS, PLAN_RECORDS, by_drift, records_of
from tasks.app.progress import log
from tasks.app.run import Run

T = TypeVar("T")

HOUSEHOLD_REPORT, HOUSEHOLD_DOCUMENT = "household", "household-json"
# a server that is slow must not keep the buys from following the sells
LONGEST_SECONDS = 5.0


class Milestone(Enum):
    """How far a run has come: in percent, and as text."""

    STARTED = (5, "reading the account")
    PLANNED = (40, "planned")
    APPROVED = (50, "approved, checking again")
    CONVERTED = (60, "selling")
    SOLD = (75, "buying")
    BOUGHT = (90, "checking the account")


async def publish(run: Run, name: str, markdown: str, description: str) -> None:
    """Put Markdown, which names its run, on the page of the flow run; nothing outside a flow run."""
    # versions of all runs of an account stand below each other on its page
    named = markdown if run.id in markdown else f"Run {run.id}\n\n{markdown}"
    await _send(name, partial(acreate_markdown_artifact, key=_key(run, name), markdown=named, description=description))


async def publish_household(run_id: RunId, markdown: str, document: str) -> None:
    """Put the report of a household on the page of its flow run, also as JSON for a program on another computer.

    Nothing outside a flow run.
    """
    described = f"The household, run {run_id}"
    report = partial(acreate_markdown_artifact, key=HOUSEHOLD_REPORT, markdown=markdown, description=described)
    await _send(HOUSEHOLD_REPORT, report)
    # Prefect writes it as JSON by itself
    artifact = Artifact(type="result", key=HOUSEHOLD_DOCUMENT, data=json.loads(document))
    await _send(HOUSEHOLD_DOCUMENT, artifact.acreate)


async def publish_charts(run: Run, draw: Callable[[], tuple[Chart, ...]], description: str) -> None:
    """Draw charts and put them on the page of the flow run; nothing outside a flow run, or where none can be drawn.

    They are pictures within Markdown. An image artifact would show the whole picture's address as well, which is its
    content: a picture elsewhere would have to be fetched, and no server of ours has one.
    """
    if FlowRunContext.get() is None:
        return
    # in a thread: meanwhile the loop goes on reading the gateway
    page = chart_page(run.id, await asyncio.to_thread(draw))
    if page:
        await publish(run, "chart", page, description)


async def publish_orders(run: Run, rows: Iterable[Mapping[str, str]], description: str) -> None:
    """Put the orders on the page as a table to sort and to search; nothing without any."""
    table = [dict(row) for row in rows]
    if table:
        described = f"{description}, run {run.id}"
        create = partial(acreate_table_artifact, table=table, key=_key(run, "orders"), description=described)
        await _send("orders", create)


async def show_progress(run: Run, milestone: Milestone) -> None:
    """Move the run's progress bar to the milestone."""
    percent, text = milestone.value
    await _move(run, percent, text)


async def end_progress(run: Run, outcome: RunResult) -> None:
    """Fill the progress bar of a run that did what it was to do; another's stays where it ended."""
    percent = None if outcome.errors else 100.0
    await _move(run, percent, f"{outcome.ending.value}: {outcome.reason}")


def planned_orders(plan: Plan) -> list[dict[str, str]]:
    """The orders of the plan as rows of a table; its reasons, long texts, are in the plan itself."""
    return records_of(PLAN_RECORDS, by_drift((*plan.sells, *plan.buys)))


def ended_orders(result: RunResult) -> list[dict[str, str]]:
    """What became of each order as rows of a table."""
    return records_of(ORDERS_RECORDS, trade_rows(result))


async def _move(run: Run, percent: float | None, text: str) -> None:
    run.progress = run.progress if percent is None else percent
    described = f"Run {run.id}: {text}"
    if run.progress_id is None:
        create = partial(acreate_progress_artifact, key=_key(run, "progress"), description=described)
        run.progress_id = await _send("progress", partial(create, run.progress))
    else:
        update = partial(aupdate_progress_artifact, run.progress_id, run.progress, description=described)
        await _send("progress", update)


async def _send(name: str, call: Callable[[], Awaitable[T]]) -> T | None:
    """The server's answer; None when it refuses or is too slow, and outside a flow run."""
    if FlowRunContext.get() is None:
        return None
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return await call()
    except Exception as error:  # noqa: BLE001 - whatever the page lacks, the run goes on
        log("WARNING", "the Prefect page does not show {}: {}", name, str(error) or "the server did not answer in time")
        return None


def _key(run: Run, name: str) -> str:
    return f"{name}-{run.settings.ibkr.account_id[-VISIBLE:].lower()}"
