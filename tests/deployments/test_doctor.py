"""`rebalance doctor`: every part of the way to a run, each with what to do, and no order on the way."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
from authenticator import Authenticator
from prefect.settings import PREFECT_API_URL, temporary_settings
from served import served
from typer.testing import CliRunner

from core.journal.sql import database
from core.scenario import read_market
from core.sim.gateway.faults import ChangeFields, ErrorBefore, Refuse
from core.sim.gateway.log import Direction
from deployments import cli
from tasks.app.brokers import DEMO_MARKET

ACCOUNT = "DU1234567"
READ_ONLY = "Error validating request.-'cS' : cause - The API interface is currently in Read-Only mode."
SETTINGS = """\
[ibkr]
account_id = {account}
port = {port}
[models]
smurf = 1
badass = 0
gltr = 0
"""


@pytest.fixture
def gateway():
    """A gateway of the demo's account, on a port of its own."""
    with served(read_market(DEMO_MARKET, now=datetime.now(UTC))) as running:
        yield running


@pytest.fixture
def examined(tmp_path, monkeypatch):
    """Run the command with these settings: its exit code, and each part's state, finding and next step."""
    monkeypatch.chdir(tmp_path)

    def run(port, *arguments, account=ACCOUNT):
        (tmp_path / "settings.ini").write_text(SETTINGS.format(port=port, account=account))
        with temporary_settings(restore_defaults={PREFECT_API_URL}):
            ended = CliRunner().invoke(cli.app, ["doctor", "--ini", "settings.ini", "--json", *arguments])
        document = json.loads(ended.stdout)
        assert document["exit_code"] == ended.exit_code
        assert ACCOUNT not in ended.stdout
        return ended.exit_code, {each.pop("check"): each for each in document["checks"]}

    return run


def states(checks) -> dict[str, str]:
    return {name: each["state"] for name, each in checks.items()}


def test_a_gateway_in_order_is_looked_at_part_by_part_and_nothing_is_sent(examined, gateway):
    code, checks = examined(gateway.port)
    assert code == 0
    assert {name for name, state in states(checks).items() if state != "OK"} == {"version and clock"}  # a day in March
    found = {name: each["found"] for name, each in checks.items()}
    assert found["gateway"] == f"127.0.0.1:{gateway.port} answers client 43"
    assert "API version 178" in found["version and clock"]
    assert found["login and account"] == "logged in; manages ******567; configured: ******567"
    assert found["account data"].startswith("NetLiq 340,866.30 CAD, cash 60,000.00 CAD, 1,850.25 USD, 10 positions")
    assert found["market data"] == "VTI bid 341.00 ask 341.01 last 341.00, live"
    farms = "cashfarm, cashhmds, jfarm, secdefnj, usfarm, usfarm.nj, ushmds, usopt"
    assert found["data farms"] == f"connected: {farms}"
    sent = {entry.message for entry in gateway.gateway.log if entry.direction is Direction.IN}
    assert not sent & {"placeOrder", "cancelOrder"}


def test_a_person_gets_a_table():
    ended = CliRunner().invoke(cli.app, ["doctor", "--broker", "fake"])
    assert ended.exit_code == 0
    lines = [line for line in ended.stdout.splitlines() if "market data" in line]
    assert len(lines) == 1
    assert "OK" in lines[0]


def test_what_depends_on_a_gateway_that_is_not_there_is_not_checked_and_the_rest_is(examined):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        code, checks = examined(port)
    assert code == 20
    assert checks["gateway"]["found"] == f"127.0.0.1:{port} refused the connection"
    assert "Enable ActiveX and Socket Clients" in checks["gateway"]["next_step"]
    assert states(checks)["market data"] == states(checks)["account data"] == "not checked"
    assert states(checks)["report folder"] == states(checks)["Prefect server"] == "OK"


def test_settings_that_cannot_be_read_leave_only_the_server_to_look_at(examined):
    code, checks = examined("none")
    assert code == 10
    assert "[ibkr] port = none" in checks["settings"]["found"]
    assert {name for name, state in states(checks).items() if state == "OK"} == {"Prefect server"}


def test_an_account_that_the_gateway_does_not_manage_is_a_failure(examined, gateway):
    code, checks = examined(gateway.port, account="DU7654321")
    assert code == 30
    assert "account ******321 is not managed by this gateway" in checks["login and account"]["found"]


@pytest.mark.slow
def test_a_read_only_api_matters_where_the_settings_mean_to_trade(examined, gateway):
    refuse = Refuse(321, READ_ONLY)
    gateway.call(lambda: gateway.gateway.faults.on("reqCompletedOrders", refuse, times=1))
    _, checks = examined(gateway.port, "--set", "ibkr.read_only=false")
    assert states(checks)["API settings"] == "warning"
    assert checks["API settings"]["found"] == "Read-Only API is ticked: it takes no orders"
    gateway.call(lambda: gateway.gateway.faults.on("reqCompletedOrders", refuse, times=1))
    _, checks = examined(gateway.port)
    assert checks["API settings"]["found"].endswith("and the settings send none")


@pytest.mark.slow
def test_data_that_is_not_live_and_a_broken_farm_are_warnings(examined, gateway):
    faults = gateway.gateway.faults
    gateway.call(lambda: faults.on("marketDataType", ChangeFields({3: "3"})))
    gateway.call(lambda: faults.on("positionEnd", ErrorBefore(2103, "Market data farm connection is broken:usfarm")))
    _, checks = examined(gateway.port)
    assert checks["market data"]["found"].endswith(", delayed")
    assert checks["data farms"]["found"] == "broken: usfarm"
    assert states(checks)["market data"] == states(checks)["data farms"] == "warning"


@pytest.mark.parametrize("code", [354, 10089, 10168])
def test_data_that_is_not_subscribed_is_a_failure_that_says_how_to_get_it(examined, gateway, code):
    gateway.call(lambda: gateway.gateway.faults.on("reqMktData", Refuse(code)))
    ended, checks = examined(gateway.port)
    assert ended == 23
    assert f"({code})" in checks["market data"]["found"]
    assert checks["market data"]["found"].startswith("VTI: ")
    for way in ("subscribe to the data", "market_data_type = delayed"):
        assert way in checks["market data"]["next_step"]


def test_the_first_failure_gives_the_exit_code(examined, tmp_path):
    (tmp_path / "KILL_SWITCH").touch()
    code, checks = examined(4002, "--broker", "fake", "--set", "io.report_dir=settings.ini/reports")
    assert code == 50
    assert states(checks)["report folder"] == states(checks)["kill switch"] == "failed"
    code, _ = examined(4002, "--broker", "fake")
    assert code == 31


def test_approvers_without_a_secret_are_named(examined, monkeypatch):
    monkeypatch.setenv("REBALANCER__APPROVAL__APPROVERS", "ANN, BOB")
    code, checks = examined(4002, "--broker", "fake")
    assert (code, checks["approvers"]["state"]) == (30, "failed")
    found = "ANN has no secret here, and cannot approve what this computer executes\nBOB has no secret here, and"
    assert checks["approvers"]["found"].startswith(found)
    assert "rebalance approver add ANN" in checks["approvers"]["next_step"]
    ann, bob = Authenticator("ANN"), Authenticator("BOB")
    monkeypatch.setenv(ann.variable, ann.secret)
    code, checks = examined(4002, "--broker", "fake")
    assert (code, checks["approvers"]["state"]) == (0, "warning")
    monkeypatch.setenv(bob.variable, bob.secret)
    code, checks = examined(4002, "--broker", "fake")
    assert (code, checks["approvers"]["found"]) == (0, "ANN, BOB: each with a secret for one-time codes")
    assert ann.secret not in json.dumps(checks)


def test_a_journal_that_can_be_read_but_not_written_is_a_failure(examined, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    journal = tmp_path / "journal" / "journal.sqlite"
    options = (4002, "--broker", "fake", "--set", f"journal.url=sqlite:///{journal}")
    code, checks = examined(*options)
    assert (code, checks["journal"]["found"]) == (0, f"sqlite:///{journal}: 0 runs on record")
    with closing(sqlite3.connect(journal)) as other:
        other.execute("BEGIN IMMEDIATE")
        code, checks = examined(*options)
    assert (code, checks["journal"]["state"]) == (50, "failed")
    assert checks["journal"]["found"].endswith("journal.sqlite cannot be used: database is locked")
    assert examined(*options)[0] == 0


def test_a_report_folder_is_tried_and_left_as_it_is(examined, tmp_path):
    (tmp_path / "reports").mkdir()
    _, checks = examined(4002, "--broker", "fake")
    assert checks["report folder"]["found"] == f"{tmp_path}/reports can be written"
    assert not list((tmp_path / "reports").iterdir())


def test_a_report_folder_that_everybody_may_write_to_is_named_with_what_to_do(examined, tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports").chmod(0o777)
    code, checks = examined(4002, "--broker", "fake")
    assert (code, checks["report folder"]["state"]) == (50, "failed")
    assert checks["report folder"]["found"].startswith(f"everybody may write to {tmp_path}/reports")
    assert f"chmod o-w {tmp_path}/reports" in checks["report folder"]["next_step"]


def test_without_a_settings_file_the_only_account_is_looked_at(gateway):
    ended = CliRunner().invoke(cli.app, ["doctor", "--json", "--set", f"ibkr.port={gateway.port}"])
    checks = {each["check"]: each for each in json.loads(ended.stdout)["checks"]}
    assert checks["settings"]["state"] == "warning"
    assert checks["login and account"]["found"] == "logged in; manages ******567; checked: ******567"
    assert checks["account data"]["state"] == "OK"


def test_a_prefect_server_that_does_not_answer_is_a_failure():
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        ended = CliRunner().invoke(cli.app, ["doctor", "--broker", "fake", "--json"])
    assert ended.exit_code == 20
    assert "http://127.0.0.1:9/api does not answer" in json.loads(ended.stdout)["checks"][-1]["found"]
