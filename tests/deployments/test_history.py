"""`rebalance history` lists past runs, and `rebalance report` writes a report again, both from the journal alone."""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import NOW
from flow_runs import ACCOUNT, Rehearsal, SaysYes
from worlds import scripted

from core.errors import OutputFailed, UsageError
from core.journal import Journal
from core.journal.sql import SqlStore
from core.model import AccountId, Mode, RunId, RunRecord, Symbol
from deployments.commands.history import HistorySource, rebuild_report, show_history, source_of, write_history
from tasks.app.approvers import Answer


@dataclass(frozen=True)
class SaysNo:
    how: str = "test"

    async def ask(self, question):
        return Answer(approve=False, approver="Ann", account_suffix="567", note="not today")


@dataclass
class Office:
    """A settings file, and the journal that it names."""

    folder: Path

    def __post_init__(self) -> None:
        self.url = f"sqlite:///{self.folder}/journal.sqlite"
        self.ini = self.folder / "settings.ini"
        self.ini.write_text(
            f"[ibkr]\naccount_id = {ACCOUNT}\n[models]\nONE = 1\n[journal]\nurl = {self.url}\n"
            f"[io]\nreport_dir = {self.folder}/reports\n"
        )

    @contextmanager
    def journal(self):
        with closing(Journal(SqlStore(self.url))) as journal:
            yield journal

    async def run(self, **more) -> Rehearsal:
        with self.journal() as journal:
            rehearsal = Rehearsal(self.folder, **({"approver": SaysYes()} | more), journal=journal)
            await rehearsal.run()
        return rehearsal

    def history(self, capsys, **more):
        show_history(HistorySource(self.ini, **more), last=20, as_json=True)
        return json.loads(capsys.readouterr().out)["runs"]

    def report(self, run_id: str) -> dict[str, bytes]:
        """The files of the report but the log, which is no report."""
        folder = self.folder / "reports" / run_id
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.log"}


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)


UNUSUAL = {
    "done": {},
    "partly filled": {"changes": {"fills": scripted("BND", fill_fraction=0.5)}},
    "refused by the broker": {"changes": {"fills": scripted("VTI", reject=201)}},
    "rejected by a person": {"approver": SaysNo()},
    "a dry run": {"mode": Mode.DRY_RUN},
    "no plan": {"settings": {"safety": {"kill_switch_file": "."}}},
    "nothing to trade": {"settings": {"rebalance": {"per_holding_band_bps": "9000"}}},
}
# the fullest report and the emptiest
QUICK = ("partly filled", "no plan")


@pytest.mark.parametrize(
    "more",
    [pytest.param(more, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, more in UNUSUAL.items()],
)
async def test_a_report_is_written_again_byte_for_byte(office, more, capsys):
    run_id = (await office.run(**more)).outcomes[0].run_id
    written = office.report(run_id)
    assert "result.json" in written
    for name in written:
        (office.folder / "reports" / run_id / name).unlink()
    rebuild_report(office.ini, run_id[:6].lower(), rehearsals=False)
    assert office.report(run_id) == written
    assert f"{run_id}/result.json" in capsys.readouterr().out


async def test_history_has_what_was_traded_paid_and_left(office, capsys):
    done = (await office.run()).outcomes[0]
    planned = (await office.run(mode=Mode.DRY_RUN)).outcomes[0]
    rows = {row["run_id"]: row for row in office.history(capsys)}
    assert rows.keys() == {done.run_id, planned.run_id}
    traded = rows[done.run_id]
    assert (traded["mode"], traded["account"], traded["result"], traded["exit_code"]) == (
        "paper",
        "******567",
        "completed",
        0,
    )
    notional = sum(fill.shares * fill.price for record in done.orders for fill in record.fills)
    assert traded["turnover_pct"] == pytest.approx(float(notional / done.plan.valuation.net_liq * 100))
    assert traded["commissions"] == {"USD": 0.0}
    assert traded["drift_before_bps"] == pytest.approx(float(done.plan.totals.drift_before_bps))
    assert traded["drift_after_bps"] == pytest.approx(float(sum(map(abs, done.residual_drift_bps.values()))))
    assert (rows[planned.run_id]["turnover_pct"], rows[planned.run_id]["drift_after_bps"]) == (0.0, None)


async def test_history_shows_the_newest_runs_as_a_table(office, capsys):
    await office.run(approver=SaysNo())
    show_history(HistorySource(office.ini), last=1, as_json=False)
    shown = capsys.readouterr().out
    assert "paper" in shown
    assert "******567" in shown
    assert "rejected (exit 32)" in shown
    assert ACCOUNT not in shown


def test_an_empty_journal_and_the_rehearsals_have_no_runs_of_the_other(office, capsys):
    assert office.history(capsys) == []
    with office.journal() as journal:
        start(journal, "AAAAAAAAAAAA", "flow-1")
    assert [row["run_id"] for row in office.history(capsys)] == ["AAAAAAAAAAAA"]
    assert "AAAAAAAAAAAA" not in [row["run_id"] for row in office.history(capsys, rehearsals=True)]


def start(journal: Journal, run_id: str, flow_run_id: str) -> None:
    journal.start_run(RunRecord(RunId(run_id), flow_run_id, AccountId(ACCOUNT), Mode.DRY_RUN, NOW))


def test_a_run_without_an_end_has_no_report_yet(office, capsys):
    with office.journal() as journal:
        start(journal, "AAAAAAAAAAAA", "flow-1")
    (row,) = office.history(capsys)
    assert (row["result"], row["exit_code"]) == ("under way, or its process died", None)
    with pytest.raises(UsageError, match="the end of run AAAAAAAAAAAA is not on record"):
        rebuild_report(office.ini, "AAAA", rehearsals=False)


@pytest.mark.parametrize("name", ["", "A", "B", "flow", "zzz"])
def test_a_name_that_is_not_one_run_is_refused(office, name):
    with office.journal() as journal:
        start(journal, "AAAAAAAAAAAA", "flow-1")
        start(journal, "AABBAAAAAAAA", "flow-2")
    with pytest.raises(UsageError, match=r"the journal knows (no run|more than one run) named"):
        rebuild_report(office.ini, name, rehearsals=False)


def test_a_run_is_found_by_its_flow_run_too(office):
    with office.journal() as journal:
        start(journal, "AAAAAAAAAAAA", "0b1f")
        assert journal.find("0B1").run_id == "AAAAAAAAAAAA"


async def test_the_runs_of_an_account_are_known_by_what_they_sent(office):
    planned = await office.run(mode=Mode.DRY_RUN)
    traded = await office.run()
    with office.journal() as journal:
        found = journal.last_traded(AccountId(ACCOUNT))
        assert found.record.run_id == traded.outcomes[0].run_id != planned.outcomes[0].run_id
        assert Symbol("VTI") in {record.order.contract.symbol for record in found.orders.values()}
        assert journal.last_traded(AccountId("DU7654321")) is None


async def test_history_is_written_as_a_page(office, capsys):
    run_id = (await office.run()).outcomes[0].run_id
    page = office.folder / "history.html"
    write_history(HistorySource(office.ini), page, last=None)
    assert run_id in page.read_text()
    assert ACCOUNT not in page.read_text()
    assert str(page) in capsys.readouterr().out


def test_a_page_that_cannot_be_written_is_one_line_and_says_what_to_do(office):
    with pytest.raises(OutputFailed, match="No such file or directory") as failed:
        write_history(HistorySource(office.ini), office.folder / "missing" / "history.html", last=None)
    assert failed.value.next_step


async def test_history_of_a_household_names_its_accounts_and_leaves_out_all_others(office, capsys):
    rehearsal = await office.run()
    with office.journal() as journal:
        journal.start_run(RunRecord(RunId("BBBBBBBBBBBB"), "flow-2", AccountId("DU7654321"), Mode.DRY_RUN, NOW))
    accounts = office.folder / "accounts.yaml"
    accounts.write_text(f"name: Ours\nsettings: settings.ini\naccounts:\n  - {{id: {ACCOUNT}, name: Alice}}\n")
    source = source_of(None, accounts, rehearsals=False)
    show_history(source, last=20, as_json=True)
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert (row["run_id"], row["name"]) == (rehearsal.outcomes[-1].run_id, "Alice")
    show_history(source, last=20, as_json=False)
    assert "Alice" in capsys.readouterr().out
    page = office.folder / "household.html"
    write_history(source, page, last=None)
    assert "Account 1: Alice" in page.read_text()


def test_history_needs_a_file():
    with pytest.raises(UsageError, match="--ini not given"):
        source_of(None, None, rehearsals=False)
