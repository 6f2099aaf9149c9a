"""settings.ini as a file: forms that are read, forms that are refused, and bytes of any kind."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from fuzzing import fuzzed, mutations
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SettingsInvalid
from core.settings import Settings, describe
from core.settings.loading import load_settings

VALID = b"""# a comment
[ibkr]
account_id = DU1234567   ; inline
[models]
smurf = 0.5
BADASS: 0.3
gltr=0.2   # inline
[rebalance]
min_order_usd = 100
[symbol_overrides]
vti = ARCA
"""


@pytest.fixture
def ini(tmp_path):
    return tmp_path / "settings.ini"


def loaded(path: Path, data: bytes | None = None, **layers: dict[str, str]) -> Settings:
    if data is not None:
        path.write_bytes(data)
    return load_settings(path, environ=layers.get("environ", {}), overrides=layers.get("overrides", {}))


def fault_of(path: Path, data: bytes | None = None) -> str:
    with pytest.raises(SettingsInvalid) as refused:
        loaded(path, data)
    assert len(refused.value.faults) == 1
    assert refused.value.message == f"{path}: {refused.value.faults[0]}"
    assert refused.value.next_step
    return refused.value.faults[0]


@pytest.mark.parametrize(
    "data",
    [VALID, b"\xef\xbb\xbf" + VALID, VALID.replace(b"\n", b"\r\n"), VALID.replace(b"\n", b"\r"), VALID + b"[fx]"],
    ids=["plain", "bom", "crlf", "cr", "empty section"],
)
def test_every_common_form_of_a_text_file_is_read(ini, data):
    settings = loaded(ini, data)
    assert settings.ibkr.account_id == "DU1234567"
    assert str(settings.models["BADASS"]) == "0.3"
    assert settings.symbol_overrides == {"VTI": "ARCA"}


def test_the_demo_settings_are_a_paper_account_with_currency_conversion():
    settings = loaded(Path(__file__).parents[2] / "deployments/demo/settings.ini")
    assert settings.safety.paper_only
    assert settings.fx.enabled
    assert not settings.ibkr.read_only
    assert [str(weight) for weight in settings.models.values()] == ["0.5", "0.3", "0.2"]
    assert settings.warnings == ()


def test_relative_paths_stand_in_the_folder_of_the_file_and_not_in_the_current_one(ini, monkeypatch):
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", "/home/ann")
    overrides = {"io.report_dir": "~/reports"}
    settings = loaded(ini, VALID + b"[safety]\nkill_switch_file = stop/NOW\n", overrides=overrides)
    assert settings.safety.kill_switch_file == ini.parent / "stop/NOW"
    assert settings.io.report_dir == Path("/home/ann/reports")
    assert settings.folder == ini.parent


def test_the_folder_is_absolute_for_a_relative_path_to_the_file(ini, monkeypatch):
    ini.write_bytes(VALID)
    monkeypatch.chdir(ini.parent)
    assert loaded(Path("settings.ini")).folder == ini.parent


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "[ibkr] account_id"),
        (b"[ibkr]\nport\n", "line 2: must be `key = value`"),
        (b"\nport = 1\n", "line 2: comes before the first [section]"),
        (VALID + b"VTI = NYSE\n", "line 12: [symbol_overrides] vti appears twice"),
        (VALID + b"[models]\n", "line 12: the section [models] appears twice"),
        (VALID + b"[DEFAULT]\nport = 1\n", "unknown section [DEFAULT]"),
        (VALID + b"[Limits]\n", "unknown section [Limits]; did you mean [limits]?"),
        (VALID + b"[fx] enabled = true\n", "[symbol_overrides] [FX] ENABLED = true: the key must be a symbol"),
        (VALID + b"[io]\nlog_level = %(level)s\n", "[io] log_level = %(level)s: must be one of"),
        (VALID + b"[io]\nlog_level = INFO\n  report_dir = x\n", "[io] log_level = INFO\\nreport_dir = x: must be"),
        (VALID + b"\xff\n", "line 12: is not UTF-8 text"),
        (VALID + b"\0\n", "line 12: contains binary data"),
        (b"#" * 1_000_001, "is larger than 1000000 bytes"),
    ],
)
def test_a_file_that_is_no_settings_file_is_refused_with_the_place(ini, data, fault):
    with pytest.raises(SettingsInvalid) as refused:
        loaded(ini, data)
    assert refused.value.faults[0].startswith(fault)


def test_several_lines_that_are_no_settings_are_reported_at_once(ini):
    with pytest.raises(SettingsInvalid) as refused:
        loaded(ini, b"[ibkr]\nport\nhost\n")
    assert refused.value.faults == ("line 2: must be `key = value`", "line 3: must be `key = value`")
    assert refused.value.message == f"{ini}: 2 faults in the settings"


def test_a_missing_file_a_directory_and_an_impossible_path_are_refused(ini):
    assert fault_of(ini) == "there is no such file"
    assert fault_of(ini.parent) == "is a directory, not a settings file"
    assert fault_of(ini / "\0").startswith("cannot be read")
    ini.write_bytes(VALID)
    assert fault_of(ini / "below").startswith("cannot be read")


def outcome_of(path: Path, data: bytes, **layers: dict[str, str]) -> Settings | SettingsInvalid:
    try:
        return loaded(path, data, **layers)
    except SettingsInvalid as refused:
        return refused


def is_sound(outcome: Settings | SettingsInvalid) -> bool:
    """Whether it is Settings with a mix of one, or a refusal with faults of one visible line each."""
    if isinstance(outcome, Settings):
        return abs(sum(outcome.models.values()) - 1) <= Decimal("0.001")
    return bool(outcome.faults) and all(fault.isprintable() for fault in outcome.faults)


@fuzzed
@given(data=st.binary(max_size=200))
def test_any_bytes_give_settings_or_a_refusal(tmp_path_factory, data):
    assert is_sound(outcome_of(tmp_path_factory.getbasetemp() / "any.ini", data))


@fuzzed
@given(data=mutations(VALID))
def test_a_damaged_file_gives_settings_or_a_refusal(tmp_path_factory, data):
    assert is_sound(outcome_of(tmp_path_factory.getbasetemp() / "damaged.ini", data))


NAMES = st.sampled_from([f"{row.section}.{row.key}" for row in describe()]) | st.text(max_size=9)


@fuzzed
@given(overrides=st.dictionaries(NAMES, st.text(max_size=30), max_size=4))
def test_any_override_gives_settings_or_a_refusal(tmp_path_factory, overrides):
    assert is_sound(outcome_of(tmp_path_factory.getbasetemp() / "sound.ini", VALID, overrides=overrides))
