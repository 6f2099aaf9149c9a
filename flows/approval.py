"""A person's approval before the first order: the question, its form on the Prefect page, and what counts as a yes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Literal, TypeVar

import httpx
from loguru import logger
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import apause_flow_run
from prefect.input import RunInput
from prefect.input.run_input import keyset_from_base_key
from prefect.utilities.urls import url_for
from pydantic import Field, ValidationError, create_model
from pydantic.json_schema import SkipJsonSchema

from core.errors import ApprovalRejected, SafetyRefused
from core.journal.store import CodeUsed, TakenCode
from core.masking import VISIBLE, mask_account
from core.model import Approval, Plan, Stage
from core.report import approval_markdown, planned_weights
from core.text import visible
from flows.liveness import (
    ANSWER_LABEL,
    APPROVED,
    APPROVED_LABEL,
    ASKED_AGAIN,
    REFUSED,
    REJECTED,
    current_flow_run_id,
    put_labels,
)
from tasks.app.approvers import Answer, Question, expired
from tasks.app.artifacts import publish
from tasks.app.codes import MOST_WRONG_CODES, wrong_code
from tasks.app.notify import notify, page, waiting_note
from tasks.app.progress import show
from tasks.app.run import Run
from tasks.app.wiring import current_session

Form = TypeVar("Form", bound=RunInput)

# a mistyped suffix is a slip; three are not
MOST_WRONG_ACCOUNTS = 3
CODE_PATTERN = r"^\s*\d{3}\s?\d{3}\s*$"
POLL_SECONDS = 2
SERVER_WAITS_LONGER = 60  # seconds


class ApprovalForm(RunInput, extra="ignore"):
    """What the person fills in. Nothing is chosen beforehand; titles alone, so that the orders above stay in sight.

    A note field would push rows of the plan out of sight, so the page has none; `rebalance approve` can add a note.
    """

    answer: Literal["approve", "reject"] = Field(title="Answer")
    approver: str = Field(min_length=1, max_length=80, pattern=r"\S", title="Your name")
    account_suffix: str = Field(
        min_length=VISIBLE, max_length=VISIBLE, title=f"Last {VISIBLE} characters of the account"
    )
    note: SkipJsonSchema[str] = Field(default="", max_length=500)
    code: SkipJsonSchema[str] = Field(default="", repr=False)


class FormApprover:
    """Pauses the flow run with a form; the person who resumes it answers."""

    how = "form"

    async def ask(self, question: Question) -> Answer:
        """The form's content; a form that is missing or cannot be read counts as a no. Raises ApprovalExpired."""
        _log_where_to_answer(question)
        try:
            async with asyncio.timeout(question.seconds_left):
                asked = _form_of(question).with_initial_data(description=question.markdown)
                form = await await_form(asked, question.key, question.seconds_left)
        except TimeoutError:
            raise expired() from None
        if form is None:
            return Answer(approve=False, approver="", account_suffix="", note="the form could not be read")
        return Answer(form.answer == "approve", form.approver.strip(), form.account_suffix, form.note, form.code)


def _log_where_to_answer(question: Question) -> None:
    """Log the page of the run, and the command that answers it from a terminal."""
    flow_run_id, run_id = current_flow_run_id(), question.plan.run_id
    page = url_for("flow-run", obj_id=flow_run_id) if flow_run_id else None
    info = logger.bind(run_id=run_id).info
    info("approval: run {} waits{}", run_id, f" on its page: {page}" if page else "")
    info("approval: answer there, or with: rebalance approve {} --account-suffix {}", run_id, "X" * VISIBLE)


async def await_form(form: type[Form], key: str, seconds: float) -> Form | None:
    """The form as it was filled in, however long that takes; None when it is missing or cannot be read.

    The server ends the pause a minute after `seconds`. While it does not answer this waits for it: the run goes on, and
    its question stays open.
    """
    wait = _pause
    while True:
        try:
            return await wait(form, key, seconds)
        except (ValidationError, ObjectNotFound):
            return None
        except (httpx.HTTPError, RuntimeError) as error:
            # a RuntimeError means that the run may not pause: its state was set from outside, which will stop it
            logger.debug("the run cannot wait on the Prefect server, and tries again: {}", error)
            wait = _resume_pause
            await asyncio.sleep(POLL_SECONDS)


def _form_of(question: Question) -> type[ApprovalForm]:
    """The form; where approvers are set, one with their names to choose from and a field for the code."""
    if not question.approvers:
        return ApprovalForm
    name = Field(title="Approver", json_schema_extra={"enum": list(question.approvers)})
    code = Field(title="One-time code of the approver", pattern=CODE_PATTERN, repr=False)
    return create_model(ApprovalForm.__name__, __base__=ApprovalForm, approver=(str, name), code=(str, code))


async def _pause(form: type[Form], key: str, seconds: float) -> Form:
    return await apause_flow_run(
        wait_for_input=form,
        # our own time-out ends first, so that the run fails with our message instead of the server's
        timeout=int(seconds) + SERVER_WAITS_LONGER,
        poll_interval=POLL_SECONDS,
        key=key,
    )


async def _resume_pause(form: type[Form], key: str, seconds: float) -> Form:
    """Go on waiting after the server did not answer: Prefect accepts each pause key only once."""
    flow_run_id = current_flow_run_id()
    if flow_run_id is None:
        raise LookupError("a form needs a flow run")
    keys = keyset_from_base_key(f"paused-{key}")
    async with get_client() as client:
        while True:
            run = await client.read_flow_run(flow_run_id)
            if key not in (run.empirical_policy.pause_keys or ()):
                return await _pause(form, key, seconds)
            if run.state is not None and run.state.is_running():
                return await form.aload(keys)
            await asyncio.sleep(POLL_SECONDS)


class Deadline:
    """When the time for all questions of a run ends, in real time even in a rehearsal: a person answers."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        return max(self._end - time.monotonic(), 0.0)


async def ask(run: Run, plan: Plan, deadline: Deadline, stage: Stage | None = None) -> None:
    """Return when the plan, or this stage of it, was approved. Raises ApprovalRejected and ApprovalExpired.

    After a yes with the wrong account suffix the question is asked again, three times in all; after an answer whose
    one-time code is wrong as well, until the run has had five of them. The next form says so. Raises SafetyRefused when
    there were too many wrong codes.
    """
    part = "plan" if stage is None else f"{stage.lower()}s"
    title = f"Approve the {part}"
    question_id = plan.hash if stage is None else f"{plan.hash}:{part}"
    is_on_page = isinstance(run.approver, FormApprover)
    charts = await asyncio.to_thread(planned_weights, plan) if is_on_page else ()
    markdown = approval_markdown(plan, tuple(run.warnings), part, charts)
    if stage is not None:
        # the whole plan is on the page already, with more of it than fits into a form
        await publish(run, "plan", markdown, title)
    # on record before it is shown, so that no answer can come to a question nobody asked
    run.journal.ask(run.id, question_id, at=run.broker.now())
    show(current_session().on_question, plan)
    run.log_step("approval", f"{title}: waiting for an answer")
    if is_on_page:
        await notify(run.settings.notify.webhook_url, waiting_note(plan, page()))
    run.reach("approval")
    key = f"{part}-{len(run.approvals) + 1}-{plan.hash[:12]}"
    approvers = run.codes.names if run.codes else ()
    question = Question(key, title, plan, markdown, deadline.seconds_left, approvers)
    answer = await _await_valid_answer(run, question, question_id, deadline)
    approved = answer.approve and _names_account(answer, plan)
    _record(run, answer, question_id, is_approved=approved)
    if not approved:
        raise ApprovalRejected(_refusal(answer), next_step="nothing was sent for it; a new run makes a new plan")
    if run.broker.now() > plan.expires_at:
        # the monotonic clock of the deadline stands still while the computer sleeps
        raise expired(f"the answer came after the plan expired at {plan.expires_at:%H:%M} UTC")
    run.log_step("approval", f"approved by {visible(answer.approver)}")


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an answer does not count: `what` for the form, `details` for log and report; `number` of at most `most`."""

    what: str
    details: str
    number: int
    most: int


async def _await_valid_answer(run: Run, question: Question, question_id: str, deadline: Deadline) -> Answer:
    """The answer that counts: with the code of an approver where one is wanted, and no yes that names another account.

    The last of too many yeses that name another account is returned as well. A label shows what became of each answer,
    so that `rebalance approve` can report it. Raises SafetyRefused after too many wrong codes.
    """
    markdown, wrong_accounts, numbers = question.markdown, 0, count(1)
    while True:
        key = f"{question.key}-{next(numbers)}"
        answer = await run.approver.ask(
            replace(question, key=key, markdown=markdown, seconds_left=deadline.seconds_left)
        )
        objection = _check_code(run, answer, question_id)
        if objection is None and answer.approve and not _names_account(answer, question.plan):
            wrong_accounts += 1
            objection = _wrong_account(question.plan, wrong_accounts)
        await _label(run, key, answer, question.plan, objection)
        if objection is None:
            return answer
        if objection.number < objection.most:
            run.warn(objection.details)
            again = f"Asked again ({objection.number + 1} of {objection.most}): {objection.what}"
            markdown = f"**{again}**\n\n{question.markdown}"
        elif wrong_accounts == MOST_WRONG_ACCOUNTS:
            return answer
        else:
            raise SafetyRefused(
                f"{MOST_WRONG_CODES} answers had no valid code of an approver",
                next_step="nothing was sent for it; find out who tried, then start a new run",
            )


def _check_code(run: Run, answer: Answer, question_id: str) -> Objection | None:
    """Use up the one-time code of the answer; the objection when it proves no approver, None where none is wanted.

    A no without any code is a no: whoever can answer could cancel the run as well.
    """
    if run.codes is None or not (answer.approve or answer.code):
        return None
    # a person's authenticator goes by real time, in a rehearsal too
    step = run.codes.step_of(answer.approver, answer.code, time.time())
    why = wrong_code(answer.approver)
    if step is not None:
        try:
            # even if the answer will not count: it can be read in the server's database from now on
            run.journal.take_code(TakenCode(answer.approver, step, run.id, question_id, datetime.now(UTC)))
        except CodeUsed as error:
            why = str(error)
        else:
            return None
    run.codes.wrong += 1
    return Objection(why, why, run.codes.wrong, MOST_WRONG_CODES)


def _wrong_account(plan: Plan, number: int) -> Objection:
    what = "the answer named another account"
    return Objection(what, f"{what} than {mask_account(plan.account_id)}", number, MOST_WRONG_ACCOUNTS)


async def _label(run: Run, key: str, answer: Answer, plan: Plan, objection: Objection | None) -> None:
    """Label the run with what became of the answer."""
    if objection is not None:
        taken = f"{ASKED_AGAIN if objection.number < objection.most else REFUSED}{objection.details}"
    else:
        taken = APPROVED if answer.approve else REJECTED
    run.labels[ANSWER_LABEL] = f"{key} {taken}"
    if taken == APPROVED:
        run.labels[APPROVED_LABEL] = plan.hash[:12]
    # before the next form, which would otherwise overtake the answer's label
    await put_labels(run.labels)


def _names_account(answer: Answer, plan: Plan) -> bool:
    return answer.account_suffix.strip().upper() == plan.account_id[-VISIBLE:].upper()


def _refusal(answer: Answer) -> str:
    if answer.approve:
        return f"the account's last {VISIBLE} characters were wrong {MOST_WRONG_ACCOUNTS} times"
    who = visible(answer.approver or "the approver")
    return f"{who} said no: {visible(answer.note)}" if answer.note else f"{who} said no"


def _record(run: Run, answer: Answer, question_id: str, *, is_approved: bool) -> None:
    approval = Approval(
        plan_hash=question_id,
        approved=is_approved,
        approver=answer.approver,
        at=run.broker.now(),
        note=answer.note,
        how=f"{run.approver.how} and one-time code" if run.codes and answer.code else run.approver.how,
    )
    run.journal.answer(run.id, approval)
    run.approvals.append(approval)
