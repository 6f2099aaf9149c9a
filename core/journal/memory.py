"""The store of a rehearsal: everything the port promises, for as long as the object lives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from core.journal.entries import Entry, RunStarted, replayed
from core.journal.store import LockTaken, TakenCode, account_is_held, code_is_used, position_is_taken
from core.model import AccountId, RunId, RunRecord


class MemoryStore:
    """A `Store` that shares nothing with any other instance and forgets all when it goes."""

    def __init__(self) -> None:
        self._holders: dict[AccountId, RunId] = {}
        self._clients: set[str] = set()
        self._entries: dict[RunId, list[Entry]] = {}
        self._codes: set[tuple[str, int]] = set()

    def append(self, run_id: RunId, position: int, entry: Entry) -> None:
        entries = self._entries.setdefault(run_id, [])
        if position != len(entries):
            raise position_is_taken(run_id)
        entries.append(entry)

    def take_code(self, code: TakenCode) -> None:
        if (code.approver, code.step) in self._codes:
            raise code_is_used(code)
        self._codes.add((code.approver, code.step))

    def load(self, run_id: RunId) -> Sequence[Entry]:
        return tuple(self._entries.get(run_id, ()))

    def open_runs(self, account_id: AccountId) -> Sequence[RunId]:
        states = ((run_id, replayed(entries)) for run_id, entries in self._entries.items())
        return tuple(
            run_id
            for run_id, state in states
            if state is not None and state.is_open and state.record.account_id == account_id
        )

    def runs(self) -> Sequence[RunRecord]:
        starts = (entries[0] for entries in self._entries.values())
        runs = (each.run for each in starts if isinstance(each, RunStarted))
        return tuple(sorted(runs, key=lambda run: (run.started_at, run.run_id), reverse=True))

    def close(self) -> None:
        """Nothing is held open."""

    @contextmanager
    def lock(self, account_id: AccountId, run_id: RunId) -> Iterator[None]:
        holder = self._holders.get(account_id)
        if holder is not None:
            raise account_is_held(account_id, holder)
        self._holders[account_id] = run_id
        try:
            yield
        finally:
            del self._holders[account_id]

    @contextmanager
    def client_lock(self, client: str) -> Iterator[None]:
        if client in self._clients:
            raise LockTaken
        self._clients.add(client)
        try:
            yield
        finally:
            self._clients.remove(client)
