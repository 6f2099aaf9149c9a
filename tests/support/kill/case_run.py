"""One case from the fork of its gateway to its verdict.

Everything is forked from this process, which has imported what they all need; a process that fails says why in a file.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from kill import client, gateway, recovery
from kill.cases import AtPoint, Case, CrashPoint
from kill.databases import Databases
from kill.oracle import FIRST, KILLED, OVER, SECOND, Played, read_log
from kill.recovery import Recovered

LOG = "gateway.jsonl"
CLIENTS = 4  # the one that trades, a recovery that is killed, and two that are not
LONGEST_SECONDS = 120.0  # real ones, after which a case counts as hanging
DOWNTIME_SECONDS = 300.0
LATER_SECONDS = 3_600.0


class CaseFailed(Exception):
    """A process of the case did not do what it is for; the text says which and why."""


class Processes:
    """The processes of one case; whatever is left of them at the end is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, int] = {}

    def fork(self, name: str, main: Callable[..., None], *arguments: Any) -> None:
        """Start a process that does this and nothing else."""
        pid = os.fork()
        if pid:
            self._running[name] = pid
            return
        status = 1
        try:
            main(*arguments)
            status = 0
        except BaseException:  # noqa: BLE001 - the case's process reports it
            self._error_file(name).write_text(traceback.format_exc())
        finally:
            # no exit handler of the parent may run twice
            os._exit(status)

    def kill(self, name: str) -> None:
        """End it by SIGKILL, and return when it is gone."""
        pid = self._running.pop(name)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def join(self, name: str) -> None:
        """Return when it has ended by itself. Raises CaseFailed where it has failed."""
        _, status = os.waitpid(self._running.pop(name), 0)
        if status:
            raise CaseFailed(self.why(name))

    def why(self, name: str) -> str:
        """What a process says of its failure."""
        path = self._error_file(name)
        return f"the {name} failed: {path.read_text()}" if path.exists() else f"the {name} has ended or hangs"

    def kill_all(self) -> None:
        for name in list(self._running):
            self.kill(name)

    def _error_file(self, name: str) -> Path:
        return self._folder / f"{name.replace(' ', '-')}.error"


class GatewayControl:
    """The gateway's process as the case sees it."""

    def __init__(self, processes: Processes, channel: Connection) -> None:
        self._processes = processes
        self._channel = channel
        self.port: int = self.receive()

    @property
    def channel(self) -> Connection:
        return self._channel

    def do(self, name: str, *arguments: Any) -> None:
        """Have a method of GatewayProcess called, and return when it is done."""
        self._channel.send((name, *arguments))
        answer = self.receive()
        if answer != "done":
            raise CaseFailed(f"the gateway answered {answer!r} to {name}")

    def receive(self) -> Any:
        if not self._channel.poll(LONGEST_SECONDS):
            raise CaseFailed(self._processes.why("gateway"))
        return self._channel.recv()


class CaseRun:
    """A case under way, in a folder of its own. Each client has a pipe to this process and one to the venue's clock."""

    def __init__(self, case: Case, folder: Path, databases: Databases) -> None:
        self._case = case
        self._folder = folder
        self._databases = databases
        self._url = databases.new(folder)
        self._processes = Processes(folder)
        self._pipes: list[tuple[Connection, Connection]] = []

    def play(self) -> Played:
        """Play it to its end. Raises CaseFailed."""
        began = time.monotonic()
        self._pipes = [Pipe() for _ in range(1 + 2 * CLIENTS)]
        try:
            clocks = [self._pipes[1 + CLIENTS + number][0] for number in range(CLIENTS)]
            self._processes.fork(
                "gateway", gateway.main, self._case, self._folder, self._url, self._pipes[0][1], clocks
            )
            control = GatewayControl(self._processes, self._pipes[0][0])
            stopped_at = self._until_killed(control)
            self._kill_a_recovery(control)
            first = self._recover(2, FIRST, control)
            second = self._recover(3, SECOND, control)
            control.do("advance", LATER_SECONDS)
            control.do("stop")
            self._processes.join("gateway")
        finally:
            self._processes.kill_all()
            for pair in self._pipes:
                pair[0].close()
                pair[1].close()
        log = read_log(self._folder / LOG)
        return Played(self._case, log, first, second, stopped_at, time.monotonic() - began)

    def _until_killed(self, control: GatewayControl) -> str:
        """Let the client trade until it is killed, and the downtime pass; where it was killed."""
        arguments = self._case, self._folder, self._url, control.port
        is_at_gateway, stopped_at = self._run(0, "client", control, client.main, *arguments)
        if stopped_at == client.DATABASE:
            self._databases.crash()
            self._pipes[1][0].send("go on")
            is_at_gateway, stopped_at = self._next_report(0, "client", control)
        self._processes.kill("client")
        later = self._case.fills_later
        if is_at_gateway:
            # what fills before its cancel is handled has filled: the fill wins
            if later and self._is_at(CrashPoint.K6):
                control.do("fill", later)
            control.do("go_on")
        control.do("settle")
        control.do("note", "killed")
        if later:
            control.do("fill", later)
        control.do("advance", DOWNTIME_SECONDS)
        control.do("prepare")
        return str(stopped_at)

    def _kill_a_recovery(self, control: GatewayControl) -> None:
        """Let a recovery run until it is killed, if the case says so; it may end before."""
        if self._case.recovery_killed_at is None:
            return
        control.do("note", KILLED)
        control.do("pause_at", self._case.recovery_killed_at)
        is_at_gateway, _ = self._run(1, KILLED, control, recovery.main, self._url, control.port)
        if is_at_gateway:
            self._processes.kill(KILLED)
            control.do("go_on")
        else:
            self._processes.join(KILLED)
        control.do("pause_at", None)
        control.do("settle")
        control.do("note", OVER)

    def _recover(self, number: int, name: str, control: GatewayControl) -> Recovered:
        control.do("note", name)
        _, recovered = self._run(number, name, control, recovery.main, self._url, control.port)
        self._processes.join(name)
        control.do("settle")
        control.do("note", OVER)
        assert isinstance(recovered, Recovered)
        return recovered

    def _run(
        self, number: int, name: str, control: GatewayControl, main: Callable[..., None], *arguments: Any
    ) -> tuple[bool, Any]:
        """Fork it; whether the gateway was the first to report, and the report."""
        reports, clock = self._pipes[1 + number], self._pipes[1 + CLIENTS + number]
        self._processes.fork(name, main, *arguments, (reports[1], clock[1]))
        return self._next_report(number, name, control)

    def _next_report(self, number: int, name: str, control: GatewayControl) -> tuple[bool, Any]:
        reports = self._pipes[1 + number][0]
        ready = wait([reports, control.channel], LONGEST_SECONDS)
        if not ready:
            raise CaseFailed(self._processes.why(name))
        is_at_gateway = control.channel in ready
        return is_at_gateway, control.receive() if is_at_gateway else reports.recv()

    def _is_at(self, point: CrashPoint) -> bool:
        return isinstance(self._case.kill, AtPoint) and self._case.kill.point is point


def play(case: Case, folder: Path, databases: Databases) -> Played:
    """Play a case in this empty folder, on a new journal. Raises CaseFailed."""
    try:
        return CaseRun(case, folder, databases).play()
    finally:
        databases.drop(folder)
