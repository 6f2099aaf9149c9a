"""The `rebalance` command as it is typed: exit codes, what stands on stdout and what on stderr."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from loguru import logger
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from deployments import cli

DEMO = Path(cli.__file__).parent / "demo"
ACCOUNT = "DU1234567"
DEADLINE = 120


class Ended(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path):
    """The demo's files, where they may be changed."""
    shutil.copytree(DEMO, tmp_path / "demo", ignore=shutil.ignore_patterns("reports"))
    return tmp_path / "demo"


@pytest.fixture
def rebalance(monkeypatch, capsys, folder):
    """Run the command in this process, in the folder of the demo's files."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["rebalance", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return Ended(int(left.value.code or 0), printed.out, printed.err)

    yield run
    logger.remove()


FILES = ("--csv", "portfolios.csv", "--ini", "settings.ini")
FAKE = (*FILES, "--broker", "fake")
LIVE = ("--live", "--set", "safety.paper_only=false", "--account", "U1234567", "--broker", "ibkr")


def one_line(ended: Ended) -> str:
    """The single line that a failure is."""
    (line,) = ended.err.splitlines()
    assert ended.out == ""
    return line


def test_plan_asks_for_the_market_data_that_the_settings_name(rebalance):
    ended = rebalance("plan", *FAKE, "--set", "ibkr.market_data_type=delayed")
    assert ended.code == 0
    assert "warning: quotes are not live but delayed: BND, GLD" in ended.err


def test_plan_lists_the_working_orders_that_it_leaves_alone(rebalance, folder):
    orders = "open_orders: [{symbol: VTI, side: BUY, quantity: 1200, limit_price: 90}]"
    market = (folder / "market.yaml").read_text().replace("positions:", f"{orders}\n  positions:", 1)
    (folder / "orders.yaml").write_text(market)
    for more in ((), ("--json",)):
        ended = rebalance("plan", *FAKE, "--market", "orders.yaml", *more)
        assert ended.code == 0
        assert "warning: working order left alone: BUY 1,200 VTI\n" in ended.err


@pytest.mark.parametrize("command", ["check", "plan"])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_settings_that_do_not_go_together_are_warned_of_in_either_form(rebalance, command, form):
    ended = rebalance(command, *(FAKE if command == "plan" else FILES), "--set", "rebalance.order_type=MKT", *form)
    assert ended.code == 0
    assert "warning: [rebalance] order_type = MKT with [limits] smart_limit = true: the limits are unused" in ended.err


def test_go_removes_a_link_to_nowhere_and_says_so(rebalance, folder):
    (folder / "KILL_SWITCH").symlink_to(folder / "nowhere")
    assert rebalance("go", "--ini", "settings.ini").out.startswith("removed ")
    assert not (folder / "KILL_SWITCH").is_symlink()
    assert rebalance("go", "--ini", "settings.ini").out.startswith("there was no ")


def test_a_class_of_shares_that_is_written_otherwise_at_the_broker_is_named(rebalance, folder):
    text = (folder / "portfolios.csv").read_text()
    (folder / "portfolios.csv").write_text(text.replace("GLTR,GLD", "GLTR,BRK.B"))
    assert "BRK.B is unknown (IBKR writes BRK B)" in one_line(rebalance("plan", *FAKE))


def test_check_prints_each_model_beside_the_blend(rebalance):
    ended = rebalance("check", *FILES)
    assert (ended.code, ended.err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in ended.out.replace("│", " ").splitlines() if line.split()}
    assert rows["mix"] == ["50.0000", "30.0000", "20.0000"]
    assert rows["VTI"] == ["50.0000", "20.0000", "31.0000"]  # 50 % of 50 and 30 % of 20
    assert rows["BND"] == ["30.0000", "15.0000"]
    assert rows["gross"] == ["100.0000"]


@pytest.mark.parametrize(
    "arguments",
    [("check", *FILES), ("plan", *FAKE)],
    ids=["check", "plan"],
)
def test_json_is_one_document_and_nothing_else(rebalance, arguments):
    ended = rebalance(*arguments, "--json")
    document = json.loads(ended.out)
    assert ended.code == 0
    assert document["gross"] == 1.0
    assert ACCOUNT not in ended.out


@pytest.mark.parametrize(
    "arguments", [("check", *FILES), ("plan", *FAKE), ("run", *FAKE)], ids=["check", "plan", "run"]
)
def test_with_json_a_failure_is_the_document(rebalance, folder, arguments):
    (folder / "settings.ini").unlink()
    ended = rebalance(*arguments, "--json")
    document = json.loads(ended.out)
    assert ended.code == document["exit_code"] == 10
    assert "settings.ini" in document["reason"]


def test_plan_prints_what_would_be_traded(rebalance):
    ended = rebalance("plan", *FAKE)
    assert ended.code == 0
    assert "SELL 25 IWM" in ended.out
    assert not Path("reports").exists()


def test_plan_as_json_says_all_that_the_table_says_and_more(rebalance):
    document = json.loads(rebalance("plan", *FAKE, "--json").out)
    lines = {line["symbol"]: line for line in document["lines"]}
    vti, vea = lines["VTI"], lines["VEA"]
    assert (document["account"], document["mode"], document["cash"]["CAD"]) == ("******567", "dry_run", 60000.0)
    assert (vti["side"], vti["quantity"], vti["target"], vti["order_type"]) == ("SELL", 40, 0.31, "LMT")
    assert vti["current"] - vti["target"] == pytest.approx(vti["drift_bps"] / 10_000)
    assert vti["worst_price"] <= vti["limit_price"]
    assert (vea["side"], vea["quantity"], vea["limit_price"], vea["worst_price"]) == (None, 0, None, None)
    assert (document["fx"]["quantity"], document["fx"]["limit_price"]) == (41927, None)
    assert document["totals"]["sells"] == sum(line["dollars"] for line in lines.values() if line["side"] == "SELL")
    assert [held["symbol"] for held in document["outside"]] == ["MSFT"]


@pytest.mark.parametrize(
    ("missing", "code"), [("settings.ini", 10), ("portfolios.csv", 11)], ids=["no settings", "no portfolios"]
)
@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_file_that_is_missing_is_one_line_that_names_it(rebalance, folder, command, missing, code):
    (folder / missing).unlink()
    ended = rebalance(command, *(FAKE if command == "plan" else FILES))
    assert ended.code == code
    assert one_line(ended).startswith(f"exit {code}: ")
    assert missing in ended.err


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant(rebalance):
    ended = rebalance("check", *FILES, "--set", "rebalance.min_order=5")
    assert ended.code == 10
    assert "did you mean rebalance.min_order_usd?" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--paper", "--live"), "--paper and --live cannot be combined"),
        (("--paper",), "add --yes (paper) or --pause"),
        (("--paper", "--pause"), "--pause needs a lasting Prefect server"),
        (("--paper", "--pause", "--yes"), "--pause asks on the Prefect page, but --yes approves already"),
        ((*LIVE, "--pause", "--yes"), "give --pause with --confirm-live"),
        ((*LIVE, "--pause", "--confirm-live"), "--pause needs a lasting Prefect server"),
        (("--set", "min_order_usd"), "write --set section.key=value"),
    ],
    ids=[
        "two modes",
        "nobody to ask",
        "a form without a server",
        "a form that is answered already",
        "the same in live",
        "live with its confirmation",
        "a setting without its section",
    ],
)
def test_what_cannot_be_meant_is_refused_with_2_before_anything_is_started(rebalance, arguments, message):
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        ended = rebalance("run", *FAKE, *arguments)
    assert ended.code == 2
    assert message in one_line(ended)


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ((), 30, "[safety] paper_only is true"),
        (("--set", "safety.paper_only=false", "--account", "U1234567"), 2, "never in a rehearsal"),
        (
            ("--set", "safety.paper_only=false", "--account", "U1234567", "--broker", "ibkr"),
            2,
            "--yes approves only in paper",
        ),
    ],
    ids=["paper_only", "the fake", "no terminal"],
)
def test_live_without_a_terminal_names_the_first_rule_that_forbids_it(rebalance, more, code, message):
    ended = rebalance("run", *FAKE, "--live", "--yes", *more)
    assert ended.code == code
    assert message in one_line(ended)


def test_help_shows_the_section_of_a_setting(rebalance):
    assert "[ibkr] account_id" in rebalance("run", "--help").out


def test_a_prefect_server_that_is_not_there_is_one_line_and_20(rebalance):
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        ended = rebalance("run", *FAKE)
    assert ended.code == 20
    assert "the Prefect server at http://127.0.0.1:9/api does not answer" in one_line(ended)


def test_a_mistake_in_the_program_is_one_line_and_70(rebalance, monkeypatch):
    def stumble(*args, **kwargs):
        raise KeyError(ACCOUNT)

    monkeypatch.setattr("deployments.commands.plan.show_blend", stumble)
    ended = rebalance("check", *FILES)
    assert ended.code == 70
    assert one_line(ended).startswith("exit 70: unexpected: KeyError: '******567' (test_cli.py:")


@pytest.mark.usefixtures("prefect_server")
class TestThroughTheFlow:
    """`rebalance run` and `rebalance scenario` on the server of the test run."""

    def test_a_paper_run_trades_reports_and_ends_with_0(self, rebalance, folder):
        ended = rebalance("run", *FAKE, "--paper", "--yes")
        assert ended.code == 0
        assert ended.out.splitlines()[-1] == "completed: done (exit 0)"
        assert "buy: 7 of 7 orders filled" in ended.err
        assert len(list((folder / "reports").rglob("result.json"))) == 1
        assert ACCOUNT not in ended.out + ended.err

    @pytest.mark.slow
    def test_data_docs_are_written_beside_the_reports_where_they_are_asked_for(self, rebalance, folder):
        assert rebalance("run", *FAKE).code == 0
        assert not list(folder.rglob("data_docs"))
        ended = rebalance("run", *FAKE, "--data-docs")
        (index,) = folder.rglob("data_docs/index.html")
        assert ended.code == 0
        assert str(index.relative_to(folder)) in ended.out
        assert {page.stem for page in index.parent.iterdir()} == {"index", "portfolios", "account", "quotes", "plan"}

    def test_json_of_a_run_is_its_result(self, rebalance, folder):
        ended = rebalance("run", *FAKE, "--json")
        (written,) = (folder / "reports").rglob("result.json")
        assert ended.code == 0
        assert ended.out == written.read_text()

    def test_report_only_reads_account_and_market_from_a_file(self, rebalance):
        ended = rebalance("run", *FILES, "--report-only", "--market", "market.yaml")
        assert ended.code == 0
        assert "this mode sends no orders" in ended.out.splitlines()[-1]

    def test_nothing_is_sent_between_stop_and_go(self, rebalance, folder):
        assert rebalance("stop", "--ini", "settings.ini").code == 0
        assert (folder / "KILL_SWITCH").exists()
        stopped = rebalance("run", *FAKE, "--paper", "--yes", "--json")
        assert stopped.code == json.loads(stopped.out)["exit_code"] == 31
        assert not (folder / "reports").exists()
        assert rebalance("go", "--ini", "settings.ini").code == 0
        assert rebalance("run", *FAKE, "--paper", "--yes").code == 0

    @pytest.mark.slow
    def test_scenario_runs_every_file_of_a_folder_and_ends_with_0_however_they_end(self, rebalance, folder):
        scenarios = folder / "scenarios"
        scenarios.mkdir()
        theirs = Path(__file__).parent.parent / "scenarios"
        for name in ("exit_32_rejected_by_a_person.yaml", "e2e_no_trade_within_band.yaml"):
            shutil.copy(theirs / name, scenarios)
        ended = rebalance("scenario", "scenarios", "--out", "out")
        codes = {
            path.parent.name: json.loads(path.read_text())["exit_code"] for path in Path("out").rglob("result.json")
        }
        assert ended.code == 0
        assert codes == {"exit_32_rejected_by_a_person": 32, "e2e_no_trade_within_band": 0}


@pytest.mark.parametrize("command", ["run", "plan"])
def test_files_that_are_missing_are_named_together(rebalance, command):
    assert one_line(rebalance(command)) == "exit 2: --csv and --ini not given - name both files"
    assert "--ini not given" in one_line(rebalance(command, *FILES[:2]))


def test_a_broker_that_there_is_not_is_refused_in_plain_words(rebalance):
    ended = rebalance("plan", *FILES, "--broker", "fak")
    assert ended.code == 2
    assert "Error: Invalid value for '--broker': 'fak' is not one of 'ibkr', 'simulated', 'fake'." in ended.err


def test_a_scenario_that_is_not_understood_is_2_with_every_fault(rebalance, folder):
    (folder / "wrong.yaml").write_text("name: wrong\nmodes: paper\n")
    ended = rebalance("scenario", "wrong.yaml", "--out", "out")
    assert ended.code == 2
    assert "modes" in ended.err


def imported_by(folder, *commands: tuple[str, ...]) -> set[str]:
    """Which of the slow libraries a new process has imported after these commands."""
    program = (
        "import sys; from deployments.cli import main\n"
        f"for command in {commands!r}:\n"
        "    sys.argv = ['rebalance', *command]\n"
        "    try: main()\n"
        "    except SystemExit as ended: assert ended.code in (None, 0, 20), (command, ended.code)\n"
        f"print(*{SLOW!r} & sys.modules.keys(), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


SLOW = {"prefect", "great_expectations", "matplotlib", "exchange_calendars"}
INI = ("--ini", "settings.ini")


def test_neither_check_nor_plan_imports_what_only_a_run_needs(folder):
    assert imported_by(folder, ("check", *FILES)) == set()
    assert imported_by(folder, ("plan", *FAKE)) == set()


@pytest.mark.slow
def test_no_other_command_imports_great_expectations(folder):
    commands = [("history", *INI), ("stop", *INI), ("go", *INI), ("status", *INI), ("recover", *INI), ("init", "new")]
    assert "great_expectations" not in imported_by(folder, *commands)
