"""`rebalance stop` and `rebalance go`: the kill switch, engaged and released by hand."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path

from core.safety import remove_kill_switch, write_kill_switch
from core.settings.loading import load_settings


def engage(ini: Path) -> None:
    """Write the kill switch file that the settings name."""
    path = _path(ini)
    # works without Prefect and without the gateway: it must never wait for either
    write_kill_switch(path, by=getuser(), at=datetime.now(UTC))
    print(f"stopped: wrote {path}; no order is sent until `rebalance go`")  # noqa: T201 - the command's answer


def release(ini: Path) -> None:
    """Remove the kill switch file."""
    path = _path(ini)
    was_there = os.path.lexists(path)  # a dangling link stops orders as well, and is removed
    remove_kill_switch(path)
    print(f"{'removed' if was_there else 'there was no'} {path}; orders may be sent")  # noqa: T201 - the command's answer


def _path(ini: Path) -> Path:
    return load_settings(ini, environ=os.environ, overrides={}).safety.kill_switch_file
