"""The composition root: from what was asked for to a run with its broker, its journal and its approver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.broker.port import Broker
from core.errors import OutputFailed, RebalanceError, unexpected
from core.journal import Journal, MemoryStore
from core.model import AccountId, Mode, Plan, RunResult
from core.model.refs import run_id_of
from core.report import report_folder
from core.safety import check_mode
from core.settings import Settings
from tasks.app.approvers import Approver, AutoApprover
from tasks.app.brokers import make_broker
from tasks.app.journals import journal_of
from tasks.app.progress import show
from tasks.app.request import Request
from tasks.app.run import Run
from tasks.app.sources import Source

BrokerFactory = Callable[[Settings], Broker]


@dataclass(frozen=True, slots=True)
class AppSession:
    """What a caller in this process brings to its runs instead of the defaults: a terminal, or a scenario.

    `data_docs` asks for the library's own pages on the gates. `on_question` gets every plan before its approval is
    requested, `on_end` every run that ended with the files of its report.
    """

    approver: Approver | None = None
    source: Source | None = None
    broker: BrokerFactory | None = None
    folder: Path | None = None
    name: str = ""
    journal: Journal | None = None
    data_docs: bool = False
    on_question: Callable[[Plan], None] = lambda _plan: None
    on_end: Callable[[RunResult, tuple[Path, ...]], None] = lambda _result, _paths: None


_SESSION: ContextVar[AppSession | None] = ContextVar("session", default=None)


@contextmanager
def session(own: AppSession) -> Iterator[None]:
    """Runs started inside the block are made with `own`."""
    token = _SESSION.set(own)
    try:
        yield
    finally:
        _SESSION.reset(token)


def current_session() -> AppSession:
    return _SESSION.get() or AppSession()


def prepare(request: Request, flow_run_id: str, approver: Approver) -> Run:
    """A run that is ready to start; `approver` is asked unless the session brings its own.

    A journal that cannot be used is no failure yet: the run has its report to write, and a dry run may go on. Raises
    SettingsInvalid, UsageError, SafetyRefused and OutputFailed; RebalanceError with code 70 for an unexpected error.
    """
    try:
        return _prepared(request, flow_run_id, approver)
    except RebalanceError:
        raise
    except Exception as error:
        raise unexpected(error, "nothing was sent; report it") from error


def _prepared(request: Request, flow_run_id: str, approver: Approver) -> Run:
    own = current_session()
    source = own.source or request.files()
    settings = source.settings()
    check_mode(settings, request.mode, confirm_live=request.confirm_live, broker=request.broker)
    run_id = run_id_of(flow_run_id)
    folder = own.folder or report_folder(settings.io.report_dir, run_id)
    journal, fault = (own.journal, None) if own.journal else _opened(request, settings)
    run = Run(
        id=run_id,
        flow_run_id=flow_run_id,
        name=own.name or request.csv.stem,
        mode=request.mode,
        settings=settings,
        source=source,
        broker=own.broker(settings) if own.broker else make_broker(request, settings, folder=folder),
        journal=journal,
        owns_journal=own.journal is None,
        journal_fault=fault,
        # the one place that decides whether a person is asked
        approver=(own.approver or approver) if settings.safety.require_confirm else AutoApprover(),
        folder=folder,
        keeps_tables=own.data_docs,
    )
    for warning in settings.warnings:
        run.warn(warning)
    return run


def _opened(request: Request, settings: Settings) -> tuple[Journal, OutputFailed | None]:
    """The journal of the settings; where it cannot be used, one in memory, and why, for `Run.check_journal`."""
    try:
        return journal_of(request, settings), None
    except OutputFailed as error:
        return Journal(MemoryStore()), error


def failed_start(request: Request | None, flow_run_id: str, error: RebalanceError) -> RunResult:
    """The end of a run that failed before it had settings, and so has nothing but its failure to report.

    It has no request either when its parameters were wrong. The session's `on_end` gets it.
    """
    own = current_session()
    now = datetime.now(UTC)
    result = RunResult(
        run_id=run_id_of(flow_run_id),
        name=own.name or (request.csv.stem if request else ""),
        mode=request.mode if request else Mode.DRY_RUN,
        broker=None,
        # that of a household's account is not known by its name
        account_id=AccountId((request and not request.is_of_household and request.account) or ""),
        started_at=now,
        ended_at=now,
        settings={},
        errors=(error,),
    )
    show(own.on_end, result, ())
    return result
