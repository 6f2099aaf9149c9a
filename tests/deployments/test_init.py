"""`rebalance init`: files that one can start with, whatever the folder, and never over others."""

from __future__ import annotations

import csv
import shlex
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from served import served
from typer.testing import CliRunner

from core.errors import DataRefused, RebalanceError, SafetyRefused, SettingsInvalid, UsageError
from core.scenario import read_market
from core.settings.loading import load_settings
from core.sim.gateway.faults import ChangeFields
from deployments import cli
from tasks.app.brokers import DEMO_MARKET

ACCOUNT = "DU1234567"


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


@pytest.fixture(scope="module")
def gateway():
    """A gateway of the demo's account, on a port of its own."""
    with served(read_market(DEMO_MARKET, now=datetime.now(UTC))) as running:
        yield running


def at(gateway) -> tuple[str, ...]:
    return ("--set", f"ibkr.port={gateway.port}")


def rows(path: Path) -> dict[str, Decimal]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {row["symbol"]: Decimal(row["target_pct"]) for row in csv.DictReader(lines)}


def test_the_examples_pass_check_and_plan_once_the_account_is_put_in(rebalance):
    printed = rebalance("init")
    assert "put your account into settings.ini: account_id under [ibkr]" in printed
    with pytest.raises(SettingsInvalid, match="account_id = YOUR_ACCOUNT_ID"):
        rebalance("check", "--csv", "portfolios.csv", "--ini", "settings.ini")
    ini = Path("settings.ini")
    ini.write_text(ini.read_text().replace("YOUR_ACCOUNT_ID", ACCOUNT))
    assert "100.0000" in rebalance("check", "--csv", "portfolios.csv", "--ini", "settings.ini")
    assert "IWM" in rebalance("plan", "--csv", "portfolios.csv", "--ini", "settings.ini", "--broker", "simulated")


def test_an_account_that_is_given_is_put_in(rebalance):
    rebalance("init", "--account", ACCOUNT)
    assert "100.0000" in rebalance("check", "--csv", "portfolios.csv", "--ini", "settings.ini")


def test_the_commands_it_prints_can_be_typed_as_they_are(rebalance):
    printed = rebalance("init", "my own folder", "--account", ACCOUNT)
    commands = [shlex.split(line)[1:] for line in printed.splitlines() if line.startswith("  rebalance check ")]
    assert len(commands) == 1
    assert "100.0000" in rebalance(*commands[0])


def test_settings_that_are_given_are_put_in(rebalance):
    printed = rebalance(
        "init",
        "--set",
        "ibkr.account_id=du1234567",
        "--set",
        "Ibkr.Port=7497",
        "--set",
        "journal.url=sqlite:///j.sqlite",
    )
    assert "put your account" not in printed
    settings = load_settings(Path("settings.ini"), environ={}, overrides={})
    assert (settings.ibkr.account_id, settings.ibkr.port) == (ACCOUNT, 7497)
    assert settings.journal.url.endswith("j.sqlite")
    assert settings.models == {"SMURF": Decimal("0.5"), "BADASS": Decimal("0.3"), "GLTR": Decimal("0.2")}


def test_models_that_are_given_are_the_mix(rebalance):
    rebalance("init", "--account", ACCOUNT, "--set", "models.smurf=0.6", "--set", "models.GLTR=0.4")
    settings = load_settings(Path("settings.ini"), environ={}, overrides={})
    assert settings.models == {"SMURF": Decimal("0.6"), "GLTR": Decimal("0.4")}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("ibkr.prot=1", "ibkr.prot in the options of this run is not a setting"),
        ("ibkr.port=0", r"\[ibkr\] port = 0"),
        ("models.SMURF=0.6", "sum"),
        ("notify.webhook_url=https://example.com", "is a secret"),
    ],
)
def test_a_setting_that_may_not_stand_in_the_file_is_refused_and_nothing_is_written(rebalance, given, fault):
    with pytest.raises(SettingsInvalid, match=fault):
        rebalance("init", "--set", given)
    assert list(Path().iterdir()) == []


def test_the_mix_of_what_is_held_is_its_one_model(rebalance):
    with pytest.raises(UsageError, match=r"--from-account makes one model, MAIN, so --set models\. cannot be given"):
        rebalance("init", "--from-account", "--broker", "fake", "--set", "models.SMURF=1")


@pytest.mark.parametrize("name", ["portfolios.csv", "settings.ini"])
def test_nothing_is_written_where_one_of_them_is_there(rebalance, name):
    Path(name).write_text("mine")
    with pytest.raises(UsageError, match=rf"^{name} exists already; nothing was written"):
        rebalance("init")
    assert [path.name for path in Path().iterdir()] == [name]
    assert Path(name).read_text() == "mine"


def test_from_account_starts_from_what_the_gateway_reports_as_held(rebalance, gateway):
    printed = rebalance("init", "own", "--from-account", *at(gateway))
    held = rows(Path("own/portfolios.csv"))
    assert sum(held.values()) == 100
    assert next(iter(held)) == "VTI"
    assert held["VTI"] == Decimal("44.66")  # 260 × 341.00 of 198 524.40 USD in ETFs
    assert "MSFT" not in held
    assert "left alone, because they are not ETFs in USD held long: MSFT" in printed
    assert "60,000.00 CAD, which buys nothing unless [fx] enabled = true" in printed
    assert ACCOUNT not in printed + Path("own/portfolios.csv").read_text()
    files = ("--csv", "own/portfolios.csv", "--ini", "own/settings.ini")
    assert "100.0000" in rebalance("check", *files)
    assert "44.66" in rebalance("plan", *files)  # at the port by which it was asked


def test_of_several_accounts_one_must_be_named(rebalance, gateway):
    gateway.call(
        lambda: gateway.gateway.faults.on("managedAccounts", ChangeFields({2: f"{ACCOUNT},U7654321"}), times=1)
    )
    with pytest.raises(UsageError, match=r"manages 2 accounts: \*{6}567, \*{5}321 - name one with --account ID"):
        rebalance("init", "--from-account", *at(gateway))
    with pytest.raises(SafetyRefused, match=r"account \*{5}999 is not managed by this gateway"):
        rebalance("init", "--from-account", "--account", "DU000999", *at(gateway))
    rebalance("init", "--from-account", "--account", ACCOUNT, *at(gateway))
    assert f"account_id = {ACCOUNT}" in Path("settings.ini").read_text()


MARKET = """\
account:
  id: DU1234567
  base_currency: USD
  cash: {{USD: {cash}}}
  positions: {positions}
quotes:
  VTI: {{bid: 100.00, ask: 100.02, last: 100.01}}
  BND: {{bid: 72.00, ask: 72.01, last: 72.00}}
"""


@pytest.fixture
def market(tmp_path):
    def write(cash: str, *positions: tuple[str, int]) -> tuple[str, ...]:
        listed = [f"{{symbol: {symbol}, quantity: {quantity}, average_cost: 50}}" for symbol, quantity in positions]
        path = tmp_path / "market.yaml"
        path.write_text(MARKET.format(cash=cash, positions=f"[{', '.join(listed)}]"))
        return ("--broker", "fake", "--market", str(path))

    return write


def test_a_debit_is_explained(rebalance, market):
    printed = rebalance("init", "--from-account", *market("-5000", ("VTI", 100)))
    assert "the account owes 5,000.00 USD: without a CASH row a plan sells to pay that back" in printed
    assert rows(Path("portfolios.csv")) == {"VTI": 100}


def test_the_smallest_holding_is_not_rounded_to_an_order_to_sell_it(rebalance, market):
    rebalance("init", "--from-account", *market("0", ("VTI", 1_000_000), ("BND", 1)))
    assert rows(Path("portfolios.csv")) == {"VTI": Decimal("99.99"), "BND": Decimal("0.01")}


def test_an_account_without_etfs_is_nothing_to_start_from(rebalance, market):
    with pytest.raises(DataRefused, match="holds no ETF in USD to start from"):
        rebalance("init", "--from-account", *market("5000"))
    assert not Path("settings.ini").exists()
