"""`rebalance stop` and `rebalance go`: the kill switch, engaged and released by hand."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path

from core.errors import OutputFailed, SettingsInvalid
from core.safety import remove_kill_switch, write_kill_switch
from core.settings.loading import kill_switches_from, load_settings, usual_kill_switch
from core.text import with_ini
from deployments import terminal

BY_HAND = "create by hand the one that its [safety] kill_switch_file names"


def engage(ini: Path) -> None:
    """Write the kill switch file that the settings name, which may be at fault in everything else.

    Raises OutputFailed, and SettingsInvalid where the place cannot be read: the usual one is written all the same.
    """
    try:
        _write([_path(ini)], ini)
    except SettingsInvalid as error:
        _write(_places(ini), ini)
        terminal.show_warnings([f"{error.message}; only [safety] kill_switch_file was read"])


def release(ini: Path) -> None:
    """Remove the kill switch file."""
    path = _path(ini)
    was_there = os.path.lexists(path)  # a dangling link stops orders as well, and is removed
    remove_kill_switch(path)
    print(f"{'removed' if was_there else 'there was no'} {path}; orders may be sent")  # noqa: T201 - the command's answer


def _path(ini: Path) -> Path:
    return load_settings(ini, environ=os.environ, overrides={}).safety.kill_switch_file


def _places(ini: Path) -> list[Path]:
    try:
        return kill_switches_from(ini, environ=os.environ)
    except SettingsInvalid as error:
        usual = usual_kill_switch(ini)
        if not usual.parent.is_dir():
            raise SettingsInvalid(error.message, next_step=f"name the right file, or {BY_HAND}") from None
        _write([usual], ini)
        raise SettingsInvalid(
            f"{error.message}; wrote {usual}", next_step=f"if a run looks for another file, {BY_HAND}"
        ) from None


def _write(paths: Iterable[Path], ini: Path) -> None:
    """Write every one, also where another cannot be written. Raises OutputFailed."""
    failures, release_it = [], with_ini("rebalance go", ini)
    for path in paths:
        # works without Prefect and without the gateway: it must never wait for either
        try:
            write_kill_switch(path, by=_user(), at=datetime.now(UTC))
        except OutputFailed as error:
            failures.append(error)
        else:
            print(f"stopped: wrote {path}; no order is sent until `{release_it}`")  # noqa: T201 - the command's answer
    if failures:
        raise failures[0]


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        return f"user {os.getuid()}"
