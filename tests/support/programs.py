"""Programs that some tests need beside Python: where they are, what installs them, and a port for them."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Program:
    """The names a program goes by, the folders outside PATH where it may lie, and Debian's package of it."""

    names: tuple[str, ...]
    package: str
    folders: str = ""  # a pattern below /


PROGRAMS = {
    "chromium": Program(("chromium", "chromium-browser", "google-chrome"), "chromium"),
    # Debian keeps what makes and runs a database cluster out of PATH
    "postgresql": Program(("initdb",), "postgresql", "usr/lib/postgresql/*/bin"),
    "strace": Program(("strace",), "strace"),
    "systemd-analyze": Program(("systemd-analyze",), "systemd"),
}


def find(program: str) -> Path | None:
    """The program's executable (for postgresql `initdb`, beside which `postgres` lies); None where it is missing."""
    known = PROGRAMS[program]
    beside = sorted(Path("/").glob(known.folders), reverse=True) if known.folders else []
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, beside)])
    found = [executable for name in known.names if (executable := shutil.which(name, path=path))]
    return Path(found[0]) if found else None


def needs(program: str) -> pytest.MarkDecorator:
    """Skips a test where the program is missing, saying how to install it: `@needs("chromium")`."""
    command = f"apt-get install {PROGRAMS[program].package}"
    return pytest.mark.skipif(find(program) is None, reason=f"{program} is not installed: {command}")


@dataclass(frozen=True)
class Script:
    """A package of npm, and the file of it that a page loads."""

    package: str
    file: str


SCRIPTS = {"axe-core": Script("axe-core@4.14.1", "axe.min.js")}
# beside the packages of Python, which `make clean` removes too
SCRIPTS_FOLDER = Path(sys.prefix) / "npm"


def find_script(name: str) -> Path | None:
    """The file of this package; None where it is missing."""
    path = SCRIPTS_FOLDER / "node_modules" / name / SCRIPTS[name].file
    return path if path.is_file() else None


def needs_script(name: str) -> pytest.MarkDecorator:
    """Skips a test where the package is missing, saying how to install it."""
    command = f"npm install --prefix {SCRIPTS_FOLDER} {SCRIPTS[name].package}"
    return pytest.mark.skipif(find_script(name) is None, reason=f"{name} is not installed: {command}")


def free_port() -> int:
    """A port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
