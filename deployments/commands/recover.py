"""`rebalance recover` and `rebalance resolve`: end runs whose process is gone, and record what a person found."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path

from core.broker.port import Broker
from core.errors import ExitCode, OutputFailed, UsageError
from core.execution.reader import Reader
from core.execution.tracker import OrderTracker
from core.journal import Journal
from core.journal.entries import RunState
from core.journal.findings import FORMS, parse_finding
from core.model import AccountId, Mode, OrderRecord, OrderRef, RunEvent, RunId, RunResult
from core.model.refs import parse_ref
from core.report import report_folder, write_reports
from core.safety import check_gateway
from core.settings import Settings
from core.settings.loading import load_settings
from core.text import with_ini
from deployments import terminal
from tasks.app.brokers import live
from tasks.app.journals import open_journal
from tasks.app.recovering import recover_with_result

WORTH_SHOWING = ("fill", "cancelled", "absent", "unknown", "connection", "retry")
NAMED_BY_RECOVER = "`rebalance recover --ini FILE` names the orders that need it"


@dataclass(frozen=True, slots=True)
class Recovery:
    """What the command works with; `show` gets each line of its answer."""

    settings: Settings
    journal: Journal
    broker: Broker
    show: Callable[[str], None] = print
    ini: Path | None = None

    @property
    def account(self) -> AccountId:
        return self.settings.ibkr.account_id


def recover_account(ini: Path, account: str | None, name: str) -> ExitCode:
    """Recover the open runs of the account that the settings name, at their gateway; see `recover`."""
    overrides = {} if account is None else {"ibkr.account_id": account}
    settings = load_settings(ini, environ=os.environ, overrides=overrides)
    with closing(open_journal(settings)) as journal:
        # as the client that trades: no other may cancel its orders
        return recover(Recovery(settings, journal, live(settings, Mode.PAPER), ini=ini), name)


def resolve_order(ini: Path, name: str, found: str, by: str | None) -> None:
    """Record a finding in the journal of the settings, and say what is left to do; see `resolve`."""
    settings = load_settings(ini, environ=os.environ, overrides={})
    with closing(open_journal(settings)) as journal:
        print(resolve(journal, name, found, by or getuser()))  # noqa: T201 - the command's answer


def recover(recovery: Recovery, name: str = "") -> ExitCode:
    """Recover the account's open runs, or the one of that name, and say how each ended; UNKNOWN if any needs a person.

    Raises AccountBusy while a run of the account is under way, UsageError for a name that no open run has, and what
    `core.execution.recover` raises.
    """
    states = _named(recovery.journal.open_runs(recovery.account), name)
    if not states:
        recovery.show("no run of this account is open")
        return ExitCode.DONE
    run_ids = [state.record.run_id for state in states]
    with recovery.journal.lock(recovery.account, run_ids[0]):
        return asyncio.run(_recover_all(recovery, run_ids))


def resolve(journal: Journal, name: str, found: str, by: str) -> str:
    """Record what a person found of an order, by its reference or that of its run; a line that says what is left to do.

    Raises UsageError for an order that does not need it, and for a finding that cannot be read.
    """
    record = _needing(journal, name.strip())
    run = journal.state(_run_of(record.order.ref)).record
    with journal.lock(run.account_id, run.run_id):
        finding = parse_finding(found, record, by=by, at=datetime.now(UTC))
        journal.resolve(record.order.ref, finding)
        left = [each for state in journal.open_runs(run.account_id) for each in state.needing_person]
    recorded = f"recorded for {record.order.ref}: {finding.text}"
    if left:
        return f"{recorded}; the account still waits for {', '.join(each.order.ref for each in left)}"
    return f"{recorded}; the account may be traded again"


async def _recover_all(recovery: Recovery, run_ids: Sequence[RunId]) -> ExitCode:
    settings, broker = recovery.settings, recovery.broker
    tracker = OrderTracker(broker, recovery.journal, settings.ibkr.read_attempts, _shower(recovery))
    reader = Reader(broker, settings.ibkr.read_attempts, on_retry=recovery.show)
    code = ExitCode.DONE
    try:
        await reader.connect()
        managed = await reader.accounts()
        for run_id in run_ids:
            mode = recovery.journal.run(run_id).mode
            check_gateway(settings, mode, port=broker.port, managed=managed)
            state, result = await recover_with_result(tracker, run_id, settings)
            _write_report(settings, result)
            _show_end(recovery, state)
            code = ExitCode.UNKNOWN if state.needing_person else code
    finally:
        await broker.disconnect()
    return code


def _shower(recovery: Recovery) -> Callable[[RunEvent], None]:
    def on_event(event: RunEvent) -> None:
        if event.kind in WORTH_SHOWING:
            recovery.show(f"{event.kind}: {event.detail}")

    return on_event


def _show_end(recovery: Recovery, state: RunState) -> None:
    run = state.record
    recovery.show(f"run {run.run_id} of {run.started_at:%Y-%m-%d %H:%M} UTC: exit {run.exit_code or 0:d}: {run.reason}")
    for record in state.needing_person:
        recovery.show(
            f"  look {record.order.ref} up in TWS or in the statement, cancel it there if it still works, then: "
            f"{with_ini(f'rebalance resolve {record.order.ref} --found TEXT', recovery.ini)}, where TEXT is {FORMS}"
        )


def _write_report(settings: Settings, result: RunResult) -> None:
    """Write the run's report again; that it cannot be written is a warning, for all of it is in the journal."""
    try:
        write_reports(result, report_folder(settings.io.report_dir, result.run_id))
    except OutputFailed as error:
        terminal.show_warnings((str(error),))


def _named(states: Sequence[RunState], name: str) -> list[RunState]:
    """The runs of this name, a unique beginning of run id or flow-run id; all without a name. Raises UsageError."""
    if not name:
        return list(states)
    found = [state for state in states if _is_named(state, name)]
    if len(found) == 1:
        return found
    open_ids = ", ".join(state.record.run_id for state in states) or "none"
    raise UsageError(
        f"{'no' if not found else 'more than one'} open run is named {name}",
        next_step=f"open runs of this account: {open_ids}",
    )


def _is_named(state: RunState, name: str) -> bool:
    run = state.record
    return run.run_id.startswith(name.upper()) or run.flow_run_id.startswith(name)


def _needing(journal: Journal, name: str) -> OrderRecord:
    """The order of this reference, or the one order of this run that needs a person. Raises UsageError."""
    orders = _orders(journal, name)
    needing = [record for record in orders if record.needs_person]
    if len(needing) == 1:
        return needing[0]
    if needing:
        refs = ", ".join(record.order.ref for record in needing)
        raise UsageError(f"several orders of run {name} need a person", next_step=f"name one of them: {refs}")
    found = "; ".join(
        f"{record.order.ref} is resolved already: {each.by} found {each.text} on {each.at:%Y-%m-%d %H:%M} UTC"
        for record in orders
        if (each := record.finding) is not None
    )
    raise UsageError(found or f"there is nothing to resolve under {name}", next_step=NAMED_BY_RECOVER)


def _orders(journal: Journal, name: str) -> Sequence[OrderRecord]:
    """The order of this reference, or all orders of this run. Raises UsageError where there is none."""
    if parse_ref(name) is None:
        return journal.orders(journal.find(name).run_id)
    record = journal.order(OrderRef(name))
    if record is None:
        raise UsageError(f"the journal has no order {name}", next_step=NAMED_BY_RECOVER)
    return [record]


def _run_of(ref: OrderRef) -> RunId:
    parsed = parse_ref(ref)
    if parsed is None:
        raise UsageError(f"{ref} is not an order reference of ours", next_step=NAMED_BY_RECOVER)
    return parsed.run_id
