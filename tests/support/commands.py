"""The `rebalance` command in processes of their own, forked from one that has imported what they need."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from prefect.settings import get_current_settings

DEMO = Path(__file__).parents[2] / "deployments" / "demo"
DEADLINE = 120.0
A_MOMENT = 0.05
IMPORTED = [
    "deployments.cli",
    "deployments.commands.run",
    "deployments.serving.flow_run",
    "flows.rebalance",
    "great_expectations",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "matplotlib.style",
]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(IMPORTED)


class Command:
    """`rebalance` with these arguments, on the server of the test run; what it prints goes to a file or to `output`."""

    def __init__(self, folder: Path, *arguments: object, output: Path | None = None) -> None:
        self.folder = folder
        self._output = output or folder / "printed.txt"
        if output is None:
            self._output.touch()
        arguments = (str(self._output), [str(word) for word in arguments], get_current_settings().api.url)
        self.process = FORKS.Process(target=_main, args=arguments)
        self.process.start()

    @property
    def printed(self) -> str:
        return self._output.read_text(errors="replace")

    def until(self, text: str) -> str:
        """What it printed, once this text is there."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.printed:
            assert self.process.is_alive(), self.printed
            assert time.monotonic() < deadline, self.printed
            self.process.join(A_MOMENT)
        return self.printed

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def ended(self) -> int:
        """Its exit status."""
        self.process.join(DEADLINE)
        assert self.process.exitcode is not None, self.printed
        return self.process.exitcode


@contextmanager
def rebalancing(folder: Path, *arguments: object, output: Path | None = None):
    """`rebalance run --paper` on the demo's files and market in memory; its process has ended after the block."""
    files = ("--csv", DEMO / "portfolios.csv", "--ini", DEMO / "settings.ini", "--broker", "fake")
    command = Command(folder, "run", *files, "--set", f"io.report_dir={folder / 'reports'}", *arguments, output=output)
    try:
        yield command
    finally:
        if command.process.is_alive():
            command.process.kill()
        command.process.join()


def _main(output: str, arguments: list[str], server: str) -> None:
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["PREFECT_API_URL"] = server
    sys.argv = ["rebalance", *arguments]
    from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415 - known in the parent already

    from deployments.cli import main  # noqa: PLC0415

    with temporary_settings({PREFECT_API_URL: server}):
        main()
