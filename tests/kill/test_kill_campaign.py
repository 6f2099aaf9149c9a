"""A run is killed by SIGKILL anywhere: nothing is sent twice, nothing is lost, and recovery says what it cannot know.

Rules and cases are described in `tests/support/kill`. REBALANCER_KILL_CASES says how many of the 756 cases are played,
and how many random kills. By hand: `PYTHONPATH=tests/support python -m kill --cases 756 --only 'K4 BUY'`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from programs import needs

KILL_CASES = int(os.environ.get("REBALANCER_KILL_CASES", "6"))
SUPPORT = Path(__file__).parents[1] / "support"

# a case takes a third of a second, on a busy machine many times that
pytestmark = [pytest.mark.long, pytest.mark.timeout(900 + 4 * KILL_CASES)]


def campaign(*arguments: str) -> tuple[int, str]:
    """How `python -m kill` ended, and what it wrote. Without Prefect in it, it forks a case's processes quickly."""
    environment = os.environ | {"PYTHONPATH": str(SUPPORT)}
    done = subprocess.run(
        [sys.executable, "-m", "kill", *arguments], capture_output=True, text=True, check=False, env=environment
    )
    return done.returncode, done.stdout + done.stderr


def show(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Print the table also where the test passes: it is what a release is judged by."""
    with capsys.disabled():
        sys.stdout.write(f"\n{text}")


def test_killed_at_any_crash_point_a_run_breaks_no_rule(capsys):
    code, text = campaign("--cases", str(KILL_CASES), "--others", "0", "--random", "0")
    show(text, capsys)
    assert code == 0, text


def test_killed_before_and_after_an_order_is_at_the_broker_and_within_recovery_a_run_breaks_no_rule(capsys):
    code, text = campaign("--cases", "0", "--others", str(KILL_CASES), "--random", "0")
    show(text, capsys)
    assert code == 0, text


def test_killed_at_a_random_moment_a_run_breaks_no_rule(capsys):
    code, text = campaign("--cases", "0", "--others", "0", "--random", str(KILL_CASES))
    show(text, capsys)
    assert code == 0, text


@needs("postgresql")
def test_with_the_journal_on_a_server_that_may_crash_a_run_breaks_no_rule_either(capsys):
    some, few = str(min(KILL_CASES, 200) // 6), str(max(1, KILL_CASES // 50))
    code, text = campaign("--cases", some, "--others", few, "--random", few, "--crashes", few, "--postgresql")
    show(text, capsys)
    assert code == 0, text


@pytest.mark.slow
def test_the_campaign_notices_when_a_safeguard_is_left_out():
    code, text = campaign("--mutations")
    assert code == 0, text
    assert text.count(": noticed") == 8, text
