"""What `rebalance up` started, for every later command: processes, address and password, in one folder.

::

    <state folder>/service.json   the processes by pid and start, the port
                   password       user:password of the page and the API, readable by its owner alone
                   prefect/       the server's own Prefect home, with its database unless the environment names one
                   server.log  executor.log
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path

import psutil

from core.errors import OutputFailed
from tasks.app.environment import state_folder
from tasks.app.process import Process

HOST = "127.0.0.1"
USER = "rebalance"
# in the environment of everything that `up` starts, and so of the runs that those start
MARK = "REBALANCER_SERVICE"
AUTH_STRING = "PREFECT_SERVER_API_AUTH_STRING"


@dataclass(frozen=True, slots=True)
class Service:
    """The server and the executor that `up` started; `mark` is in the environment of all that they start."""

    port: int
    mark: str
    server: Process | None = None
    executor: Process | None = None

    @property
    def page(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.page}/api"

    @property
    def has_server(self) -> bool:
        return self.find(self.server) is not None

    @property
    def has_executor(self) -> bool:
        return self.find(self.executor) is not None

    def find(self, process: Process | None) -> psutil.Process | None:
        """The server or the executor, while it runs; after a restart of the computer its pid may be another's."""
        found = process.find() if process is not None and process.is_here else None
        return found if found is not None and _mark_of(found) == self.mark else None

    def marked(self) -> list[psutil.Process]:
        """Every process of this service that still runs: server, executor, and runs that outlived their executor."""
        return [each for each in psutil.process_iter() if _mark_of(each) == self.mark]

    def client_environment(self) -> dict[str, str]:
        """What a process needs in its environment to use the server."""
        return {"PREFECT_API_URL": self.api_url, "PREFECT_API_AUTH_STRING": password()}


def new_service(port: int) -> Service:
    """A service that has no process yet."""
    return Service(port, secrets.token_hex(8))


def read_service() -> Service | None:
    """What `up` recorded; None when nothing is recorded, or when it cannot be read."""
    try:
        recorded = json.loads(_file("service.json").read_text(encoding="utf-8"))
        processes = (Process.parse(recorded[name]) for name in ("server", "executor"))
        return Service(recorded["port"], recorded["mark"], *processes)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def record_service(service: Service) -> None:
    """Record it for later commands. Raises OutputFailed."""
    recorded = {"port": service.port, "mark": service.mark, "server": service.server, "executor": service.executor}
    _write_private("service.json", json.dumps(recorded, indent=2, default=str) + "\n")


def forget_service() -> None:
    """Remove the record of a service of which nothing runs any more."""
    _file("service.json").unlink(missing_ok=True)


def password() -> str:
    """`user:password` of the server that was started last; empty when none was."""
    try:
        return _file("password").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def choose_password() -> str:
    """`user:password` for a server that is about to start: the environment's, else the one kept, else a new one.

    It is kept from then on. Raises OutputFailed when it cannot be.
    """
    kept = password()
    chosen = os.environ.get(AUTH_STRING) or kept or f"{USER}:{secrets.token_urlsafe(24)}"
    if chosen != kept:
        _write_private("password", chosen + "\n")
    return chosen


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one `up` or `down` in at a time; another waits. Raises OutputFailed when the folder cannot be written."""
    try:
        handle = os.open(_folder() / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise _cannot_write(error) from error
    try:
        flock(handle, LOCK_EX)
        yield
    finally:
        flock(handle, LOCK_UN)
        os.close(handle)


def use_lasting_server() -> None:
    """Let Prefect in this process use the server of `up`, unless the environment or its profile names another.

    Without a server of `up` that runs, nothing changes.
    """
    service = read_service()
    if service is None or not service.has_server:
        return
    # importing Prefect takes seconds, and it is needed here only with such a server
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415
    from prefect.settings import get_current_settings  # noqa: PLC0415

    named = get_current_settings().api.url
    if named not in (None, service.api_url):
        return
    for name, value in service.client_environment().items():
        os.environ.setdefault(name, value)
    refresh_global_settings_context()


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def _folder() -> Path:
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    return folder


def _file(name: str) -> Path:
    return state_folder() / name


def _write_private(name: str, text: str) -> None:
    """Replace the file as a whole, so that nobody reads half of it."""
    try:
        path = _folder() / name
        fresh = path.with_name(f".{name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise _cannot_write(error) from error


def _cannot_write(error: OSError) -> OutputFailed:
    return OutputFailed(
        f"the state folder {state_folder()} cannot be written: {error.strerror}",
        next_step="make it writable, or name another with REBALANCER_HOME",
    )
