"""What a journal needs of the place where it keeps its entries: append one, load those of a run, hold an account."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.errors import AccountBusy, SafetyRefused
from core.journal.entries import Entry
from core.masking import mask_account
from core.model import AccountId, RunId, RunRecord


class CodeUsed(SafetyRefused):
    """The approver's one-time code was taken before, for whatever plan of whatever account."""


@dataclass(frozen=True, slots=True)
class TakenCode:
    """An approver's one-time code, by the time step that it is of, and the only plan that it may answer for."""

    approver: str
    step: int
    run_id: RunId
    plan_hash: str
    at: datetime


class LockTaken(Exception):
    """Somebody else holds it."""


class Store(Protocol):
    """Keeps the entries of each run in their order, and knows nothing of what they mean.

    An entry is on record for good when `append` returns: the next thing may be an order on the wire. `position` makes
    it compare-and-append, so what was checked against the entries before it is checked in the same transaction:
    of two that write to one run at once, the second is refused.
    """

    def append(self, run_id: RunId, position: int, entry: Entry) -> None:
        """Put `entry` on record as number `position` of the run, counted from 0.

        Raises AccountBusy when the run has an entry at that position, OutputFailed when nothing can be written.
        """
        ...

    def take_code(self, code: TakenCode) -> None:
        """Put on record that the code was used, so that nobody can use it again, in any run of any account.

        Raises CodeUsed when it was before, OutputFailed when nothing can be written.
        """
        ...

    def load(self, run_id: RunId) -> Sequence[Entry]:
        """All entries of the run in their order; empty for one that was never started. Raises OutputFailed."""
        ...

    def open_runs(self, account_id: AccountId) -> Sequence[RunId]:
        """Runs of the account, oldest first, without a `RunEnded`, or with an `AccountQuarantined` after it.

        Raises OutputFailed.
        """
        ...

    def runs(self) -> Sequence[RunRecord]:
        """All runs, as they were started, the newest first. Raises OutputFailed."""
        ...

    def close(self) -> None:
        """Let go of what the store holds open; it opens again by itself when it is used."""
        ...

    def lock(self, account_id: AccountId, run_id: RunId) -> AbstractContextManager[None]:
        """Hold the account for this run. Raises AccountBusy naming the run that has it."""
        ...

    def client_lock(self, client: str) -> AbstractContextManager[None]:
        """Hold a client of a gateway, called so by all who use it. Raises LockTaken, OutputFailed."""
        ...


def account_is_held(account_id: AccountId, holder: RunId | None, details: str = "") -> AccountBusy:
    """The refusal of whoever comes second; `holder` is None where only the lock is known, not who holds it."""
    run = f"run {holder}" if holder else "another run"
    return AccountBusy(
        f"account {mask_account(account_id)} is busy with {run}{f' ({details})' if details else ''}",
        next_step="approve, reject or cancel that run, or start again when it has ended",
    )


def position_is_taken(run_id: RunId) -> AccountBusy:
    """The refusal of whoever writes to a run that another process has written to meanwhile."""
    return AccountBusy(
        f"another process writes to the journal of run {run_id}",
        next_step="nothing more was sent; look for that process before you start a new run",
    )


def code_is_used(code: TakenCode) -> CodeUsed:
    """The refusal of a code that comes a second time."""
    return CodeUsed(f"the code of {code.approver} was used before", next_step="wait for the next one")
