"""accounts.yaml: read strictly, every fault of all its files at once, and who shares which gateway."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
import yaml
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st
from input_builders import made_settings
from jsonschema import Draft202012Validator

from core.errors import ExitCode, PortfoliosInvalid, SettingsInvalid
from core.household import BrokerClient, HouseholdApproval, accounts_template, household_schema, load_household
from core.household.household import messages_per_second
from core.money import D

INI = "[ibkr]\naccount_id = DU1234567\n[models]\nmain = 1\n"
CSV = "portfolio,symbol,target_pct\nMAIN,VTI,60\nMAIN,BND,40\n"
WHOLE = """\
name: Example household
settings: settings.ini
portfolios: portfolios.csv
approval: one_for_all
at_once: 3
accounts:
  - id: du1234567
    name: Alice  pension
    settings:
      ibkr.port: 4003
      rebalance.hold_symbols: [ON, "NO"]
    tags: [pension, usd]
  - {id: DU7654321, name: Bob, portfolios: bob.csv}
"""
PORT = "must be a whole number >= 1 and <= 65535"
SMALL = """\
name: Ours
settings: settings.ini
portfolios: portfolios.csv
accounts:
"""


@pytest.fixture
def load(tmp_path):
    """Load an accounts.yaml of this text, with its other files beside it."""
    (tmp_path / "settings.ini").write_text(INI)
    (tmp_path / "portfolios.csv").write_text(CSV)
    (tmp_path / "bob.csv").write_text("portfolio,symbol,target_pct\nMAIN,GLD,100\n")
    path = tmp_path / "accounts.yaml"

    def load(text, *, environ=None, overrides=None, now=NOW):
        path.write_text(text)
        return load_household(path, environ=environ or {}, overrides=overrides or {}, now=now)

    return load


@pytest.fixture
def faults_of(load, tmp_path):
    """The faults of such a household, without the folder in which all its files are."""

    def faults_of(text, **more):
        with pytest.raises((SettingsInvalid, PortfoliosInvalid)) as error:
            load(text, **more)
        shown = str(error.value.faults).replace("such as DU1234567", "")
        assert not any(account in shown for account in ("DU1234567", "DU7654321"))
        return [fault.replace(f"{tmp_path}/", "") for fault in error.value.faults]

    return faults_of


def accounts(*lines):
    return SMALL + "".join(f"  - {line}\n" for line in lines)


def test_a_whole_household_is_read_as_it_stands(load, tmp_path):
    household = load(WHOLE)
    assert (household.name, household.approval, household.at_once) == (
        "Example household",
        HouseholdApproval.ONE_FOR_ALL,
        3,
    )
    assert (household.file, household.ini) == (tmp_path / "accounts.yaml", tmp_path / "settings.ini")
    alice, bob = household.accounts
    assert (alice.name, alice.account_id, alice.masked_id, alice.tags) == (
        "Alice pension",
        "DU1234567",
        "******567",
        ("pension", "usd"),
    )
    assert (alice.settings.ibkr.port, alice.settings.rebalance.hold_symbols) == (4003, ("ON", "NO"))
    assert (alice.portfolios, alice.targets.weights) == (
        tmp_path / "portfolios.csv",
        {"BND": D("0.4"), "VTI": D("0.6")},
    )
    assert (bob.settings.ibkr.account_id, bob.settings.ibkr.port) == ("DU7654321", 4002)
    assert (bob.portfolios, bob.targets.weights) == (tmp_path / "bob.csv", {"GLD": D(1)})


def test_the_overrides_of_an_account_make_its_settings_again(load, tmp_path):
    (tmp_path / "settings.ini").write_text(f"{INI}[rebalance]\nmin_order_usd = 1\nper_holding_band_bps = 1\n")
    environ = {"REBALANCER__REBALANCE__MIN_ORDER_USD": "2", "REBALANCER__REBALANCE__CASH_BUFFER_PCT": "2"}
    text = accounts(
        "{id: DU1234567, name: A, settings: {rebalance.min_order_usd: 3, rebalance.per_holding_band_bps: 3}}"
    )
    (account,) = load(text, environ=environ, overrides={"rebalance.min_order_usd": "4"}).accounts
    rebalance = account.settings.rebalance
    assert (rebalance.min_order_usd, rebalance.per_holding_band_bps, rebalance.cash_buffer_pct) == (4, 3, 2)
    assert account.overrides == {
        "rebalance.min_order_usd": "4",
        "rebalance.per_holding_band_bps": "3",
        "ibkr.max_messages_per_second": "45",
    }


def test_no_account_is_shown_in_full(load):
    assert "DU" not in repr(load(WHOLE))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("name: A", "line 5: accounts[0].id: is missing"),
        ("id: DU1234567", "line 5: accounts[0].name: is missing"),
        ("{id: DU1234567, name: 'A, B'}",
         "line 5: accounts[0].name: A, B must be at most 40 characters on one line, without a comma"),
        ("{id: DU1234567, name: U7654321}",
         "line 5: accounts[0].name: must not contain the id of an account, since names are shown in full"),
        ("{id: YOUR_ACCOUNT_ID, name: A}",
         "line 5: accounts[0].id: YOUR_ACCOUNT_ID is not the id of an account, letters and digits such as DU1234567"),
        ("{id: DU1234567, name: A, tag: x}", "line 5: accounts[0].tag: unknown key - did you mean tags?"),
        ("{id: DU1234567, name: A, tags: x}", "line 5: accounts[0].tags: must be a list"),
        ("{id: DU1234567, name: A, tags: [a b]}",
         "line 5: accounts[0].tags[0]: a b must be letters, digits, - and _, 40 at most"),
        ("{id: DU1234567, name: A, settings: {ibkr: {port: 4003}}}",
         "line 5: accounts[0].settings.ibkr: write ibkr.KEY: value, as in ibkr.port: 4003"),
        ("{id: DU1234567, name: A, settings: {ibkr.prt: 1}}",
         "line 5: accounts[0].settings: A: ibkr.prt in accounts.yaml line 5 is not a setting; did you mean ibkr.port?"),
        ("{id: DU1234567, name: A, settings: {ibkr.port: 0}}",
         "line 5: accounts[0].settings: A: [ibkr] port = 0 (from accounts.yaml line 5): " + PORT),
    ],
)  # fmt: skip
def test_an_account_at_fault_is_named_with_its_line(faults_of, line, fault):
    assert faults_of(accounts(line)) == [f"accounts.yaml: {fault}"]


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("ibkr.account_id: DU7654321", "the account is named by its id"),
        ("Journal.url: sqlite:///x", "all accounts of a household are in one journal; set it in the settings file"),
        (
            "safety.kill_switch_file: STOP",
            "one kill switch stops all accounts of a household; set it in the settings file",
        ),
    ],
)
def test_a_setting_of_the_household_is_none_of_one_account(faults_of, setting, why):
    (fault,) = faults_of(accounts(f"{{id: DU1234567, name: A, settings: {{{setting}}}}}"))
    key = setting.partition(": ")[0]
    assert fault == f"accounts.yaml: line 5: accounts[0].settings.{key}: is not a setting of one account: {why}"


def test_a_wrong_setting_is_named_with_its_own_line(faults_of):
    (fault,) = faults_of(WHOLE.replace("ibkr.port", "ibkr.prot"))
    where = "accounts.yaml: line 9: accounts[0].settings: Alice pension"
    assert fault == f"{where}: ibkr.prot in accounts.yaml line 10 is not a setting; did you mean ibkr.port?"


def test_a_secret_is_not_among_the_settings_of_an_account(faults_of):
    (fault,) = faults_of(accounts("{id: DU1234567, name: A, settings: {notify.webhook_url: 'https://x.example'}}"))
    assert "[notify] webhook_url is a secret: it is read only from the environment" in fault
    assert "x.example" not in fault


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ("at_once: 0", "line 5: at_once: 0 must be at least 1 and at most 32"),
        ("at_once: many", "line 5: at_once: 'many' is not a whole number"),
        ("approval: all", "line 5: approval: 'all' is not one of per_account, one_for_all"),
        ("aproval: one_for_all", "line 5: aproval: unknown key - did you mean approval?"),
    ],
)
def test_what_is_wrong_with_the_household_itself_is_named_with_its_line(faults_of, wrong, fault):
    text = SMALL.replace("accounts:", f"accounts: [{{id: DU1234567, name: A}}]\n{wrong}")
    assert faults_of(text) == [f"accounts.yaml: {fault}"]


def test_a_household_needs_a_name_settings_and_an_account(faults_of):
    assert faults_of("accounts: []") == [
        "accounts.yaml: name: is missing",
        "accounts.yaml: settings: is missing",
        "accounts.yaml: line 1: accounts: must have an entry",
    ]


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        ("{id: du1234567, name: B}", "accounts[1].id: ******567 appears here twice"),
        ("{id: DU7654321, name: ALICE  x}", "accounts[1].name: ALICE  x appears here twice"),
    ],
)
def test_no_account_and_no_name_is_there_twice(faults_of, second, fault):
    assert faults_of(accounts("{id: DU1234567, name: Alice x}", second)) == [f"accounts.yaml: line 6: {fault}"]


def test_the_faults_of_all_files_are_reported_at_once(faults_of, tmp_path):
    (tmp_path / "settings.ini").write_text(f"{INI}[io]\nlog_level = loud\n")
    (tmp_path / "portfolios.csv").write_text("portfolio,symbol,target_pct\nMAIN,VTI,60\n")
    faults = faults_of(
        accounts("{id: DU1234567}", "{id: DU7654321, name: B, settings: {ibkr.port: x}}", "{id: DU1111111, name: C}")
        + "at_once: 99\n"
    )
    assert faults == [
        "accounts.yaml: line 8: at_once: 99 must be at least 1 and at most 32",
        "accounts.yaml: line 5: accounts[0].name: is missing",
        "settings.ini: [io] log_level = loud: must be one of DEBUG, INFO, WARNING, ERROR",
        f"accounts.yaml: line 6: accounts[1].settings: B: [ibkr] port = x (from accounts.yaml line 6): {PORT}",
        "portfolios.csv line 2: MAIN: the assets sum to 60, must be 100 (±0.01) (for B, C)",
    ]


def test_faults_of_portfolios_alone_have_their_own_exit_code_and_the_names_of_the_accounts(load, tmp_path):
    lines = [f"{{id: DU000000{number}, name: A{number}}}" for number in range(5)]
    (tmp_path / "portfolios.csv").unlink()
    with pytest.raises(PortfoliosInvalid) as error:
        load(accounts(*lines, "{id: DU7654321, name: Bob, portfolios: bob.csv}"))
    assert error.value.exit_code is ExitCode.PORTFOLIOS
    assert error.value.faults == (f"{tmp_path}/portfolios.csv: there is no such file (for A0, A1, A2 and 2 more)",)


def test_an_old_portfolios_file_is_refused(faults_of, tmp_path):
    written = NOW - timedelta(days=9)
    text = accounts("{id: DU1234567, name: A, settings: {io.max_csv_age_days: 7}}", "{id: DU7654321, name: B}")
    os.utime(tmp_path / "portfolios.csv", (written.timestamp(), written.timestamp()))
    (fault,) = faults_of(text)
    assert "9 days ago: [io] max_csv_age_days = 7 (for A)" in fault


def test_without_a_portfolios_file_for_all_an_account_names_its_own(faults_of):
    text = accounts("{id: DU1234567, name: A}", "{id: DU7654321, name: B, portfolios: bob.csv}")
    assert faults_of(text.replace("portfolios: portfolios.csv\n", "", 1)) == [
        "accounts.yaml: line 4: accounts[0].portfolios: is missing, and the household names no file for all"
    ]


def test_the_settings_file_is_whole_by_itself_since_the_kill_switch_is_read_from_it(faults_of, tmp_path):
    (tmp_path / "settings.ini").write_text("[ibkr]\naccount_id = YOUR_ACCOUNT_ID\n[models]\nmain = 1\n")
    (fault,) = faults_of(accounts("{id: DU1234567, name: A}"))
    assert fault.startswith("settings.ini: [ibkr] account_id = YOUR_ACCOUNT_ID: must be the id of an account")


def test_the_options_of_a_run_name_no_account(faults_of):
    (fault,) = faults_of(accounts("{id: DU1234567, name: A}"), overrides={"ibkr.account_id": "DU7654321"})
    assert fault == "ibkr.account_id in the options of this run: the accounts are those of accounts.yaml"


@pytest.mark.parametrize("text", ["", "a: 1\na: 2\n", "a: &b 1\nc: *b\n", "[1]"])
def test_what_is_no_strict_yaml_is_a_fault_of_settings(faults_of, text):
    assert len(faults_of(text)) == 1


def test_accounts_of_one_client_are_together_and_share_the_messages_of_their_gateway(load):
    household = load(
        accounts(
            "{id: DU0000001, name: A, settings: {ibkr.client_id: 10}}",
            "{id: DU0000002, name: B, settings: {ibkr.client_id: 20, ibkr.host: LOCALHOST}}",
            "{id: DU0000003, name: C, settings: {ibkr.client_id: 10}}",
            "{id: DU0000004, name: D, settings: {ibkr.client_id: 10, ibkr.port: 4003}}",
        )
    )
    assert {client: [each.name for each in own] for client, own in household.by_client.items()} == {
        BrokerClient("127.0.0.1", 4002, 10): ["A", "C"],
        BrokerClient("127.0.0.1", 4002, 20): ["B"],
        BrokerClient("127.0.0.1", 4003, 10): ["D"],
    }
    assert [each.settings.ibkr.max_messages_per_second for each in household.accounts] == [22, 22, 22, 45]
    assert [each.overrides["ibkr.max_messages_per_second"] for each in household.accounts] == ["22", "22", "22", "45"]


def test_a_client_id_is_not_the_one_by_which_commands_that_only_read_connect_for_another(faults_of):
    text = accounts(
        "{id: DU0000001, name: A, settings: {ibkr.client_id: 11}}",
        "{id: DU0000002, name: B, settings: {ibkr.client_id: 10}}",
        "{id: DU0000003, name: C, settings: {ibkr.client_id: 13, ibkr.port: 4003}}",
    )
    (fault,) = faults_of(text)
    assert fault.startswith("accounts.yaml: line 5: accounts[0].settings: A: client_id 11 at 127.0.0.1:4002 is the one")
    assert fault.endswith("connect for B: give it the same client_id, or one 2 apart")


KEYS = st.sampled_from(
    ["name", "settings", "portfolios", "approval", "at_once", "accounts", "id", "tags", "ibkr.port", "a\nb"]
)
TEXTS = st.sampled_from(["", "~", "DU7654321", "Bob", "settings.ini", "bob.csv", "4", "\0", "../x", "one_for_all"])
TREES = st.recursive(
    TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)


@given(tree=st.dictionaries(KEYS, TREES, max_size=6))
def test_any_yaml_without_its_other_files_is_refused_with_faults_of_one_line(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("household") / "accounts.yaml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(SettingsInvalid) as error:
        load_household(path, environ={}, overrides={}, now=NOW)
    assert error.value.faults
    assert not any("\n" in fault for fault in (error.value.message, *error.value.faults))


CLIENTS = st.tuples(st.sampled_from(("a", "b")), st.integers(1, 40), st.integers(1, 50))


@given(st.lists(CLIENTS, min_size=1, max_size=12), st.integers(1, 32))
def test_all_that_may_be_at_work_at_once_keep_within_the_lowest_limit_of_their_gateway(clients, at_once):
    settings = [
        made_settings({"ibkr": {"host": host, "client_id": str(2 * client), "max_messages_per_second": str(limit)}})
        for host, client, limit in clients
    ]
    shares = messages_per_second(settings, at_once)
    for gateway, share in shares.items():
        at_gateway = [each for each in settings if BrokerClient.of(each).gateway == gateway]
        at_work = min(at_once, len({BrokerClient.of(each) for each in at_gateway}))
        limit = min(each.ibkr.max_messages_per_second for each in at_gateway)
        assert share >= 1
        assert share * at_work <= max(limit, at_work)


def schema_faults(text):
    Draft202012Validator.check_schema(household_schema())
    return [error.message for error in Draft202012Validator(household_schema()).iter_errors(yaml.safe_load(text))]


def test_the_schema_accepts_what_is_read_and_refuses_an_unknown_key():
    assert schema_faults(WHOLE) == []
    assert schema_faults(accounts_template(ini="settings.ini", csv="portfolios.csv")) == []
    (fault,) = schema_faults(WHOLE.replace("tags:", "tag:"))
    assert "tag" in fault


def test_the_template_is_read_once_its_account_is_put_in(load, faults_of):
    (account,) = load(accounts_template(ini="settings.ini", csv="portfolios.csv", account="DU1234567")).accounts
    assert account.name == "First account"
    (fault,) = faults_of(accounts_template(ini="settings.ini", csv="portfolios.csv"))
    assert "YOUR_ACCOUNT_ID is not the id of an account" in fault
