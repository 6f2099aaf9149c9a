"""What a run is refused for before any Prefect server is started, and what a gateway that is not there says."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from deployments import cli

DEMO = Path(cli.__file__).parent / "demo"
DEADLINE = 120
FILES = ("--csv", "portfolios.csv", "--ini", "settings.ini")
# a run that got as far as Prefect would have to import it
PROGRAM = """
import sys
from deployments.cli import main
code = None
try:
    main()
except SystemExit as left:
    code = left.code
print("prefect" in sys.modules, file=sys.stderr)
sys.exit(code)
"""


class Ended(NamedTuple):
    code: int
    out: str
    err: list[str]
    met_prefect: bool


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(DEMO, tmp_path / "demo", ignore=shutil.ignore_patterns("reports"))
    return tmp_path / "demo"


@pytest.fixture
def rebalance(folder):
    """Run the command in a process of its own, in the folder of the demo's files."""

    def run(*words: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        *lines, met_prefect = done.stderr.splitlines()
        return Ended(done.returncode, done.stdout, lines, met_prefect == "True")

    return run


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--report-only",), 2, "name it with --market FILE"),
        (("--live", "--pause"), 30, "paper_only"),
        (("--live", "--pause", "--set", "safety.paper_only=false"), 30, "needs a second, explicit word"),
        (("--paper", "--yes", "--set", "ibkr.read_only=true"), 30, "read_only"),
        (("--broker", "fake", "--market", "nowhere.yaml"), 2, "nowhere.yaml"),
        (("--set", "ibkr.port=0"), 10, "[ibkr] port = 0"),
        (("--csv", "nowhere.csv"), 11, "nowhere.csv"),
        (("--csv", "portfolios-margin.csv"), 11, "margin is disabled"),
        (("--paper",), 2, "add --yes (paper) or --pause"),
    ],
    ids=[
        "market",
        "paper_only",
        "second word",
        "read only",
        "no market file",
        "settings",
        "no CSV",
        "CSV",
        "nobody to ask",
    ],
)
def test_what_needs_no_server_is_refused_before_prefect_is_even_imported(rebalance, words, code, said):
    ended = rebalance("run", *FILES, *words)
    assert (ended.code, ended.out, ended.met_prefect) == (code, "", False)
    assert ended.err[0].startswith(f"exit {code}: ")
    assert said in "\n".join(ended.err)


def test_the_kill_switch_stops_a_paper_run_before_prefect_is_even_imported(rebalance, folder):
    (folder / "KILL_SWITCH").touch()
    ended = rebalance("run", *FILES, "--broker", "fake", "--paper", "--yes")
    assert (ended.code, ended.met_prefect) == (31, False)


@pytest.mark.parametrize(
    "words", [("check",), ("plan", "--broker", "fake"), ("run", "--broker", "fake")], ids=lambda w: w[0]
)
def test_faults_of_both_files_are_told_at_once(rebalance, folder, words):
    (folder / "settings.ini").write_text("[IBKR]\naccount_id = DU1234567\n[models]\nsmurf=1\nbadass=0\ngltr=0\n")
    (folder / "portfolios.csv").write_text("portfolio,symbol,target_pct\nSMURF,VTI,90\nSMURV,BND,10\n")
    ended = rebalance(*words, *FILES)
    assert ended.code == 10
    assert ended.err == [
        (
            "exit 10: settings.ini: 2 faults in the settings; portfolios.csv: 2 faults in the portfolios"
            " - correct both files and start again"
        ),
        "  settings.ini: unknown section [IBKR]; did you mean [ibkr]?",
        (
            "  settings.ini: [ibkr] account_id is missing: write account_id = the id of an account, letters and digits"
            " such as DU1234567 (one of the accounts that the gateway manages)"
        ),
        (
            "  portfolios.csv line 3: SMURV BND target_pct = 10: the portfolio must be one of SMURF, BADASS, GLTR;"
            " did you mean SMURF?"
        ),
        "  portfolios.csv line 2: SMURF: the assets sum to 90, must be 100 (±0.01)",
    ]


def test_settings_alone_at_fault_are_told_alone(rebalance):
    ended = rebalance("check", *FILES, "--set", "limits.style=none", "--json")
    assert ended.code == 10
    assert json.loads(ended.out)["faults"] == [
        "[limits] style = none (from the options of this run): must be one of spread_aware, static_bps, off"
    ]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_gateway_that_is_not_there_is_named_with_what_to_tick_and_soon(rebalance, command):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        began = time.monotonic()
        ended = rebalance(command, *FILES, "--set", f"ibkr.port={port}", "--set", "ibkr.read_attempts=2")
        took = time.monotonic() - began
    assert ended.code == 20
    assert ended.err[0] == f"warning: connecting: 127.0.0.1:{port} refused the connection; try 2 of 2 in 1 s"
    assert ended.err[1].startswith(f"exit 20: connecting: 127.0.0.1:{port} refused the connection (2 tries) - ")
    assert "Configure > API > Settings" in ended.err[1]
    assert not ended.met_prefect
    assert took < DEADLINE / 2
