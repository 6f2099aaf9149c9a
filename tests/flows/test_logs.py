"""Each line of a run is printed once, by Prefect's console; lines outside a run as loguru prints them."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
from loguru import logger
from tasks.app.logs import forwarded_to_prefect
for _ in range(2):
    with forwarded_to_prefect("THISRUN", str):
        logger.bind(run_id="THISRUN").info("a line of the run")
        logger.info("a line of nobody")
"""


@pytest.mark.slow
def test_a_run_begins_although_its_caller_closed_standard_error():
    closed = "import sys; sys.stderr = None"
    ran = subprocess.run([sys.executable, "-c", closed + SCRIPT], capture_output=True, text=True, check=True)
    assert ran.stderr == ""


def test_lines_of_a_run_are_left_to_prefect_and_others_are_printed_once():
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert "a line of the run" not in ran.stderr
    assert ran.stderr.count("a line of nobody") == 2
