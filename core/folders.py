"""Folders that are still there after power loss.

A file or a folder is safe under its name only when the folder that it stands in was synced, on some file systems at
least; syncing the file itself saves what is in it.
"""

from __future__ import annotations

import os
from errno import ENOTDIR
from pathlib import Path


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make the folder in this mode, with those above it that are missing; nothing if it exists. Raises OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        # another process may make it at the same moment
        folder.mkdir(mode=mode, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(folder)) from None
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names of all that stands in the folder are on its disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
