"""`rebalance init --household` and `rebalance check --household`: files to start from, and a look at all of them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.errors import PortfoliosInvalid, RebalanceError, SettingsInvalid, UsageError
from core.household import load_household
from deployments import cli
from tasks.app.request import Request

ACCOUNT = "DU1234567"
BOB = "\n  - {id: U7654321, name: '[b]Bob', settings: {ibkr.port: 4003, rebalance.order_type: MKT}, tags: [pension]}\n"


@pytest.fixture
def rebalance(tmp_path, monkeypatch):
    """Run the command in an empty folder; what it printed, or the failure that it raised."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        ended = CliRunner().invoke(cli.app, arguments)
        if isinstance(ended.exception, RebalanceError):
            raise ended.exception
        assert ended.exit_code == 0, ended.output
        return ended.output

    return run


@pytest.fixture
def household(rebalance):
    """The accounts.yaml of two accounts, with the files that it names."""
    rebalance("init", "--household", "--account", ACCOUNT)
    path = Path("accounts.yaml")
    path.write_text(path.read_text() + BOB)
    return path


def test_what_init_writes_passes_check_once_the_account_is_put_in(rebalance):
    printed = rebalance("init", "ours", "--household")
    assert "Written: ours/portfolios.csv, ours/settings.ini and ours/accounts.yaml" in printed
    assert "list your accounts in ours/accounts.yaml, each with its id and a name" in printed
    with pytest.raises(SettingsInvalid) as error:
        rebalance("check", "--household", "ours/accounts.yaml")
    assert len(error.value.faults) == 2
    for path in (Path("ours/settings.ini"), Path("ours/accounts.yaml")):
        path.write_text(path.read_text().replace("YOUR_ACCOUNT_ID", ACCOUNT))
    assert "My household: 1 account" in rebalance("check", "--household", "ours/accounts.yaml")


def test_nothing_is_written_over_an_accounts_file(rebalance):
    Path("accounts.yaml").write_text("mine")
    with pytest.raises(UsageError, match=r"^accounts.yaml exists already; nothing was written"):
        rebalance("init", "--household")
    assert [path.name for path in Path().iterdir()] == ["accounts.yaml"]


@pytest.mark.parametrize("columns", ["80", "160"])
def test_check_prints_a_line_for_each_account_and_never_its_whole_id(rebalance, household, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    printed = rebalance("check", "--household", str(household))
    assert "My household: 2 accounts, 4 at once, per_account" in printed
    assert "******567" in printed
    assert "*****321" in printed
    assert "[b]Bob" in printed
    assert "127.0.0.1:4003" in printed
    assert "warning: [b]Bob: [rebalance] order_type = MKT with" in printed
    assert "1234567" not in printed


def test_check_as_json_has_what_the_accounts_share_of_a_gateway_and_their_targets(rebalance, household):
    first, second = json.loads(rebalance("check", "--household", str(household), "--json"))["accounts"]
    assert (first["name"], first["account"], first["messages_per_second"]) == ("First account", "******567", 45)
    assert (second["gateway"], second["client_id"], second["tags"]) == ("127.0.0.1:4003", 42, ["pension"])
    assert sum(second["targets"].values()) == pytest.approx(1)


def test_the_options_of_check_are_over_the_settings_of_all_accounts(rebalance, household):
    with pytest.raises(SettingsInvalid) as error:
        rebalance("check", "--household", str(household), "--set", "rebalance.min_order_usd=x")
    (fault,) = error.value.faults
    assert fault.endswith("[rebalance] min_order_usd = x (from the options of this run): must be a number >= 0")


def test_faults_of_portfolios_alone_have_their_own_exit_code(rebalance, household):
    Path("portfolios.csv").unlink()
    with pytest.raises(PortfoliosInvalid, match=r"there is no such file \(for First account, \[b\]Bob\)"):
        rebalance("check", "--household", str(household))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--csv and --ini not given"),
        (("--csv", "portfolios.csv"), "--ini not given"),
        (("--ini", "settings.ini"), "--csv not given"),
        (("--household", "accounts.yaml", "--csv", "x"), "--household cannot be combined with --csv"),
        (("--household", "accounts.yaml", "--ini", "x"), "--household cannot be combined with --ini"),
    ],
)
def test_check_says_which_files_it_needs(rebalance, household, arguments, message):
    with pytest.raises(UsageError, match=message):
        rebalance("check", *arguments)


def test_a_settings_file_of_the_environment_is_for_other_commands(rebalance, household, monkeypatch):
    monkeypatch.setenv("REBALANCER_SETTINGS", "elsewhere.ini")
    assert "2 accounts" in rebalance("check", "--household", str(household))


def test_the_request_of_an_account_has_the_settings_that_were_checked(household):
    for account in load_household(household, environ=os.environ, overrides={}, now=datetime.now(UTC)).accounts:
        request = Request.of(
            csv=account.portfolios,
            ini=household.absolute().parent / "settings.ini",
            account=account.account_id,
            overrides=account.overrides,
        )
        assert request.files().settings() == account.settings


def test_the_schema_is_printed_for_editors(rebalance):
    assert json.loads(rebalance("check", "--schema"))["title"] == "HouseholdFile"
