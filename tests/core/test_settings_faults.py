"""Settings in layers, every fault with its name and place, and secrets that no fault shows."""

from __future__ import annotations

import pytest
from input_builders import FOLDER, made_settings, settings_faults, settings_texts

from core.errors import ExitCode, SettingsInvalid
from core.settings import echo
from core.settings.loading import settings_from


@pytest.mark.parametrize(("section", "key", "text"), [("ibkr", "account_id", "")])
def test_the_fault_of_a_missing_required_key_is_what_to_write(section, key, text):
    values = settings_texts()
    del values[section][key]
    with pytest.raises(SettingsInvalid) as refused:
        settings_from(values, folder=FOLDER)
    (fault,) = refused.value.faults
    assert fault.startswith(f"[{section}] {key} is missing: write {key} = ")


def test_missing_sections_are_faults_of_their_required_keys():
    with pytest.raises(SettingsInvalid) as refused:
        settings_from({}, folder=FOLDER)
    assert [fault.split(" is ")[0] for fault in refused.value.faults] == [
        "[ibkr] account_id",
        "[models] contains no model: write NAME = its weight in the blend, a line for each model of portfolios.csv",
    ]
    assert refused.value.message == "settings: 2 faults in the settings"
    assert refused.value.exit_code is ExitCode.SETTINGS


def test_all_faults_of_all_layers_are_reported_at_once():
    faults = settings_faults(
        {"rebalance": {"min_order_usd": "-5", "order_tipe": "LMT"}, "fxx": {}, "fx": {"max_fx_order_usd": "10"}},
        environ={"REBALANCER__LIMITS__STYLE": "smart", "REBALANCER__FX__ENABLE": "true"},
        overrides={"io.log_level": "LOUD", "io.reports": "x"},
    )
    assert faults == (
        "[rebalance] order_tipe = LMT: no such key; did you mean order_type?",
        "unknown section [fxx]; did you mean [fx]?",
        "REBALANCER__FX__ENABLE in the environment is not a setting; did you mean REBALANCER__FX__ENABLED?",
        "io.reports in the options of this run is not a setting; did you mean io.report_dir?",
        "[rebalance] min_order_usd = -5: must be a number >= 0",
        "[fx] max_fx_order_usd = 10: must be > min_fx_order_usd (1000), or none",
        "[limits] style = smart (from REBALANCER__LIMITS__STYLE): must be one of spread_aware, static_bps, off",
        "[io] log_level = LOUD (from the options of this run): must be one of DEBUG, INFO, WARNING, ERROR",
    )


def test_a_conflict_is_reported_beside_other_faults_of_its_section_but_not_when_its_own_keys_are_at_fault():
    broken = {"max_order_usd": "100", "direction": "up"}
    assert len(settings_faults({"rebalance": broken})) == 2
    assert settings_faults({"rebalance": broken | {"min_order_usd": "x"}}) == (
        "[rebalance] min_order_usd = x: must be a number >= 0",
        "[rebalance] direction = up: must be one of both, buy_only, sell_only",
    )


def test_a_key_in_the_wrong_section_is_shown_its_home():
    assert settings_faults({"limits": {"min_order_usd": "5"}}) == (
        "[limits] min_order_usd = 5: no such key; did you mean [rebalance] min_order_usd?",
    )


def test_a_name_like_no_other_gets_no_advice():
    assert settings_faults({"qqqqqq": {"x": "1"}, "io": {"zzzzzz": "1"}}) == (
        "unknown section [qqqqqq]",
        "[io] zzzzzz = 1: no such key",
    )


def test_an_override_without_a_section_is_shown_the_whole_name():
    assert settings_faults(overrides={"min_order_usd": "0"}) == (
        "min_order_usd in the options of this run is not a setting; did you mean rebalance.min_order_usd?",
    )


def test_the_environment_beats_the_file_and_an_override_beats_both():
    band = {"per_holding_band_bps": "10"}
    environ = {"REBALANCER__REBALANCE__PER_HOLDING_BAND_BPS": "20", "REBALANCER_SETTINGS": "x", "PATH": "/bin"}
    overrides = {"Rebalance.Per_Holding_Band_Bps": " 30 "}
    assert made_settings({"rebalance": band}).rebalance.per_holding_band_bps == 10
    assert made_settings({"rebalance": band}, environ=environ).rebalance.per_holding_band_bps == 20
    assert made_settings({"rebalance": band}, environ=environ, overrides=overrides).rebalance.per_holding_band_bps == 30


def test_a_later_layer_heals_a_fault_of_an_earlier_one():
    assert made_settings({"fx": {"enabled": "x"}}, overrides={"fx.enabled": "yes"}).fx.enabled


def test_the_same_key_in_two_spellings_is_refused():
    assert settings_faults({"fx": {"enabled": "true", "Enabled": "false"}}) == ("[fx] enabled appears twice",)


ADDRESS = "https://hooks.example.com/T0PQ"


def test_a_webhook_comes_from_the_environment_and_is_not_shown():
    settings = made_settings(environ={"REBALANCER__NOTIFY__WEBHOOK_URL": ADDRESS})
    assert settings.notify.webhook_url.reveal() == ADDRESS
    assert echo(settings)["notify"] == {"webhook_url": "set"}
    assert echo(made_settings())["notify"] == {"webhook_url": "none"}
    assert "T0PQ" not in repr(settings)


@pytest.mark.parametrize(
    "layers",
    [
        {"sections": {"notify": {"webhook_url": ADDRESS}}},
        {"sections": {"notify": {"webhook_urll": ADDRESS}}},
        {"sections": {"io": {"webhook_url": ADDRESS}}},
        {"sections": {"fx": {"route": ADDRESS}}},
        {"sections": {"journal": {"url": "ann:T0PQ@db"}}},
        {"overrides": {"notify.webhook_url": ADDRESS}},
        {"overrides": {"notify.webhook": ADDRESS}},
        {"environ": {"REBALANCER__NOTIFY__WEBHOOK_URL": "T0PQ"}},
        {"environ": {"REBALANCER__NOTIFY__WEBHOOK": ADDRESS}},
    ],
)
def test_a_secret_in_the_wrong_place_is_a_fault_that_does_not_show_it(layers):
    (fault,) = settings_faults(**layers)
    assert "T0PQ" not in fault


def test_who_approves_is_not_for_the_options_of_a_run_to_say():
    (fault,) = settings_faults(overrides={"approval.approvers": "none"})
    assert fault == "[approval] approvers is not for the options of this run: set it in the settings file"
    settings = made_settings(
        {"approval": {"approvers": "none"}}, environ={"REBALANCER__APPROVAL__APPROVERS": "Ann, bob"}
    )
    assert settings.approval.approvers == ("ANN", "BOB")


def test_where_approvers_are_set_a_run_may_not_name_a_journal_that_knows_no_used_codes():
    elsewhere = {"journal.url": "sqlite:////tmp/other.sqlite"}
    (fault,) = settings_faults({"approval": {"approvers": "ANN"}}, overrides=elsewhere)
    assert fault == "[journal] url is not for the options of a run while [approval] approvers is set"
    assert made_settings({"approval": {"approvers": "none"}}, overrides=elsewhere).journal.url


def test_a_journal_is_shown_without_its_password_and_starts_in_the_folder_of_the_settings():
    environ = {"REBALANCER__JOURNAL__URL": "postgresql://ann:T0PQ@db/journal?sslpassword=T0PQ"}
    settings = made_settings(environ=environ)
    assert settings.journal.url.startswith("postgresql://ann:T0PQ@db/journal")
    assert echo(settings)["journal"] == {"url": "postgresql://***@db/journal?***"}
    assert "T0PQ" not in repr(settings)
    (fault,) = settings_faults(environ={"REBALANCER__JOURNAL__URL": "mysql://ann:T0PQ@db/journal"})
    assert fault.startswith("[journal] url = mysql://***@db/journal (from REBALANCER__JOURNAL__URL): must be sqlite:")
    relative = made_settings({"journal": {"url": "sqlite:///own/journal.sqlite"}})
    assert relative.journal.url == f"sqlite:///{relative.folder}/own/journal.sqlite"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:T0PQ@db/journal",
        "postgresql://ann:T0/P?Q@db/journal",
        "postgresql://ann@db/journal?password=T0PQ",
        "postgresql://ann@db/journal?application_name=x&sslpassword=T0PQ",
    ],
)
def test_a_password_of_the_journal_is_taken_from_the_environment_alone(url):
    assert made_settings(environ={"REBALANCER__JOURNAL__URL": url}).journal.url == url
    wanted = "holds a password, which is a secret: leave it out, and keep it in ~/.pgpass or give the whole URL in the"
    for where, given in (
        ("", {"sections": {"journal": {"url": url}}}),
        (" in the options of this run", {"overrides": {"journal.url": url}}),
    ):
        (fault,) = settings_faults(**given)
        assert fault == f"[journal] url{where} {wanted} environment, as REBALANCER__JOURNAL__URL"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann@db:5432/journal?sslmode=require",
        "postgresql:///journal?passfile=/home/ann/.pgpass",
        "sqlite:////home/ann:old@x/journal.sqlite",
    ],
)
def test_a_journal_without_a_password_may_stand_anywhere(url):
    assert made_settings({"journal": {"url": url}}).journal.url == url
    assert made_settings(overrides={"journal.url": url}).journal.url == url


def test_the_account_is_masked_in_echo_and_faults():
    assert echo(made_settings())["ibkr"]["account_id"] == "******567"
    assert "DU1234567" not in repr(made_settings())
    assert settings_faults({"ibkr": {"account_id": "DU 1234567"}})[0].startswith(
        "[ibkr] account_id = *******567: must be "
    )
    assert settings_faults({"ibkr": {"acount_id": "DU1234567"}})[0].startswith(
        "[ibkr] acount_id = ******567: no such key"
    )
