"""The rules that no plan may break: mode, account, port and kill switch, each refused in one sentence."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOW

from core.errors import ConnectionLost, ExitCode, KillSwitchOn, OutputFailed, SafetyRefused, UsageError
from core.model import AccountId, BrokerKind, Mode
from core.safety import check_clock, check_gateway, check_kill_switch, check_mode, remove_kill_switch, write_kill_switch
from core.settings.loading import settings_from

PAPER_ACCOUNT, LIVE_ACCOUNT = "DU1234567", "U1234567"
READS = [Mode.REPORT_ONLY, Mode.DRY_RUN]


def given(**changes):
    """Settings under which paper may run; `safety__paper_only="false"` changes a key."""
    values = {
        "ibkr": {"account_id": PAPER_ACCOUNT, "read_only": "false"},
        "models": {"smurf": "1", "badass": "0", "gltr": "0"},
    }
    for name, value in changes.items():
        section, key = name.split("__")
        values.setdefault(section, {})[key] = value
    return settings_from(values, folder=Path("/nowhere"))


def live(**changes):
    """Settings under which live may run."""
    return given(**({"ibkr__account_id": LIVE_ACCOUNT, "safety__paper_only": "false"} | changes))


def check(settings, mode, *, confirm_live=True, broker=BrokerKind.IBKR):
    check_mode(settings, mode, confirm_live=confirm_live, broker=broker)


def test_the_settings_of_these_tests_are_allowed():
    check(given(), Mode.PAPER, confirm_live=False)
    check(given(ibkr__account_id="DF1234567"), Mode.PAPER)
    check(live(), Mode.LIVE)


@pytest.mark.parametrize("broker", list(BrokerKind))
def test_paper_runs_on_every_broker(broker):
    check(given(), Mode.PAPER, broker=broker)


@pytest.mark.parametrize(
    ("settings", "mode", "confirm_live", "message"),
    [
        (given(ibkr__read_only="true"), Mode.PAPER, True, "mode paper sends orders, but [ibkr] read_only is true"),
        (live(ibkr__read_only="true"), Mode.LIVE, True, "mode live sends orders, but [ibkr] read_only is true"),
        (
            live(safety__paper_only="true"),
            Mode.LIVE,
            True,
            "mode live is refused, since [safety] paper_only is true",
        ),
        (live(), Mode.LIVE, False, "mode live needs a second, explicit confirmation"),
        (
            live(safety__require_confirm="false"),
            Mode.LIVE,
            True,
            "mode live without approval is refused, since [safety] require_confirm is false",
        ),
        (
            given(ibkr__account_id=LIVE_ACCOUNT),
            Mode.PAPER,
            True,
            "mode paper is refused for account *****567: paper accounts begin with DU or DF",
        ),
        (
            live(ibkr__account_id=PAPER_ACCOUNT),
            Mode.LIVE,
            True,
            "mode live is refused for account ******567: it is a paper account",
        ),
        (
            live(ibkr__account_id="DF1234567"),
            Mode.LIVE,
            True,
            "mode live is refused for account ******567: it is a paper account",
        ),
        (given(ibkr__port="4001"), Mode.PAPER, True, "mode paper is refused on port 4001, which is a live port"),
        (given(ibkr__port="7496"), Mode.PAPER, True, "mode paper is refused on port 7496, which is a live port"),
    ],
)
def test_a_mode_that_is_not_allowed_is_refused_in_one_sentence(settings, mode, confirm_live, message):
    with pytest.raises(SafetyRefused) as refusal:
        check(settings, mode, confirm_live=confirm_live)
    assert refusal.value.message == message
    assert refusal.value.next_step
    assert refusal.value.exit_code is ExitCode.SAFETY


@pytest.mark.parametrize("broker", [BrokerKind.FAKE, BrokerKind.SIMULATED])
def test_live_on_a_broker_that_is_not_real_is_misuse(broker):
    with pytest.raises(UsageError, match="mode live runs on broker ibkr only, never in a rehearsal") as misuse:
        check(live(), Mode.LIVE, broker=broker)
    assert misuse.value.exit_code is ExitCode.USAGE


def test_settings_that_forbid_live_are_named_before_the_broker():
    with pytest.raises(SafetyRefused, match="paper_only"):
        check(given(), Mode.LIVE, broker=BrokerKind.FAKE)


def test_live_without_approval_runs_only_when_that_is_confirmed_twice():
    check(live(safety__require_confirm="false", safety__live_without_approval="true"), Mode.LIVE)


@pytest.mark.parametrize("mode", [Mode.PAPER, Mode.LIVE])
def test_where_approvers_are_set_somebody_is_asked(mode):
    changes = {"approval__approvers": "ANN", "safety__require_confirm": "false"}
    settings = live(**changes, safety__live_without_approval="true") if mode is Mode.LIVE else given(**changes)
    with pytest.raises(SafetyRefused, match=r"\[approval\] approvers wants a person's code, and"):
        check(settings, mode)


def test_paper_may_run_without_approval():
    check(given(safety__require_confirm="false"), Mode.PAPER)


@pytest.mark.parametrize("port", ["4001", "7496", "4002"])
def test_live_is_not_tied_to_a_port(port):
    check(live(ibkr__port=port), Mode.LIVE)


@pytest.mark.parametrize("mode", READS)
def test_a_mode_that_sends_nothing_is_allowed_whatever_the_settings_say(mode):
    settings = given(ibkr__read_only="true", ibkr__account_id=LIVE_ACCOUNT, ibkr__port="4001")
    check(settings, mode, confirm_live=False, broker=BrokerKind.FAKE)


# --- the gateway


def managed(*accounts):
    return tuple(map(AccountId, accounts))


@pytest.mark.parametrize("mode", list(Mode))
def test_an_account_that_the_gateway_does_not_manage_is_refused_in_every_mode(mode):
    settings = live() if mode is Mode.LIVE else given()
    with pytest.raises(SafetyRefused) as refusal:
        check_gateway(settings, mode, port=4002, managed=managed("U7654321", "DU7654999"))
    assert "567 is not managed by this gateway (it manages ******999, *****321)" in refusal.value.message
    assert "1234" not in str(refusal.value)
    assert "7654" not in str(refusal.value)


def test_a_gateway_without_accounts_is_refused():
    with pytest.raises(SafetyRefused, match=r"it manages none"):
        check_gateway(given(), Mode.PAPER, port=4002, managed=())


@pytest.mark.parametrize("port", [None, 4002, 7497, 50_123])
def test_a_paper_account_on_a_port_that_is_not_live_is_accepted(port):
    check_gateway(given(), Mode.PAPER, port=port, managed=managed("DU7654321", PAPER_ACCOUNT))


@pytest.mark.parametrize("port", [4001, 7496])
def test_paper_over_a_live_port_is_refused_by_the_connections_own_port(port):
    with pytest.raises(SafetyRefused, match=f"port {port}, which is a live port"):
        check_gateway(given(), Mode.PAPER, port=port, managed=managed(PAPER_ACCOUNT))
    check_gateway(given(), Mode.DRY_RUN, port=port, managed=managed(PAPER_ACCOUNT))


@pytest.mark.parametrize(("settings", "mode"), [(given(), Mode.LIVE), (live(), Mode.PAPER)])
def test_an_account_of_the_other_kind_is_refused_at_the_gateway_too(settings, mode):
    account = settings.ibkr.account_id
    with pytest.raises(SafetyRefused, match=f"mode {mode} is refused for account") as refusal:
        check_gateway(settings, mode, port=4002, managed=managed(account))
    assert account not in str(refusal.value)


@pytest.mark.parametrize("mode", READS)
def test_reading_a_live_account_is_allowed(mode):
    check_gateway(given(ibkr__account_id=LIVE_ACCOUNT), mode, port=4001, managed=managed(LIVE_ACCOUNT))


# --- the kill switch


def as_file(path):
    path.write_text("")


def as_folder(path):
    path.mkdir()


def as_broken_link(path):
    path.symlink_to("nowhere")


def as_link_to_itself(path):
    path.symlink_to(path.name)


def test_without_a_file_the_kill_switch_is_off(tmp_path):
    check_kill_switch(tmp_path / "KILL_SWITCH")
    check_kill_switch(tmp_path / "no" / "such" / "folder" / "KILL_SWITCH")


@pytest.mark.parametrize("made", [as_file, as_folder, as_broken_link, as_link_to_itself])
def test_whatever_is_at_its_path_is_the_kill_switch(tmp_path, made):
    path = tmp_path / "KILL_SWITCH"
    made(path)
    with pytest.raises(KillSwitchOn) as stop:
        check_kill_switch(path)
    assert stop.value.message == f"the kill switch is on: {path} exists"
    assert "rebalance go --ini FILE" in stop.value.next_step
    assert stop.value.exit_code is ExitCode.KILL_SWITCH


@pytest.mark.parametrize(
    "place",
    ["file/KILL_SWITCH", "loop/KILL_SWITCH", "broken/KILL_SWITCH", "broken/deeper/KILL_SWITCH", "x" * 300, "a\0b"],
)
def test_a_kill_switch_that_cannot_be_looked_for_counts_as_on(tmp_path, place):
    as_file(tmp_path / "file")
    as_link_to_itself(tmp_path / "loop")
    as_broken_link(tmp_path / "broken")
    with pytest.raises(KillSwitchOn, match=r"the kill switch is treated as on: .* cannot be checked \(.+\)"):
        check_kill_switch(tmp_path / place)


def test_stop_writes_who_and_when_and_go_takes_it_away(tmp_path):
    path = tmp_path / "new" / "KILL_SWITCH"
    write_kill_switch(path, by="anna", at=NOW)
    assert path.read_text() == "stopped by anna at 2026-03-02T20:30:00Z; rebalance go --ini FILE removes this file\n"
    with pytest.raises(KillSwitchOn):
        check_kill_switch(path)
    assert remove_kill_switch(path)
    check_kill_switch(path)


def test_a_second_stop_keeps_the_note_of_the_first(tmp_path):
    path = tmp_path / "KILL_SWITCH"
    write_kill_switch(path, by="anna", at=NOW)
    write_kill_switch(path, by="ben", at=NOW)
    assert "anna" in path.read_text()


def test_a_broken_link_is_left_as_the_kill_switch_it_already_is(tmp_path):
    path = tmp_path / "KILL_SWITCH"
    as_broken_link(path)
    write_kill_switch(path, by="anna", at=NOW)
    assert not (tmp_path / "nowhere").exists()
    assert remove_kill_switch(path)
    check_kill_switch(path)


def test_the_note_stays_on_one_line_of_plain_text(tmp_path):
    path = tmp_path / "KILL_SWITCH"
    write_kill_switch(path, by="ann\nä", at=NOW)
    assert path.read_text().startswith("stopped by ann\\n\\xe4 at ")


def test_go_without_a_kill_switch_does_nothing(tmp_path):
    assert not remove_kill_switch(tmp_path / "KILL_SWITCH")


@contextmanager
def full_disk():
    """No byte can be written to a file, though files can be created."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_on_a_full_disk_the_note_is_lost_but_the_switch_is_on(tmp_path):
    path = tmp_path / "KILL_SWITCH"
    with full_disk():
        write_kill_switch(path, by="anna", at=NOW)
    assert path.read_text() == ""
    with pytest.raises(KillSwitchOn):
        check_kill_switch(path)


@pytest.mark.parametrize("place", ["file/KILL_SWITCH", "broken/KILL_SWITCH", "x" * 300, "a\0b/c"])
def test_a_stop_that_cannot_be_written_says_so(tmp_path, place):
    as_file(tmp_path / "file")
    as_broken_link(tmp_path / "broken")
    with pytest.raises(OutputFailed, match="cannot write the kill switch") as failure:
        write_kill_switch(tmp_path / place, by="anna", at=NOW)
    assert failure.value.exit_code is ExitCode.OUTPUT
    assert "cancel it" in failure.value.next_step


@pytest.mark.parametrize("place", ["folder", "file/KILL_SWITCH", "x" * 300])
def test_a_go_that_cannot_remove_says_so(tmp_path, place):
    as_folder(tmp_path / "folder")
    as_file(tmp_path / "file")
    with pytest.raises(OutputFailed, match="cannot remove the kill switch"):
        remove_kill_switch(tmp_path / place)


@pytest.mark.parametrize("mode", list(Mode))
def test_clocks_that_agree_are_nothing_to_speak_of(mode):
    assert check_clock(mode, timedelta(0)) == ""


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.LIVE])
def test_without_real_money_the_gateways_clock_is_used_with_a_warning(mode):
    messages = check_clock(mode, timedelta(hours=-44))
    assert messages == "the gateway's clock is 44 h behind this computer's; the run uses the gateway's"


def test_real_money_is_not_traded_by_a_wrong_clock():
    with pytest.raises(ConnectionLost, match=r"the gateway's clock is 6\.0 s ahead of this computer's"):
        check_clock(Mode.LIVE, timedelta(seconds=6))
