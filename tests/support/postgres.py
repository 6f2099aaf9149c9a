"""A real PostgreSQL on a free port of this machine, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from programs import find, free_port

ACCOUNT = "postgres"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its `address` is `user@host:port`."""

    address: str
    control: Callable[..., None]

    def crash_and_restart(self) -> None:
        """Have it stop without writing anything more, as when its machine fails, and start again."""
        self.control("restart", "-m", "immediate")


@contextmanager
def postgresql_server() -> Iterator[Server]:
    """A server that is stopped, and whose files are removed, when the block ends."""
    initdb = find("postgresql")
    assert initdb is not None
    # it refuses to run as root, and its account may not enter root's folders
    owner = ACCOUNT if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if owner:
        shutil.chown(folder, owner)
    port = free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"

    def control(*arguments: str) -> None:
        command = (str(initdb.with_name("pg_ctl")), "-D", str(folder / "data"), "-w", *arguments)
        subprocess.run(command, user=owner, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=120)

    try:
        control("initdb", "-o", f"-U {ACCOUNT} -A trust --no-sync")
        control("start", "-l", str(folder / "log"), "-o", options)
        try:
            yield Server(f"{ACCOUNT}@127.0.0.1:{port}", control)
        finally:
            control("stop", "-m", "fast")
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of a server, `user@host:port`, for the length of the block."""
    with postgresql_server() as server:
        yield server.address
