"""`rebalance stop` needs nothing but the place of the kill switch; `rebalance go` wants sound settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import OutputFailed, SettingsInvalid
from core.settings.loading import load_settings
from deployments.commands.kill_switch import engage, release

SOUND = "[ibkr]\naccount_id = DU1234567\n[models]\nONE = 1\n"
PLACE = "REBALANCER__SAFETY__KILL_SWITCH_FILE"


@pytest.fixture
def ini(tmp_path) -> Path:
    (tmp_path / "settings.ini").write_text(SOUND)
    return tmp_path / "settings.ini"


def files_beside(ini: Path) -> set[str]:
    return {str(path.relative_to(ini.parent)) for path in ini.parent.rglob("*") if path.is_file() and path != ini}


@pytest.mark.parametrize(
    "text",
    [
        "kill_switch_file = stop",
        "Kill_Switch_File: stop ; so that nothing is sent",
        "kill_switch_file =\n    stop",
        "kill_switch_file = sub/stop # here",
        "kill_switch_file = ../stop",
        "kill_switch_file = ~/stop",
        "paper_only = true",
    ],
)
@pytest.mark.parametrize("fault", ["", "\n[models]\nTWO = 1\n", "\n[safety]\npaper_only = perhaps\n", "\n[nonsense\n"])
def test_stop_writes_where_a_run_looks_whatever_else_is_wrong(tmp_path, monkeypatch, text, fault):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    ini = tmp_path / "own" / "settings.ini"
    ini.parent.mkdir()
    ini.write_text(f"{SOUND}[safety]\n{text}\n")
    looked_for = load_settings(ini, environ={}, overrides={}).safety.kill_switch_file
    ini.write_text(ini.read_text() + fault)
    engage(ini)
    assert looked_for.is_file()
    assert [path for path in tmp_path.rglob("*") if path.is_file()].count(ini) == 1
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize(
    "fault",
    [
        "[ibkr]\naccount_id = DU1234567\n[ibkr]\n",
        "account_id = before any section\n",
        "[models]\nONE = 0.5\n",
        "[safety]\nkill_swich = x\n",
        "no key\n",
        "\N{LATIN SMALL LETTER U WITH DIAERESIS}ber = \0\n",
    ],
)
def test_a_fault_elsewhere_is_a_warning(ini, capsys, fault):
    ini.write_bytes(f"{fault}[safety]\nkill_switch_file = stop\n".encode("latin-1"))
    engage(ini)
    assert files_beside(ini) == {"stop"}
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: {ini}: ")
    assert warning.endswith("; only [safety] kill_switch_file was read")


def test_the_environment_goes_first_and_a_fault_of_it_is_a_warning(ini, monkeypatch, capsys):
    ini.write_text(f"{SOUND}[safety]\nkill_switch_file = stop\n")
    monkeypatch.setenv(PLACE, "other")
    monkeypatch.setenv("REBALANCER__SAFETY__KILL_SWITCH", "typing error")
    engage(ini)
    assert files_beside(ini) == {"other"}
    assert "REBALANCER__SAFETY__KILL_SWITCH in the environment is not a setting" in capsys.readouterr().err


def test_of_a_place_that_is_named_twice_both_are_stopped(ini, capsys):
    ini.write_text(f"{SOUND}[safety]\nkill_switch_file = one\nkill_switch_file = two\n")
    engage(ini)
    assert files_beside(ini) == {"one", "two"}
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_where_one_of_two_places_cannot_be_written_the_other_is(ini):
    (ini.parent / "file").touch()
    ini.write_text(f"{SOUND}[safety]\nkill_switch_file = file/one\nkill_switch_file = two\n")
    with pytest.raises(OutputFailed, match="cannot write the kill switch"):
        engage(ini)
    assert (ini.parent / "two").is_file()


@pytest.mark.parametrize("text", ["", "~nobody-of-this-name/x"])
def test_where_the_place_itself_cannot_be_read_the_usual_one_is_stopped_and_the_rest_is_said(ini, text):
    ini.write_text(f"{SOUND}[safety]\nkill_switch_file = {text}\n")
    with pytest.raises(SettingsInvalid) as refused:
        engage(ini)
    assert files_beside(ini) == {"KILL_SWITCH"}
    assert f"wrote {ini.parent / 'KILL_SWITCH'}" in refused.value.message
    assert "create by hand the one that its [safety] kill_switch_file names" in refused.value.next_step


def test_settings_that_are_not_there_stop_the_usual_place_beside_them(ini):
    ini.unlink()
    with pytest.raises(SettingsInvalid, match=r"there is no such file; wrote .*KILL_SWITCH"):
        engage(ini)
    assert files_beside(ini) == {"KILL_SWITCH"}


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(SettingsInvalid, match="there is no such file") as refused:
        engage(tmp_path / "missing" / "settings.ini")
    assert "by hand" in refused.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_stop_needs_no_name_of_who_types_it(ini, monkeypatch):
    def unknown() -> str:
        raise KeyError

    monkeypatch.setattr("deployments.commands.kill_switch.getuser", unknown)
    engage(ini)
    assert "stopped by user " in (ini.parent / "KILL_SWITCH").read_text()


def test_go_wants_sound_settings(ini):
    ini.write_text(SOUND + "[nonsense]\n")
    (ini.parent / "KILL_SWITCH").touch()
    with pytest.raises(SettingsInvalid):
        release(ini)
    assert files_beside(ini) == {"KILL_SWITCH"}
