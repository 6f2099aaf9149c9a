"""A person's yes before the first order: the question, its form on the Prefect page, and what counts as a yes."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import httpx
from loguru import logger
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.flow_runs import apause_flow_run
from prefect.input import RunInput
from pydantic import Field, ValidationError

from core.errors import ApprovalExpired, ApprovalRejected, ConnectionLost, RunCancelled
from core.masking import VISIBLE, mask_account
from core.model import Approval, Plan, Stage
from core.report import approval_markdown
from core.wording import visible
from flows.cancelling import ended, is_cancelled_on_page
from tasks.approver import Answer, Question
from tasks.artifacts import publish
from tasks.run import Run

MOST_TRIES = 3
POLL_SECONDS = 2
SERVER_WAITS_LONGER = 60  # seconds
HEARTBEAT_SECONDS = 10
HEARTBEAT_LABEL = "rebalance.waiting_since_last"
SILENT_AFTER = 4 * HEARTBEAT_SECONDS


class ApprovalForm(RunInput):
    """What the person fills in. Nothing is filled in beforehand, so that an empty form is a no."""

    approve: bool = Field(default=False, description="Send the orders of this plan?")
    approver: str = Field(min_length=1, max_length=80, pattern=r"\S", description="Your name, for the record")
    account_suffix: str = Field(
        min_length=VISIBLE, max_length=VISIBLE, description="The last 3 characters of the account"
    )
    note: str = Field(default="", max_length=500, description="Anything to keep with the decision")


class FormApprover:
    """Pauses the flow run with a form; whoever resumes it answers."""

    how = "form"

    async def ask(self, question: Question) -> Answer:
        """The form's content; a form that is missing or cannot be read is a no.

        Raises ApprovalExpired; RunCancelled when the run was cancelled on the page; ConnectionLost when the
        server went for longer than Prefect's own tries.
        """
        filled = asyncio.create_task(_filled(question))
        watch = asyncio.create_task(_watch())
        try:
            async with asyncio.timeout(question.seconds_left):
                await asyncio.wait((filled, watch), return_when=asyncio.FIRST_COMPLETED)
            if not filled.done():
                await watch
                raise RunCancelled(
                    "the run was cancelled while it waited for approval",
                    next_step="see its report for what was sent before",
                )
            form = await filled
        except TimeoutError:
            raise ApprovalExpired(
                "nobody answered in time", next_step="start the run again when somebody can approve it"
            ) from None
        except httpx.HTTPError as error:
            raise ConnectionLost(
                f"the Prefect server went while the run waited for approval: {error}",
                next_step="see to the server, then start the run again",
            ) from None
        finally:
            await ended(filled, watch)
        if form is None:
            return Answer(approve=False, approver="", account_suffix="", note="the form could not be read")
        return Answer(form.approve, form.approver.strip(), form.account_suffix, form.note)


async def _filled(question: Question) -> ApprovalForm | None:
    """The form as it was filled in, however long that takes; None when it cannot be read."""
    form = ApprovalForm.with_initial_data(description=question.markdown)
    try:
        return await apause_flow_run(
            wait_for_input=form,
            # ours ends first, so that the run fails with our message instead of the server's
            timeout=int(question.seconds_left) + SERVER_WAITS_LONGER,
            poll_interval=POLL_SECONDS,
            key=question.key,
        )
    except ValidationError:
        return None


async def _watch() -> None:
    """Return when the run was cancelled on the page; until then tell the server that this process is alive.

    A paused run of a dead process looks the same otherwise. A beat that does not get through is left out.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    async with get_client() as client:
        while True:
            try:
                heard = datetime.now(UTC).isoformat(timespec="seconds")
                await client.update_flow_run_labels(context.flow_run.id, {HEARTBEAT_LABEL: heard})
                if await is_cancelled_on_page(client):
                    return
            except httpx.HTTPError as error:
                logger.debug("no heartbeat: {}", error)
            await asyncio.sleep(HEARTBEAT_SECONDS)


class Deadline:
    """The end of the time for all questions of a run, by the clock of the person who answers."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        return max(self._end - time.monotonic(), 0.0)


async def ask(run: Run, plan: Plan, deadline: Deadline, stage: Stage | None = None) -> None:
    """Return when the plan, or this stage of it, was approved. Raises ApprovalRejected and ApprovalExpired.

    A yes with the wrong account suffix is asked again, three times in all.
    """
    part = "plan" if stage is None else f"{stage.lower()}s"
    title = f"Approve the {part}"
    question_id = plan.hash if stage is None else f"{plan.hash}:{part}"
    markdown = approval_markdown(plan, tuple(run.warnings), part)
    await publish(f"plan-{run.id.lower()}", markdown, title)
    run.journal.ask(run.id, question_id, at=run.broker.now())
    run.say("approval", f"{title}: waiting for an answer")
    run.reach("approval")
    for attempt in range(1, MOST_TRIES + 1):
        key = f"{part}-{len(run.approvals) + 1}-{attempt}-{plan.hash[:12]}"
        answer = await run.approver.ask(Question(key, title, plan, markdown, deadline.seconds_left))
        if not answer.approve or _names_account(answer, plan):
            break
        run.warn(f"the answer named another account than {mask_account(plan.account_id)}")
    approved = answer.approve and _names_account(answer, plan)
    _record(run, answer, question_id, is_approved=approved)
    if not approved:
        raise ApprovalRejected(_refusal(answer), next_step="nothing was sent for it; a new run makes a new plan")
    if run.broker.now() > plan.expires_at:
        # a computer that slept has a clock of its own that stood still
        raise ApprovalExpired(
            f"the answer came after the plan's time, {plan.expires_at:%H:%M} UTC",
            next_step="start the run again when somebody can approve it",
        )
    run.say("approval", f"approved by {visible(answer.approver)}")


def _names_account(answer: Answer, plan: Plan) -> bool:
    return answer.account_suffix.strip().upper() == plan.account_id[-VISIBLE:].upper()


def _refusal(answer: Answer) -> str:
    if answer.approve:
        return f"the account's last {VISIBLE} characters were wrong {MOST_TRIES} times"
    who = visible(answer.approver or "the approver")
    return f"{who} said no: {visible(answer.note)}" if answer.note else f"{who} said no"


def _record(run: Run, answer: Answer, question_id: str, *, is_approved: bool) -> None:
    approval = Approval(
        plan_hash=question_id,
        approved=is_approved,
        approver=answer.approver,
        at=run.broker.now(),
        note=answer.note,
        how=run.approver.how,
    )
    run.journal.answer(run.id, approval)
    run.approvals.append(approval)
