"""Who approves a run of the command: the person who gave --yes, or the one at the terminal."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
import termios

from core.masking import VISIBLE
from core.model import Mode
from core.report import plan_warnings
from deployments.terminal import errors_console, show_plan, show_warnings
from tasks.app.approvers import Answer, Question, expired

LONGEST_LINE = 4096


class PreApproved:
    """`--yes` in paper: the person who typed the command has approved; the plan is shown all the same."""

    how = "--yes"

    async def ask(self, question: Question) -> Answer:
        """Yes."""
        show_plan(question.plan, errors_console())
        return Answer(approve=True, approver=login(), account_suffix=question.plan.account_id[-VISIBLE:])


class TerminalApprover:
    """Shows the plan and asks Y/N; a yes needs the account's last characters in live, and the code of an approver."""

    how = "terminal"

    async def ask(self, question: Question) -> Answer:
        """What was typed; the end of the input is a no. Raises ApprovalExpired when nothing was typed in time."""
        show_plan(question.plan, errors_console())
        show_warnings(plan_warnings(question.plan))
        # what was typed before the plan could be read is no answer to it
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
        try:
            async with asyncio.timeout(question.seconds_left):
                return await _typed(question)
        except TimeoutError:
            errors_console().print()
            raise expired() from None


async def _typed(question: Question) -> Answer:
    approve = await _yes_or_no(question)
    if approve is None:
        return Answer(approve=False, approver=login(), account_suffix="", note="the input ended")
    suffix = question.plan.account_id[-VISIBLE:]
    if approve and question.plan.mode is Mode.LIVE:
        suffix = await _line(f"The account's last {VISIBLE} characters: ") or ""
    if not (approve and question.approvers):
        return Answer(approve=approve, approver=login(), account_suffix=suffix)
    name = await _line(f"Approver ({', '.join(question.approvers)}): ") or ""
    code = await _line("One-time code: ") or ""
    return Answer(approve, name.upper(), suffix, code=code)


async def _yes_or_no(question: Question) -> bool | None:
    """Y or N, asked for until it is one of them; None when the input ended."""
    while True:
        line = await _line(f"{question.title}? [y/N] ")
        if line is None:
            return None
        if line.lower() in ("y", "yes"):
            return True
        if line.lower() in ("n", "no", ""):
            return False
        errors_console().print("please type y or n")


async def _line(prompt: str) -> str | None:
    """The next line that is typed; None when the input ended. Waiting holds neither the loop nor a thread."""
    errors_console().print(prompt, end="", markup=False, highlight=False)
    sys.stderr.flush()
    loop, handle = asyncio.get_running_loop(), sys.stdin.fileno()
    is_ready = asyncio.Event()
    loop.add_reader(handle, is_ready.set)
    try:
        await is_ready.wait()
    finally:
        loop.remove_reader(handle)
    # a terminal hands over whole lines; input() would hold a thread that a time-out cannot end
    typed = os.read(handle, LONGEST_LINE)
    return typed.decode(errors="replace").strip() if typed else None


def login() -> str:
    """The name of whoever runs the command."""
    return getpass.getuser()
