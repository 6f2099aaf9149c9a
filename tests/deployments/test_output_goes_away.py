"""A run goes on to its own end, with its own exit code, whatever becomes of the output it is shown on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import DEADLINE, DEMO, rebalancing
from prefect.settings import get_current_settings

from deployments.streams import LastingStream

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

YES = ("--paper", "--yes")
FILES = ("--csv", DEMO / "portfolios.csv", "--ini", DEMO / "settings.ini", "--broker", "fake")


def result_of(folder: Path):
    (found,) = folder.rglob("result.json")
    return json.loads(found.read_text())


def assert_everything_was_traded(folder: Path):
    result = result_of(folder)
    assert (result["exit_code"], result["state"], result["reason"]) == (0, "Completed", "done")
    assert {order["status"] for order in result["orders"]} == {"Filled"}
    assert {order["stage"] for order in result["orders"]} == {"FX", "SELL", "BUY"}


@pytest.mark.slow
def test_a_reader_that_leaves_at_the_first_fill_stops_no_trading(tmp_path):
    pipe = tmp_path / "pipe"
    first_fill = ["/bin/sh", "-c", "grep -m1 'fill: '"]
    os.mkfifo(pipe)
    with rebalancing(tmp_path, *YES, output=pipe) as command:
        with pipe.open("rb") as printed:
            seen = subprocess.run(first_fill, stdin=printed, capture_output=True, check=True, timeout=DEADLINE)
        command.process.join(DEADLINE)
    assert b"fill: RB-" in seen.stdout
    assert command.process.exitcode == 0
    assert_everything_was_traded(tmp_path)


@pytest.mark.slow
def test_a_full_disk_behind_the_output_stops_no_trading(tmp_path):
    with rebalancing(tmp_path, *YES, output=Path("/dev/full")) as command:
        command.process.join(DEADLINE)
    assert command.process.exitcode == 0
    assert_everything_was_traded(tmp_path)


@pytest.mark.slow
def test_output_that_is_closed_from_the_start_stops_no_trading(tmp_path):
    arguments = ["run", *map(str, FILES), *YES, "--set", f"io.report_dir={tmp_path / 'reports'}", "--json"]
    environment = os.environ | {"PREFECT_API_URL": get_current_settings().api.url}
    closed = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "deployments", *arguments]
    ran = subprocess.run(closed, env=environment, stderr=subprocess.PIPE, text=True, check=False, timeout=DEADLINE)
    assert ran.returncode == 0, ran.stderr
    assert_everything_was_traded(tmp_path)


def test_what_cannot_be_written_is_dropped_and_the_reason_kept(tmp_path):
    with Path("/dev/full").open("w") as full:
        stream = LastingStream(full)
        stream.write("a line\n")
        assert stream.lost == ""
        stream.flush()
        assert stream.lost == "No space left on device"
        assert stream.write("another") == len("another")
        stream.flush()
    closed = LastingStream(full)
    closed.write("a line")
    assert "closed file" in closed.lost
