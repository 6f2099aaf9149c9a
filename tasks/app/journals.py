"""Where runs are put on record: real ones in the journal of the settings, rehearsals in a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from core.journal import Journal
from core.journal.sql import SqlStore
from core.journal.store import TakenCode
from core.model import AccountId, BrokerKind, Mode, RunId
from core.settings import Settings
from core.settings.kinds import SQLITE_FILE
from tasks.app.environment import state_folder
from tasks.app.request import Request

FOLDER = "journal"
DEFAULT, REHEARSALS = "journal.sqlite", "rehearsals.sqlite"


class RehearsalStore(SqlStore):
    """The store of rehearsals. One that was killed is not recovered: its market was gone with its process."""

    def __init__(self, url: str, settings: Settings | None) -> None:
        super().__init__(url)
        self._settings = settings

    def take_code(self, code: TakenCode) -> None:
        # in the journal of the real runs: what was typed in a rehearsal must not approve one of those
        with closing(open_store(self._settings)) as real:
            real.take_code(code)

    def open_runs(self, account_id: AccountId) -> Sequence[RunId]:  # noqa: ARG002 - the port's
        return ()


def journal_of(request: Request, settings: Settings) -> Journal:
    """The journal for this run. Raises OutputFailed where it cannot be used, SettingsInvalid for a wrong URL."""
    is_real = request.broker is BrokerKind.IBKR and request.mode is not Mode.REPORT_ONLY
    return open_journal(settings) if is_real else open_rehearsals(settings)


def open_journal(settings: Settings | None) -> Journal:
    """The journal that the settings name, without settings the default one. Raises as `journal_of` does."""
    return Journal(open_store(settings))


def open_store(settings: Settings | None) -> SqlStore:
    """Where `open_journal` keeps its entries. Raises as `journal_of` does."""
    return SqlStore((settings and settings.journal.url) or _url(DEFAULT))


def open_rehearsals(settings: Settings | None = None) -> Journal:
    """The journal of this user's rehearsals; codes of approvers go to that of the settings. Raises OutputFailed."""
    return Journal(RehearsalStore(_url(REHEARSALS), settings))


def kept_files() -> tuple[Path, ...]:
    """The files of the default journal and of the rehearsals, whether they are there or not."""
    # a folder of their own: SQLite and the locks put files beside them
    return tuple(state_folder() / FOLDER / name for name in (DEFAULT, REHEARSALS))


def _url(name: str) -> str:
    return f"{SQLITE_FILE}{state_folder() / FOLDER / name}"
