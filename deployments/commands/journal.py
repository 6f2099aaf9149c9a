"""`rebalance journal`: a backup of the journal, and its free space given back."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from core.errors import UsageError
from core.settings.loading import load_settings
from deployments.terminal import console
from tasks.app.journals import kept_files, open_store


def keep_up(ini: Path, *, backup: Path | None, vacuum: bool) -> None:
    """Do what was asked, the backup first.

    Raises UsageError when nothing was, for a journal in PostgreSQL, and when the backup would replace another file.
    """
    if backup is None and not vacuum:
        raise UsageError("nothing was asked for", next_step="give --backup FILE, --vacuum or both")
    if backup is not None and backup.resolve() in (place.resolve() for place in kept_files()):
        raise UsageError(f"{backup} is where this program keeps a journal", next_step="choose another name")
    with closing(open_store(load_settings(ini, environ=os.environ, overrides={}))) as store:
        if backup is not None:
            store.backup(backup)
            _say(f"the journal was copied to {backup}")
        if vacuum:
            store.vacuum()
            _say("the journal's free space was given back to the disk")


def _say(text: str) -> None:
    console().print(text, markup=False, soft_wrap=True)
