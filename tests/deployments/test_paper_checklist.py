"""The commands that the checklist for a real paper gateway gives work, here on the simulated one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders import NOW
from served import served
from worlds import ACCOUNT, account, quoted, world

from core.model import CAD, USD, USD_CAD
from core.money import D
from core.scenario import read_market
from core.sim.gateway.faults import Match, Refuse
from tasks.app.brokers import DEMO_MARKET

CHECKLIST = Path(__file__).parent.parent.parent / "deployments" / "paper-checklist.md"
TEXT = CHECKLIST.read_text()
BOXES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
(SHELL,) = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
BASH = shutil.which("bash") or "bash"
SETTING_UP = SHELL.removeprefix("make setup\n")
SPEED = 80  # of the gateway's clock, so that the waits of the boxes can be cut; the client's own limit is by the second
HURRY = "ib.sleep = lambda seconds: IB.sleep(1.1 if seconds == 6 else 0.1)\n"


@pytest.fixture(scope="module")
def transcript():
    """What Python prints when every box is pasted, one after the other."""
    quotes = {
        "SCHD": quoted("30.50", "30.51", "30.50", is_fractional=False),
        USD_CAD: quoted("1.36500", "1.36505", "1.36500"),
    }
    own = account(base_currency=CAD, positions=(), cash={USD: D(10_000), CAD: D(20_000)})
    with served(world(quotes=quotes, account=own, commission=D(1)), speed=SPEED) as running:
        running.call(lambda: running.gateway.faults.on("placeOrder", Refuse(321), Match(order_ref="CHECK-READONLY")))
        return subprocess.run(
            (sys.executable, "-i", "-q"),
            input="".join([BOXES[0], HURRY, *BOXES[1:], "exit()\n"]),
            env={**os.environ, "IB_PAPER_PORT": str(running.port), "IB_PAPER_ACCOUNT": str(ACCOUNT)},
            capture_output=True,
            text=True,
            timeout=200,
            check=True,
        )


def test_the_boxes_paste_without_an_error(transcript):
    assert "Traceback" not in transcript.stderr, transcript.stderr
    assert "SyntaxError" not in transcript.stderr
    assert "IndentationError" not in transcript.stderr


@pytest.mark.parametrize(
    "expected",
    [
        "missing: []",
        "'54': 1",
        "SCHD 0.01",
        "of 60 - errors:",
        "still connected: True",
        "'321'",
        f"'CHECK-128-{'x' * 118}'",
        "'202'",
        "'CHECK-AGAIN'",
        "'201'",
        " answers of 60 - errors: ",
        "SCHD OrderState",
        "USD OrderState",
        "'10243'",
        "'110'",
        "'Filled'",
        "commission [",
        "still open: []",
        "ended [",
    ],
)
def test_every_box_shows_what_its_question_is_about(transcript, expected):
    assert expected in transcript.stdout


def test_no_account_id_is_printed(transcript):
    assert ACCOUNT not in transcript.stdout + transcript.stderr


def test_no_order_is_left_but_the_one_for_the_evening(transcript):
    assert transcript.stdout.rstrip().splitlines()[-1].startswith("still open: []")


@pytest.mark.parametrize("command", ["check $FILES", pytest.param("plan $PAPER", marks=pytest.mark.slow)])
def test_the_commands_are_understood_and_find_the_gateway(command):
    """Those that need no minute; the line as it stands in the checklist, after the lines that set its variables."""
    assert f"`.venv/bin/rebalance {command}`" in TEXT
    with served(read_market(DEMO_MARKET, now=NOW)) as running:
        own_port = SETTING_UP.replace("IB_PAPER_PORT=4002", f"IB_PAPER_PORT={running.port}")
        done = subprocess.run(
            (BASH, "-euc", f"{own_port}\n{Path(sys.executable).parent}/rebalance {command}"),
            cwd=CHECKLIST.parent.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_option_of_the_commands_exists():
    run = next(line for line in TEXT.splitlines() if "rebalance run --paper $PAPER" in line)
    wanted = set(re.findall(r"--[a-z-]+", run + SETTING_UP))
    done = subprocess.run(
        (str(Path(sys.executable).with_name("rebalance")), "run", "--help"), capture_output=True, text=True, check=True
    )
    assert wanted <= set(re.findall(r"--[a-z-]+", done.stdout))


def test_only_a_paper_account_is_touched():
    done = subprocess.run(
        (sys.executable, "-i", "-q"),
        input=BOXES[0] + "print('went on')\n",
        env={**os.environ, "IB_PAPER_PORT": "1", "IB_PAPER_ACCOUNT": "U1234567"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "no paper account: nothing was done" in done.stderr
    assert "went on" not in done.stdout
    assert done.returncode != 0
