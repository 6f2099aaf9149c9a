"""The Y/N question: only a yes that was typed after the plan was shown, in time, is a yes."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from builders import plan
from prefect.settings import get_current_settings

from core.errors import ApprovalExpired
from core.model import Mode
from deployments import cli
from deployments.approvers import PreApproved, TerminalApprover, login
from tasks.app.approvers import Question

DEMO = Path(cli.__file__).parent / "demo"
DEADLINE = 120


class Terminal:
    """The keyboard of a pseudo-terminal, and what was printed so far."""

    def __init__(self, keyboard, capsys):
        self._keyboard = keyboard
        self._capsys = capsys
        self.printed = ""

    def type(self, text):
        os.write(self._keyboard, text.encode())

    async def until(self, asking, text, times=1):
        """Wait until the text was printed so many times."""
        async with asyncio.timeout(DEADLINE):
            while self.printed.count(text) < times:
                await asyncio.wait([asking], timeout=0.01)
                self.printed += self._capsys.readouterr().err


@pytest.fixture
def terminal(monkeypatch, capsys):
    keyboard, far_end = pty.openpty()
    with os.fdopen(far_end) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield Terminal(keyboard, capsys)
    with suppress(OSError):
        os.close(keyboard)


def question(mode=Mode.PAPER, seconds_left=float(DEADLINE)):
    asked = replace(plan(), mode=mode)
    return Question("key", "Approve the plan", asked, "what would be **traded**", seconds_left)


async def answered(terminal, *typed, mode=Mode.PAPER):
    asking = asyncio.create_task(TerminalApprover().ask(question(mode)))
    await terminal.until(asking, "[y/N]")
    for count, text in enumerate(typed, start=1):
        terminal.type(text)
        if count < len(typed):
            await terminal.until(asking, "please type y or n" if text == "perhaps\n" else "characters")
    return await asking


@pytest.mark.parametrize(
    ("typed", "is_yes"),
    [
        (["y\n"], True),
        (["YES\n"], True),
        (["n\n"], False),
        (["\n"], False),
        (["perhaps\n", "y\n"], True),
        (["perhaps\n", "n\n"], False),
        (["\x04"], False),
    ],
    ids=["y", "YES", "n", "nothing", "perhaps and then y", "perhaps and then n", "the end of the input"],
)
async def test_only_y_and_yes_are_a_yes(terminal, typed, is_yes):
    answer = await answered(terminal, *typed)
    assert answer.approve is is_yes
    assert answer.approver == login()


async def test_input_from_before_the_plan_was_shown_is_discarded(terminal):
    terminal.type("y\n")
    answer = await answered(terminal, "n\n")
    assert not answer.approve
    assert "Plan ABCDEFGHIJ23" in terminal.printed


async def test_live_wants_the_last_characters_of_the_account_as_well(terminal):
    answer = await answered(terminal, "y\n", "567\n", mode=Mode.LIVE)
    assert (answer.approve, answer.account_suffix) == (True, "567")


async def test_where_approvers_are_set_a_yes_wants_name_and_code(terminal):
    asking = asyncio.create_task(TerminalApprover().ask(replace(question(), approvers=("ANN", "BOB"))))
    for prompt, typed in (("[y/N]", "y\n"), ("Approver (ANN, BOB): ", "ann\n"), ("One-time code: ", "123 456\n")):
        await terminal.until(asking, prompt)
        terminal.type(typed)
    answer = await asking
    assert (answer.approve, answer.approver, answer.code) == (True, "ANN", "123 456")
    assert "123 456" not in repr(answer)


async def test_when_nobody_types_in_time_it_is_no_answer(terminal):
    with pytest.raises(ApprovalExpired, match="nobody answered in time"):
        await TerminalApprover().ask(question(seconds_left=0.05))


async def test_yes_on_the_command_line_is_a_yes_for_the_plan_s_own_account_once_the_plan_was_shown(capsys):
    answer = await PreApproved().ask(question())
    assert (answer.approve, answer.account_suffix) == (True, plan().account_id[-3:])
    assert "VTI" in capsys.readouterr().err


class Command:
    """`rebalance run --paper` in a terminal of its own, on the server of the test run."""

    def __init__(self, folder, before=""):
        self._terminal, far_end = pty.openpty()
        text = ["run", "--csv", DEMO / "portfolios.csv", "--ini", DEMO / "settings.ini", "--paper", "--broker", "fake"]
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"{before}\nfrom deployments.cli import main; main()",
                *text,
                "--set",
                f"io.report_dir={folder}",
            ],
            stdin=far_end,
            stdout=far_end,
            stderr=far_end,
            start_new_session=True,
            env={
                **os.environ,
                "PREFECT_API_URL": get_current_settings().api.url,
                "TERM": "dumb",
                "PYTHONFAULTHANDLER": "1",
            },
        )
        os.close(far_end)
        self.printed = ""

    def _read(self):
        # a piece may end inside a character
        return os.read(self._terminal, 65536).decode(errors="replace")

    def read_until(self, text):
        """Read what it prints until the text is there, or until it ends."""
        deadline = time.monotonic() + DEADLINE
        with suppress(OSError):  # the terminal is gone with the process
            while text not in self.printed and time.monotonic() < deadline:
                self.printed += self._read()
        assert text in self.printed, self.printed

    def type(self, text):
        os.write(self._terminal, text.encode())

    def ended(self):
        """Its exit code, with the rest of what it printed."""
        dump = threading.Timer(DEADLINE, self.process.send_signal, (signal.SIGABRT,))  # shows where it hangs
        dump.start()
        with suppress(OSError):
            while more := self._read():
                self.printed += more
        dump.cancel()
        os.close(self._terminal)
        return self.process.wait(DEADLINE)


@pytest.fixture
def command(prefect_server, tmp_path, request):
    started = Command(tmp_path, getattr(request, "param", ""))
    yield started
    if started.process.poll() is None:
        os.killpg(started.process.pid, signal.SIGKILL)
        started.process.wait()


def report_of(folder):
    (found,) = folder.rglob("result.json")
    return json.loads(found.read_text())


@pytest.mark.slow
def test_y_in_a_terminal_trades(command, tmp_path):
    command.read_until("Approve the plan? [y/N]")
    command.type("y\n")
    assert command.ended() == 0
    assert "completed: done (exit 0)" in command.printed
    assert report_of(tmp_path)["status"] == "completed"
