"""The set-up installs the lock file and nothing else, whatever was released since, and says what to do if it cannot.

The registry here is a local folder with two empty wheels for every locked package, the locked version and a newer one,
both with the real package's requirements. Only setuptools is real, as it builds this project.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
COPIED = (".ci", "core", "deployments", "expectations", "flows", "tasks", "pyproject.toml", "README.md")
BUILT_WITH = "setuptools"
LATE = "late"  # a package of this test alone, which comes to the registry after the others
OBSOLETE = "obsolete"  # a package that an earlier lock file had


def locked(lock: str) -> list[Requirement]:
    """The packages of a lock file that this system and this Python need."""
    lines = [line.rstrip(" \\") for line in (ROOT / lock).read_text().splitlines() if line[:1].isalnum()]
    return [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate()]


def version_of(requirement: Requirement) -> str:
    """The one version that a line of a lock file allows."""
    (specifier,) = requirement.specifier
    return specifier.version


def wheel(registry: Path, name: str, version: str, requires: list[str]) -> str:
    """Puts a wheel without code into the registry; its line of a lock file."""
    distribution_name = name.replace("-", "_")
    path = registry / f"{distribution_name}-{version}-py3-none-any.whl"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(f"{distribution_name}-{version}.dist-info/{file}", text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def repacked(registry: Path, name: str, version: str) -> str:
    """Puts the installed package into the registry as it is; its line of a lock file."""
    path = registry / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in distribution(name).files or []:
            if "__pycache__" not in file.parts and ".." not in file.parts:
                archive.write(file.locate(), file.as_posix())
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def set_up(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the set-up of `make run` from the folder's registry, with settings of pip that ask for other things."""
    demands = folder / "demands.txt"
    demands.write_text("prefect>4\nhttpx>1\n")
    misleading = {"PIP_CONSTRAINT": demands, "PIP_REQUIREMENT": demands, "PIP_TARGET": folder / "elsewhere"}
    misleading |= {"PIP_UPGRADE": "1", "PIP_PRE": "1", "PIP_USER": "1", "PIP_NO_BINARY": ":all:"}
    source = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": folder / "registry"}
    return subprocess.run(
        ["/bin/sh", folder / ".ci" / "setup.sh", "run"],
        env=os.environ | {"PYTHON": sys.executable} | misleading | source | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def pip_of(folder: Path, *arguments: str) -> str:
    """What the pip of the folder's .venv prints when it may look into the folder's registry only."""
    command = [folder / ".venv" / "bin" / "python", "-I", "-m", "pip", *arguments]
    source = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "registry")}
    return subprocess.run(command, env=os.environ | source, capture_output=True, text=True, check=True).stdout


def fill(registry: Path) -> str:
    """Fills the registry with two releases of every locked package; the lock file of the older ones."""
    lines = []
    for each in locked("requirements.lock"):
        version, requires = version_of(each), distribution(each.name).requires or []
        wheel(registry, each.name, f"{Version(version).major + 1}.0", requires)
        real = each.name == BUILT_WITH
        lines.append(repacked(registry, each.name, version) if real else wheel(registry, each.name, version, requires))
    return "".join(lines)


@dataclass
class Tries:
    """A clone of this project in which the set-up was tried until it came to its end, and what each try printed."""

    folder: Path
    unreachable: subprocess.CompletedProcess[str]
    lacking: subprocess.CompletedProcess[str]
    altered: subprocess.CompletedProcess[str]
    complete: subprocess.CompletedProcess[str]
    again: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def tries(tmp_path_factory) -> Tries:
    # half a minute of pip, so every test that uses it is slow; `make test` begins with a set-up in any case
    folder = tmp_path_factory.mktemp("clone")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "reports"))
        else:
            shutil.copy(ROOT / name, folder)
    registry = folder / "registry"
    registry.mkdir()
    wheel(registry, OBSOLETE, "1.0", [])
    lock = wheel(registry, LATE, "1.0", []) + fill(registry)
    for name in ("requirements.lock", "requirements-dev.lock"):
        (folder / name).write_text(lock)

    late = next(registry.glob(f"{LATE}-*"))
    kept = late.rename(folder / late.name)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        index = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        unreachable = set_up(folder, PIP_NO_INDEX="0", PIP_INDEX_URL=index, PIP_RETRIES="1")
    lacking = set_up(folder)
    wheel(registry, LATE, "1.0", ["httpx"])
    altered = set_up(folder)
    kept.rename(late)
    pip_of(folder, "install", OBSOLETE)
    return Tries(folder, unreachable, lacking, altered, set_up(folder), set_up(folder, PIP_FIND_LINKS="/nowhere"))


@pytest.mark.slow
def test_exactly_the_locked_versions_are_installed_though_every_package_has_a_newer_one(tries):
    assert tries.complete.returncode == 0, tries.complete.stdout + tries.complete.stderr
    expected = {each.name: version_of(each) for each in locked("requirements.lock")}
    listed = json.loads(pip_of(tries.folder, "list", "--format=json"))
    installed = {each["name"].lower().replace("_", "-"): each["version"] for each in listed}
    for beside in ("ibkr-rebalancer", "pip", LATE):
        del installed[beside]
    assert installed == expected

    unlocked = pip_of(tries.folder, "install", "--dry-run", "--no-deps", "--upgrade", *expected)
    newer = unlocked.split("Would install ")[1].split()
    assert len(newer) == len(expected)


@pytest.mark.slow
def test_each_phase_is_a_line_and_the_last_says_how_to_type_the_command(tries):
    phases = tries.complete.stdout.splitlines()
    assert [phase.split(":")[0] for phase in phases[:4]] == [f"set-up {n}/4" for n in (1, 2, 3, 4)]
    assert "source .venv/bin/activate" in phases[-1]


@pytest.mark.slow
def test_a_set_up_that_was_broken_off_goes_on_and_a_complete_one_says_and_does_nothing(tries):
    assert "set-up 1/4: making .venv with Python 3." in tries.unreachable.stdout
    assert "set-up 1/4: going on with the .venv that is there" in tries.complete.stdout
    assert (tries.again.returncode, tries.again.stdout, tries.again.stderr) == (0, "", "")


@pytest.mark.slow
def test_a_registry_that_cannot_be_reached_is_reported_as_such(tries):
    assert tries.unreachable.returncode == 1
    assert "the Python package registry cannot be reached" in tries.unreachable.stderr
    assert "HTTPS_PROXY" in tries.unreachable.stderr


@pytest.mark.slow
def test_a_package_that_the_registry_lacks_is_named_with_the_ways_out(tries):
    assert tries.lacking.returncode == 1
    assert f"the package registry has no {LATE}==1.0 for Python 3." in tries.lacking.stderr
    assert "PIP_INDEX_URL" in tries.lacking.stderr


@pytest.mark.slow
def test_a_package_that_is_not_the_locked_one_is_not_installed(tries):
    assert tries.altered.returncode == 1
    assert f"not the one that requirements.lock was made with:\n  {LATE}==1.0\n" in tries.altered.stderr


@pytest.mark.parametrize(
    ("speaks", "what"),
    [("test $1 = --version && echo Python 3.9.2", "is Python 3.9.2"), (None, "there is no ")],
    ids=["old", "missing"],
)
def test_a_python_that_is_missing_or_too_old_is_reported_before_anything_is_made(tmp_path, speaks, what):
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "some-python"
    if speaks:
        python.write_text(f"#!/bin/sh\n{speaks}\n")
        python.chmod(0o755)
    failed = set_up(tmp_path, PYTHON=str(python))
    assert failed.returncode == 1
    assert "Python 3.11 or newer is needed" in failed.stderr
    assert what in failed.stderr
    assert "make run PYTHON=" in failed.stderr
    assert not (tmp_path / ".venv").exists()


def test_what_is_locked_for_running_is_locked_the_same_for_developing():
    assert {str(each) for each in locked("requirements.lock")} <= {
        str(each) for each in locked("requirements-dev.lock")
    }
