"""What each safeguard of the journal is for: left out, the very thing happens that it forbids.

Those around orders at the broker (SENDING, the witnesses, the execution root) are left out in the kill campaign, and
syncs in `tests/kill/test_power_loss.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path

import pytest
from builders import plan
from journals import ACCOUNT, RUN, approved_journal
from kill.mutations import changed

from core.errors import AccountBusy, SafetyRefused
from core.journal import Journal, MemoryStore, journal
from core.journal.sql import SqlStore, store
from core.model import RunId


def hold_an_account_twice(folder: Path) -> None:
    """As two processes would, each with its own connection to one file."""
    with ExitStack() as held:
        for run_id in (RUN, RunId("OTHER")):
            own = held.enter_context(closing(SqlStore(f"sqlite:///{folder}/journal.sqlite")))
            held.enter_context(own.lock(ACCOUNT, run_id))


def use_an_approval_twice(_folder: Path) -> None:
    """As a run that is started again would, with all that is on record."""
    entries = MemoryStore()
    approved_journal(Journal(entries))
    Journal(entries).approve_lines(plan())


@pytest.mark.parametrize(
    ("forbidden", "refusal", "where", "safeguard", "without"),
    [
        (hold_an_account_twice, AccountBusy, store, "file_lock", lambda _database, _account: nullcontext()),
        (use_an_approval_twice, SafetyRefused, journal, "check_approval", lambda _state, _plan: None),
    ],
    ids=["the lock of the account", "the single use of an approval"],
)
def test_only_one_safeguard_keeps_it_from_happening(
    tmp_path, forbidden: Callable[[Path], None], refusal, where, safeguard, without
):
    with pytest.raises(refusal):
        forbidden(tmp_path)
    with changed(where, safeguard, without):
        forbidden(tmp_path)
