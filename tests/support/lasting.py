"""A real `rebalance up` on a free port and in a folder of its own, for tests that go the user's whole way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psutil
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from programs import free_port

from tasks.app.process import Process
from tasks.app.service import MARK

BIN = Path(sys.executable).parent
DEMO = Path(__file__).parents[2] / "deployments" / "demo"
# a machine that is busy with the rest of the suite takes its time to import everything
DEADLINE = 150.0
LOOK_SECONDS = 0.25
UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def until(condition, seconds=DEADLINE):
    """What the condition gives, as soon as it is true; fails when it is not by then."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s"
        time.sleep(LOOK_SECONDS)
    return found


class Lasting:
    """A home, a port and the demo's files; `up` may be there or not."""

    def __init__(self, folder: Path):
        self.folder = folder / "files"
        shutil.copytree(DEMO, self.folder)
        self.home = folder / "home"
        self.port = free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API")},
            "REBALANCER_HOME": str(self.home),
            "PREFECT_HOME": str(folder / "prefect"),
            "NO_COLOR": "1",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def recorded(self) -> dict:
        return json.loads((self.home / "service.json").read_text())

    @property
    def password(self) -> str:
        return (self.home / "password").read_text().strip()

    @property
    def client_environment(self) -> dict[str, str]:
        """For programs that do not know our state folder."""
        return {**self.environment, "PREFECT_API_URL": self.url, "PREFECT_API_AUTH_STRING": self.password}

    def rebalance(self, *arguments: str, code: int | None = 0, typed: str = "") -> subprocess.CompletedProcess[str]:
        """The command, typed in the folder of the demo's files; `typed` comes from its standard input."""
        return self.program("rebalance", *arguments, code=code, environment=self.environment, typed=typed)

    def program(self, name: str, *arguments: str, code: int | None = 0, environment=None, typed: str = ""):
        """A program of our environment, typed in that folder; it must end with `code`, unless that is None."""
        done = subprocess.run(
            [BIN / name, *arguments],
            cwd=self.folder,
            env=self.client_environment if environment is None else environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done

    @contextmanager
    def beside(self, *arguments: str, environment=None):
        """A program that runs while the block does, and is ended by its id."""
        log = (self.folder / f"{arguments[0].rpartition('/')[2]}.log").open("w+")
        process = subprocess.Popen(
            arguments,
            cwd=self.folder,
            env=self.client_environment if environment is None else environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
                log.close()

    def up(self, *more: str):
        """`rebalance up` with the demo's files, on the simulated broker."""
        files = ("--csv", "portfolios.csv", "--ini", "settings.ini", "--broker", "simulated")
        return self.rebalance("up", "--port", str(self.port), *files, *more)

    def ensure_up(self) -> None:
        """Start what a test before has stopped, if it has."""
        if not (self.home / "service.json").exists() or not all(map(self.has, ("server", "executor"))):
            self.up()

    def has(self, name: str) -> bool:
        """Whether the server or the executor runs."""
        recorded = Process.parse(self.recorded[name])
        return recorded is not None and recorded.runs()

    def status(self, code: int | None = 0) -> dict:
        return json.loads(self.rebalance("status", "--json", code=code).stdout)

    def processes(self) -> list[psutil.Process]:
        """Whatever came of `up` and still runs."""
        mark = self.recorded["mark"]
        return [each for each in psutil.process_iter() if _environment(each).get(MARK) == mark]

    def half(self, name: str) -> psutil.Process:
        """The server or the executor."""
        return psutil.Process(Process.parse(self.recorded[name]).pid)

    @contextmanager
    def client(self):
        settings = {PREFECT_API_URL: self.url, PREFECT_API_AUTH_STRING: self.password}
        with temporary_settings(settings), get_client(sync_client=True) as client:
            yield client

    def start(self, deployment: str, **parameters: str) -> UUID:
        """A run of the deployment, started as the page's Run button does it."""
        with self.client() as client:
            found = client.read_deployment_by_name(deployment)
            return client.create_flow_run_from_deployment(found.id, parameters=parameters).id

    def state(self, run_id: UUID):
        with self.client() as client:
            return client.read_flow_run(run_id).state

    def ended(self, run_id: UUID, seconds=DEADLINE):
        """The state in which the run ends."""
        until(lambda: self.state(run_id).is_final(), seconds)
        return self.state(run_id)

    def waiting(self, run_id: UUID):
        """The run, once it waits for approval."""

        def paused():
            state = self.state(run_id)
            assert not state.is_final(), state.message
            return state.is_paused()

        until(paused)
        with self.client() as client:
            return client.read_flow_run(run_id)


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


@contextmanager
def lasting(folder: Path):
    """A home for `up`; whatever came of it is ended when the block is."""
    own = Lasting(folder)
    try:
        yield own
    finally:
        if (own.home / "service.json").exists():
            left = own.processes()
            own.rebalance("down", code=None)
            for each in left:
                if each.is_running():
                    each.kill()
