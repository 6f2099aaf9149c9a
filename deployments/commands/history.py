"""`rebalance history` and `rebalance report`: past runs, and their reports again, from the journal alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import UsageError
from core.household import read_listed
from core.journal import Journal
from core.journal.entries import RunState
from core.masking import mask_accounts
from core.model import AccountId, RunResult
from core.report import report_folder, write_page, write_reports
from core.report.history import PastRun, history_json, past_run
from core.report.history_html import history_html
from core.settings import Settings
from core.settings.loading import load_settings
from core.text import with_ini
from deployments.terminal import console, show_runs
from tasks.app.journals import open_journal, open_rehearsals

USUAL = 20


@dataclass(frozen=True, slots=True)
class HistorySource:
    """Whose runs: those of the settings' journal, or rehearsals; with `names` only those of a household's accounts."""

    ini: Path
    rehearsals: bool = False
    names: Mapping[AccountId, str] | None = None


def source_of(ini: Path | None, accounts: Path | None, *, rehearsals: bool) -> HistorySource:
    """The runs of the settings file, or of the accounts that an accounts.yaml lists.

    Raises UsageError without a file, SettingsInvalid for an accounts.yaml with faults.
    """
    if accounts is not None:
        listed = read_listed(accounts)
        return HistorySource(listed.ini, rehearsals, {account: name for name, account in listed.accounts.items()})
    if ini is None:
        raise UsageError("--ini not given", next_step="name settings.ini, or with --household an accounts.yaml")
    return HistorySource(ini, rehearsals)


def show_history(source: HistorySource, *, last: int | None, as_json: bool) -> None:
    """Print the newest `last` runs as a table or as one JSON document. Raises OutputFailed."""
    runs = _past_runs(source, last or USUAL)
    if as_json:
        document = {"runs": [history_json(run) for run in runs]}
        print(mask_accounts(json.dumps(document, indent=2, ensure_ascii=False)))  # noqa: T201 - what --json promises
    elif runs:
        show_runs(runs, console())
    else:
        console().print("no run is on record")


def write_history(source: HistorySource, page: Path, *, last: int | None) -> None:
    """Write the newest `last` runs, None for all, as one page. Raises OutputFailed."""
    write_page(history_html(_past_runs(source, last)), page)
    console().print(f"  {page}", markup=False, soft_wrap=True)


def rebuild_report(ini: Path, name: str, *, rehearsals: bool) -> None:
    """Write the report of the run of this name again, in its folder, from the journal.

    Raises UsageError for a run that is not on record, or has no end there; OutputFailed.
    """
    settings = _settings(ini)
    with closing(_journal(settings, rehearsals=rehearsals)) as journal:
        state = journal.state(journal.find(name).run_id)
    if state.result is None or state.record.ended_at is None:
        raise UsageError(
            f"the end of run {state.record.run_id} is not on record",
            next_step=f"wait for it if it is under way; if its process died: {with_ini('rebalance recover', ini)}",
        )
    folder = report_folder(settings.io.report_dir, state.record.run_id)
    for path in write_reports(_with_findings(state.result, state), folder):
        console().print(f"  {path}", markup=False, soft_wrap=True)


def _past_runs(source: HistorySource, last: int | None) -> list[PastRun]:
    names = source.names
    with closing(_journal(_settings(source.ini), rehearsals=source.rehearsals)) as journal:
        wanted = [run.run_id for run in journal.runs() if names is None or run.account_id in names]
        states = [journal.state(run_id) for run_id in wanted[:last]]
    return [past_run(each.record, each.result, (names or {}).get(each.record.account_id, "")) for each in states]


def _with_findings(result: RunResult, state: RunState) -> RunResult:
    """The result with what a person has found since; as it was where nobody had to look."""
    found = {ref: record for ref, record in state.orders.items() if record.finding is not None}
    return replace(result, orders=tuple(found.get(record.order.ref, record) for record in result.orders))


def _settings(ini: Path) -> Settings:
    return load_settings(ini, environ=os.environ, overrides={})


def _journal(settings: Settings, *, rehearsals: bool) -> Journal:
    return open_rehearsals() if rehearsals else open_journal(settings)
