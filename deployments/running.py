"""`rebalance run`: the flow, with this terminal as its approver and its progress."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loguru import logger
from rich.markdown import Markdown
from rich.prompt import Confirm, Prompt

from core.errors import ApprovalExpired, ExitCode, RebalanceError, UsageError
from core.masking import VISIBLE
from core.model import Mode, Outcome
from core.report import result_json
from deployments.terminal import Progress, console, errors_console, show_outcome
from tasks.approver import Answer, Approver, Question
from tasks.wiring import Request, Session, session


@dataclass(frozen=True, slots=True)
class Terms:
    """How the command is to ask and to answer."""

    says_yes: bool = False
    by_form: bool = False
    as_json: bool = False


class SaidYes:
    """`--yes` in paper: the person who typed the command has approved."""

    how = "--yes"

    async def ask(self, question: Question) -> Answer:
        """Yes."""
        return Answer(approve=True, approver=login(), account_suffix=question.plan.account_id[-VISIBLE:])


class AtTerminal:
    """Shows the plan and asks Y/N; live also asks for the account's last characters."""

    how = "terminal"

    async def ask(self, question: Question) -> Answer:
        """What was typed. Raises ApprovalExpired when nothing was typed in time."""
        errors_console().print(Markdown(question.markdown))
        try:
            async with asyncio.timeout(question.seconds_left):
                return await _typed(question)
        except TimeoutError:
            raise ApprovalExpired(
                f"nobody answered within {question.seconds_left:.0f} s", next_step="nothing was sent; run again"
            ) from None


async def _typed(question: Question) -> Answer:
    """Typing blocks a thread that may be left behind when time is up, never the loop."""
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def give(answer: Answer) -> None:
        if not answered.done():
            answered.set_result(answer)

    def read() -> None:
        answer = _read_answer(question)
        loop.call_soon_threadsafe(give, answer)

    threading.Thread(target=read, daemon=True).start()
    return await answered


def _read_answer(question: Question) -> Answer:
    suffix = question.plan.account_id[-VISIBLE:]
    try:
        approve = Confirm.ask(f"{question.title}?", default=False, console=errors_console())
        if approve and question.plan.mode is Mode.LIVE:
            suffix = Prompt.ask(f"The account's last {VISIBLE} characters", console=errors_console())
    except EOFError:
        return Answer(approve=False, approver=login(), account_suffix="", note="the input ended")
    return Answer(approve=approve, approver=login(), account_suffix=suffix)


def login() -> str:
    """The name of whoever runs the command."""
    return getpass.getuser()


def approver_for(request: Request, terms: Terms) -> Approver | None:
    """Who is asked in this run; None leaves the question to the form.

    Raises UsageError when nobody could answer, and SettingsInvalid, before anything is started.
    """
    settings = request.files().settings()
    if not (request.mode.sends_orders and settings.safety.require_confirm):
        return None
    if terms.by_form:
        if not os.environ.get("PREFECT_API_URL"):
            raise UsageError(
                "--pause needs a Prefect server that outlives the question",
                next_step="start one with `prefect server start` and set PREFECT_API_URL",
            )
        return None
    if terms.says_yes and request.mode is Mode.PAPER:
        return SaidYes()
    if sys.stdin.isatty():
        return AtTerminal()
    raise UsageError(
        "nobody can approve: there is no terminal, no --yes and no --pause",
        next_step="run it in a terminal, or add --yes (paper) or --pause",
    )


def run_flow(request: Request, terms: Terms) -> ExitCode:
    """Run the flow to its end; its exit code, after its result was printed."""
    outcomes: list[Outcome] = []

    def ended(outcome: Outcome, paths: tuple[Path, ...]) -> None:
        outcomes.append(outcome)
        if terms.as_json:
            print(result_json(outcome), end="")  # noqa: T201 - the document that --json promises
        else:
            show_outcome(outcome, paths, console())

    own = Session(approver=approver_for(request, terms), ended=ended)
    show_progress()
    with session(own):
        asyncio.run(_run(request))
    return outcomes[-1].exit_code


async def _run(request: Request) -> None:
    from flows.rebalance import rebalance

    with suppress(RebalanceError):  # the outcome says it all
        await rebalance(**request.parameters())


def show_progress() -> None:
    """Lines of runs go to the terminal by us alone: Prefect's own console lines would say everything twice."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    logger.remove()
    logger.add(Progress(), level="INFO", format="{message}", filter=lambda record: "run_id" in record["extra"])
