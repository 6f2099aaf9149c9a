"""`rebalance history` and `rebalance report`: past runs, and their reports again, from the journal alone."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from core.errors import UsageError
from core.journal import Journal
from core.journal.entries import RunState
from core.masking import mask_accounts
from core.model import RunResult
from core.report import report_folder, write_page, write_reports
from core.report.history import PastRun, history_json, past_run
from core.report.history_html import history_html
from core.settings import Settings
from core.settings.loading import load_settings
from deployments.terminal import console, show_runs
from tasks.app.journals import open_journal, open_rehearsals

USUAL = 20


def show_history(ini: Path, *, last: int | None, rehearsals: bool, as_json: bool) -> None:
    """Print the newest `last` runs, or rehearsals, as a table or as one JSON document. Raises OutputFailed."""
    runs = _past_runs(ini, last or USUAL, rehearsals=rehearsals)
    if as_json:
        document = {"runs": [history_json(run) for run in runs]}
        print(mask_accounts(json.dumps(document, indent=2, ensure_ascii=False)))  # noqa: T201 - what --json promises
    elif runs:
        show_runs(runs, console())
    else:
        console().print("no run is on record")


def write_history(ini: Path, page: Path, *, last: int | None, rehearsals: bool) -> None:
    """Write the newest `last` runs or rehearsals, None for all, as one page. Raises OutputFailed."""
    write_page(history_html(_past_runs(ini, last, rehearsals=rehearsals)), page)
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
            next_step="wait for it if it is under way; if its process died: rebalance recover",
        )
    folder = report_folder(settings.io.report_dir, state.record.run_id)
    for path in write_reports(_with_findings(state.result, state), folder):
        console().print(f"  {path}", markup=False, soft_wrap=True)


def _past_runs(ini: Path, last: int | None, *, rehearsals: bool) -> list[PastRun]:
    with closing(_journal(_settings(ini), rehearsals=rehearsals)) as journal:
        states = [journal.state(run.run_id) for run in journal.runs()[:last]]
    return [past_run(state.record, state.result) for state in states]


def _with_findings(result: RunResult, state: RunState) -> RunResult:
    """The result with what a person has found since; as it was where nobody had to look."""
    found = {ref: record for ref, record in state.orders.items() if record.finding is not None}
    return replace(result, orders=tuple(found.get(record.order.ref, record) for record in result.orders))


def _settings(ini: Path) -> Settings:
    return load_settings(ini, environ=os.environ, overrides={})


def _journal(settings: Settings, *, rehearsals: bool) -> Journal:
    return open_rehearsals() if rehearsals else open_journal(settings)
