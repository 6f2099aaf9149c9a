"""What a run is refused for before any Prefect server is started, and how a missing gateway is reported."""

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
# runs the commands that it reads one after the other, from one start of Python: a run that got as far as Prefect
# would have to import it
PROGRAM = """
import contextlib, io, json, sys
from deployments.cli import main
commands, sys.stdin, ended = json.load(sys.stdin), io.StringIO(), []
for arguments in commands:
    sys.argv = ["rebalance", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as left:
            code = left.code
    ended.append([code, out.getvalue(), err.getvalue().splitlines(), "prefect" in sys.modules])
print(json.dumps(ended))
"""


class Ended(NamedTuple):
    code: int
    out: str
    err: list[str]
    met_prefect: bool


def commands(folder: Path, *each: tuple[str, ...]) -> list[Ended]:
    """How these commands ended, typed one after the other in the folder."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        input=json.dumps(each),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    return [Ended(*ended) for ended in json.loads(done.stdout)]


def copied(to: Path) -> Path:
    shutil.copytree(DEMO, to, ignore=shutil.ignore_patterns("reports"))
    return to


@pytest.fixture
def folder(tmp_path):
    return copied(tmp_path / "demo")


@pytest.fixture
def rebalance(folder):
    """Run the command in a process of its own, in the folder of the demo's files."""
    return lambda *arguments: commands(folder, arguments)[0]


REFUSALS = {
    ("--report-only",): (2, "name it with --market FILE"),
    ("--live", "--pause"): (30, "paper_only"),
    ("--live", "--pause", "--set", "safety.paper_only=false"): (30, "needs a second, explicit confirmation"),
    ("--paper", "--yes", "--set", "ibkr.read_only=true"): (30, "read_only"),
    ("--broker", "fake", "--market", "nowhere.yaml"): (2, "nowhere.yaml: there is no such file"),
    ("--set", "ibkr.port=0"): (10, "[ibkr] port = 0"),
    ("--csv", "nowhere.csv"): (11, "nowhere.csv: there is no such file"),
    ("--csv", "portfolios-margin.csv"): (11, "margin is disabled"),
    ("--paper",): (2, "add --yes (paper) or --pause"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory) -> dict[tuple[str, ...], Ended]:
    """How each run that is to be refused ended."""
    folder = copied(tmp_path_factory.mktemp("refused") / "demo")
    ended = commands(folder, *(("run", *FILES, *arguments) for arguments in REFUSALS))
    return dict(zip(REFUSALS, ended, strict=True))


@pytest.mark.parametrize("arguments", REFUSALS, ids=" ".join)
def test_what_needs_no_server_is_refused_before_prefect_is_even_imported(refused, arguments):
    code, message = REFUSALS[arguments]
    ended = refused[arguments]
    assert (ended.code, ended.out, ended.met_prefect) == (code, "", False)
    assert ended.err[0].startswith(f"exit {code}: ")
    assert message in "\n".join(ended.err)


def test_where_approvers_are_set_no_option_of_the_command_does_without_them(folder):
    with (folder / "settings.ini").open("a") as settings:
        settings.write("\n[approval]\napprovers = ANN\n")
    paper = ("run", *FILES, "--broker", "fake", "--paper", "--yes")
    pre_approved, nobody, others = commands(
        folder, paper, (*paper, "--set", "safety.require_confirm=false"), (*paper, "--set", "approval.approvers=none")
    )
    assert (pre_approved.code, nobody.code, others.code) == (30, 30, 10)
    assert pre_approved.err[0].startswith("exit 30: --yes cannot approve: [approval] approvers wants the one-time code")
    assert "require_confirm = false asks nobody" in nobody.err[0]
    assert "[approval] approvers is not for the options of this run" in others.err[0]
    assert not pre_approved.met_prefect


def test_the_kill_switch_stops_a_paper_run_before_prefect_is_even_imported(rebalance, folder):
    (folder / "KILL_SWITCH").touch()
    ended = rebalance("run", *FILES, "--broker", "fake", "--paper", "--yes")
    assert (ended.code, ended.met_prefect) == (31, False)


def test_faults_of_both_files_are_reported_at_once_by_every_command(folder):
    (folder / "settings.ini").write_text("[IBKR]\naccount_id = DU1234567\n[models]\nsmurf=1\nbadass=0\ngltr=0\n")
    (folder / "portfolios.csv").write_text("portfolio,symbol,target_pct\nSMURF,VTI,90\nSMURV,BND,10\n")
    fake = ("--broker", "fake")
    ended, *others = commands(folder, ("check", *FILES), ("plan", *FILES, *fake), ("run", *FILES, *fake))
    assert others == [ended, ended]
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
        "  portfolios.csv line 2: SMURF: the assets sum to 90, must be 100 (±0.01)",
        "  portfolios.csv line 3: SMURV: the assets sum to 10, must be 100 (±0.01)",
    ]


@pytest.mark.slow
def test_settings_alone_at_fault_are_reported_alone(rebalance):
    ended = rebalance("check", *FILES, "--set", "limits.style=none", "--json")
    assert ended.code == 10
    assert json.loads(ended.out)["faults"] == [
        "[limits] style = none (from the options of this run): must be one of spread_aware, static_bps, off"
    ]


@pytest.mark.parametrize("command", [pytest.param("plan", marks=pytest.mark.slow), "run"])
def test_a_gateway_that_is_not_there_is_named_with_what_to_tick_and_soon(rebalance, command):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        began = time.monotonic()
        ended = rebalance(command, *FILES, "--set", f"ibkr.port={port}", "--set", "ibkr.read_attempts=2")
        took = time.monotonic() - began
    assert ended.code == 20
    assert ended.err[0] == f"warning: connecting: 127.0.0.1:{port} refused the connection; try 2 of 2 in 1 s"
    assert ended.err[1].startswith(f"exit 20: connecting: 127.0.0.1:{port} refused the connection (2 tries) - ")
    assert "Configure > API > Settings" in ended.err[1]
    assert not ended.met_prefect
    assert took < DEADLINE / 2
