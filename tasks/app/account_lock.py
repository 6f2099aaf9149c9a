"""One run per account on this computer: a lock that the operating system takes back from a process that dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from core.errors import AccountBusy, OutputFailed
from core.masking import mask_account
from core.model import AccountId, RunId
from tasks.app.environment import state_folder


@contextmanager
def account_lock(account: AccountId, key: str, run_id: RunId) -> Iterator[None]:
    """Hold the account for this run while the block runs; `key` names the account's file.

    Raises AccountBusy naming the run that holds it, and OutputFailed when the file cannot be written.
    """
    handle = _open(state_folder() / "locks" / f"{key}.json")
    try:
        try:
            # a lock of the kernel, not a file that exists: it ends with the process, however that ends
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(account, *_holder(handle)) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"run": run_id, "started": _now()}).encode(), 0)
        yield
    finally:
        os.close(handle)


def busy(account: AccountId, run: str, started: str) -> AccountBusy:
    """The refusal of a run whose account another one has."""
    return AccountBusy(
        f"account {mask_account(account)} is busy with run {run} (started {started})",
        next_step="approve, reject or cancel that run, or start again when it has ended",
    )


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # O_NOFOLLOW: a link in its place could point at a file that is not ours
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise OutputFailed(
            f"cannot write {path}: {error.strerror}", next_step="repair the folder, or name another in REBALANCER_HOME"
        ) from None


def _holder(handle: int) -> tuple[str, str]:
    """The run that holds the lock and its start, as far as it has written them by now."""
    try:
        held = json.loads(os.pread(handle, 1000, 0))
        return str(held["run"]), str(held["started"])
    except (ValueError, KeyError, TypeError):
        return "of another process", "just now"


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
