"""`rebalance recover` ends what a killed process left, and `rebalance resolve` records what a person found."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOW
from deaths import DyingStore, second_process, trade_until_killed
from journals import approved_journal, sent
from planning_builders import plan_settings
from trading import RUN, Trading, buy, resting

from core.errors import AccountBusy, ExitCode, UsageError
from core.journal import Journal
from core.journal.entries import OrderReported, OrderSending
from core.journal.sql import SqlStore
from core.model import RunId
from deployments.commands.history import rebuild_report
from deployments.commands.recover import Recovery, recover, recover_account, resolve, resolve_order

FIRST = buy()
ACCOUNT = "DU1234567"


class Killed:
    """An account whose run was killed while its order was on its way, or had been reported on."""

    def __init__(self, folder: Path, kind=OrderSending, *orders) -> None:
        self.store = DyingStore()
        self.orders = orders or (FIRST,)
        self.settings = plan_settings(report_dir=folder)
        self.lines: list[str] = []
        self.first: Trading = asyncio.run(
            trade_until_killed(
                self.store, *self.orders, dies_with=lambda entry: isinstance(entry, kind), afterwards=True
            )
        )

    def recover(self, name: str = "") -> ExitCode:
        self.lines.clear()
        second = second_process(self.first, self.store)
        return recover(Recovery(self.settings, Journal(self.store), second.broker, self.lines.append), name)

    def resolve(self, name: str, found: str) -> str:
        return resolve(Journal(self.store), name, found, "Ann")

    def a_day_later(self) -> Killed:
        exchange = self.first.broker.exchange
        exchange.advance_to(exchange.now + timedelta(days=1))
        return self


def test_recover_ends_an_open_run_says_how_and_writes_its_report(tmp_path):
    killed = Killed(tmp_path, OrderReported, resting())
    assert killed.recover() is ExitCode.DONE
    assert killed.lines[-1].startswith(
        f"run {RUN} of 2026-03-02 20:30 UTC: exit 28: the process of the run ended early"
    )
    report = json.loads((tmp_path / RUN / "result.json").read_text())
    assert (report["exit_code"], [order["status"] for order in report["orders"]]) == (28, ["Cancelled"])
    assert killed.first.broker.exchange.working() == ()
    assert killed.recover() is ExitCode.DONE
    assert killed.lines == ["no run of this account is open"]


@pytest.mark.parametrize("name", [RUN, RUN[:4], RUN.lower(), "flow"])
def test_recover_takes_a_run_by_the_beginning_of_its_id(tmp_path, name):
    assert Killed(tmp_path).recover(name) is ExitCode.DONE


def test_recover_names_the_open_runs_when_none_has_the_name(tmp_path):
    with pytest.raises(UsageError, match="no open run is named X") as refused:
        Killed(tmp_path).recover("X")
    assert RUN in refused.value.next_step


def test_recover_leaves_a_run_that_is_under_way(tmp_path):
    killed = Killed(tmp_path)
    with killed.store.lock(ACCOUNT, RUN), pytest.raises(AccountBusy):
        killed.recover()


def test_recover_ends_with_41_and_says_what_a_person_is_to_do(tmp_path):
    killed = Killed(tmp_path).a_day_later()
    assert killed.recover() is ExitCode.UNKNOWN
    assert f"rebalance resolve {FIRST.ref} --found TEXT --ini FILE" in killed.lines[-1]
    assert ACCOUNT not in "\n".join(killed.lines)
    assert killed.recover() is ExitCode.UNKNOWN


@pytest.mark.parametrize("name", [FIRST.ref, RUN, RUN[:4].lower(), "flow"])
def test_resolve_frees_the_account(tmp_path, name):
    killed = Killed(tmp_path).a_day_later()
    killed.recover()
    assert killed.resolve(name, "never existed").endswith("the account may be traded again")
    assert Journal(killed.store).open_runs(ACCOUNT) == ()
    finding = Journal(killed.store).orders(RUN)[0].finding
    assert (finding.by, finding.text, finding.existed) == ("Ann", "never existed", False)


def test_resolve_refuses_an_order_that_is_known(tmp_path):
    killed = Killed(tmp_path)
    killed.recover()
    with pytest.raises(UsageError, match="there is nothing to resolve under"):
        killed.resolve(FIRST.ref, "cancelled")


@pytest.mark.parametrize("name", [FIRST.ref, RUN])
def test_resolve_says_who_has_found_what_already(tmp_path, name):
    killed = Killed(tmp_path).a_day_later()
    killed.recover()
    killed.resolve(name, "never existed")
    with pytest.raises(UsageError, match=rf"{FIRST.ref} is resolved already: Ann found never existed on \d{{4}}-"):
        killed.resolve(name, "cancelled")


def test_resolve_says_that_the_journal_does_not_know_an_order(tmp_path):
    with pytest.raises(UsageError, match="the journal has no order RB-ABCDEFGHIJ23-S9-1"):
        Killed(tmp_path).resolve("RB-ABCDEFGHIJ23-S9-1", "cancelled")


def test_resolve_records_nothing_that_it_cannot_read(tmp_path):
    killed = Killed(tmp_path).a_day_later()
    killed.recover()
    with pytest.raises(UsageError, match="says nothing"):
        killed.resolve(FIRST.ref, "all is well")
    assert Journal(killed.store).orders(RunId(RUN))[0].needs_person


def test_the_commands_work_on_the_journal_that_the_settings_name(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/own.sqlite"
    ini = tmp_path / "settings.ini"
    ini.write_text(f"[ibkr]\naccount_id = {ACCOUNT}\n[models]\nONE = 1\n[journal]\nurl = {url}\n")
    with closing(Journal(SqlStore(url))) as journal:
        sent(approved_journal(journal))
        journal.unknown(FIRST.ref, reason="nothing was reported")
        journal.end_run(RUN, at=NOW, exit_code=ExitCode.UNKNOWN, reason="nobody knows")
    resolve_order(ini, FIRST.ref, "never existed", "Ann")
    assert recover_account(ini, None, "") is ExitCode.DONE
    assert capsys.readouterr().out.splitlines() == [
        f"recorded for {FIRST.ref}: never existed; the account may be traded again",
        "no run of this account is open",
    ]


def test_a_report_that_is_written_again_has_what_a_person_found(tmp_path):
    ini = tmp_path / "settings.ini"
    ini.write_text(
        f"[ibkr]\naccount_id = {ACCOUNT}\n[models]\nONE = 1\n[io]\nreport_dir = reports\n"
        f"[journal]\nurl = sqlite:///{tmp_path}/own.sqlite\n"
    )
    killed = Killed(tmp_path).a_day_later()
    killed.recover()
    with closing(SqlStore(f"sqlite:///{tmp_path}/own.sqlite")) as store:
        for position, entry in enumerate(killed.store.load(RUN)):
            store.append(RUN, position, entry)
    page = tmp_path / "reports" / RUN / "post_trade.md"
    rebuild_report(ini, RUN, rehearsals=False)
    assert page.read_text() == (tmp_path / RUN / "post_trade.md").read_text()
    resolve_order(ini, RUN, "never existed", "Ann")
    rebuild_report(ini, RUN, rehearsals=False)
    assert f"{FIRST.ref}: Ann found: never existed" in page.read_text()
