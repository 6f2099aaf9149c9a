"""One answer for all accounts of a household: the question, its form on the Prefect page, and what counts as a yes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from loguru import logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.input import RunInput
from prefect.runtime import flow_run as current
from prefect.states import Running
from pydantic import Field

from core.household import PlannedAccount, household_hash, household_question
from core.text import did_you_mean, visible
from flows.approval import SERVER_WAITS_LONGER, await_form
from flows.liveness import ANSWER_LABEL, APPROVED, ASKED_AGAIN, REJECTED, current_flow_run_id, put_labels
from tasks.app.household import HouseholdRun

MOST_TRIES = 3
# before the first of the accounts gives up waiting
ENDS_BEFORE = timedelta(seconds=15)


class HouseholdForm(RunInput, extra="ignore"):
    """What the person fills in; the household's name stands for the accounts' last characters."""

    answer: Literal["approve", "reject"] = Field(title="Answer")
    approver: str = Field(min_length=1, max_length=60, pattern=r"\S", title="Your name")
    household: str = Field(min_length=1, max_length=80, title="Name of the household")
    leave_out: str = Field(default="", max_length=2000, title="Accounts to leave out, with commas between")


@dataclass(frozen=True, slots=True)
class HouseholdAnswer:
    """Who said what: the names of the accounts that may trade; all others of the question were rejected."""

    approver: str
    approved: frozenset[str]


async def ask_for_all(
    run: HouseholdRun, planned: Sequence[PlannedAccount], waiting: Iterable[FlowRun], others: Sequence[str]
) -> HouseholdAnswer | None:
    """The answer to one question about all plans; None when nobody answered in time, or not rightly three times.

    A yes counts with the name of the household, and the names of the accounts that are left out must be right.
    """
    name, again = run.household.name, ""
    ends = min(_end(each) for each in waiting) - ENDS_BEFORE
    for attempt in range(1, MOST_TRIES + 1):
        # a household that is run again under its flow run asks anew, and Prefect accepts each key once
        key = f"household-{current.run_count}-{household_hash(planned)[:12]}-{attempt}"
        form = await _asked(household_question(name, planned, others, again), key, ends)
        if form is None:
            return None
        left_out = [each.strip() for each in form.leave_out.split(",") if each.strip()]
        wrong = _fault(form, name, left_out, [row.name for row in planned])
        is_yes = form.answer == "approve"
        taken = f"{ASKED_AGAIN}{wrong}" if wrong else APPROVED if is_yes else REJECTED
        run.labels[ANSWER_LABEL] = f"{key} {taken}"
        # before the next form, which would otherwise overtake the answer's label
        await put_labels(run.labels)
        if not wrong:
            approved = {row.name for row in planned} - set(left_out) if is_yes else set()
            return HouseholdAnswer(form.approver.strip(), frozenset(approved))
        again = f"Asked again ({attempt + 1} of {MOST_TRIES}): {wrong}"
    return None


async def _asked(markdown: str, key: str, ends: datetime) -> HouseholdForm | None:
    """The form as it was filled in; None without one in time."""
    seconds = (ends - datetime.now(UTC)).total_seconds()
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            return await await_form(HouseholdForm.with_initial_data(description=markdown), key, max(seconds, 0.0))
    except TimeoutError:
        logger.warning("nobody answered for the household in time")
        await _go_on()
        return None


async def _go_on() -> None:
    """Let the page show that the household goes on: a form that nobody answered left its run paused."""
    flow_run_id = current_flow_run_id()
    if flow_run_id is not None:
        async with get_client() as client:
            await client.set_flow_run_state(flow_run_id, Running(), force=True)


def _fault(form: HouseholdForm, name: str, left_out: Sequence[str], known: Sequence[str]) -> str:
    """What is wrong with the answer; empty for one that counts. A no always does."""
    if form.answer != "approve":
        return ""
    if " ".join(form.household.split()).casefold() != name.casefold():
        return "the answer named another household"
    unknown = [each for each in left_out if each not in known]
    return f"no account {visible(unknown[0])} waits{did_you_mean(unknown[0], known)}" if unknown else ""


def _end(paused: FlowRun) -> datetime:
    """When the run of an account stops waiting for its answer."""
    timeout = paused.state.state_details.pause_timeout if paused.state else None
    return (timeout or datetime.now(UTC)) - timedelta(seconds=SERVER_WAITS_LONGER)
