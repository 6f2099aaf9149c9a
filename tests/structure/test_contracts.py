"""The import contracts hold, and each is seen to report: a gate nobody has seen fail is not a gate."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("core", "deployments", "expectations", "flows", "tasks")
LINT = Path(sys.executable).with_name("lint-imports")

BREAKS = [
    ("From the command down to the core", "core/planning/invalidation.py", "import tasks.app.run"),
    ("Inside the core, and nothing is left out", "core/money.py", "import core.model"),
    ("The core knows neither Prefect nor Great Expectations", "core/market/hours.py", "import prefect"),
    (
        "No module speaks to ib_async or to a database but the one that is for it",
        "core/execution/reader.py",
        "import ib_async",
    ),
    ("The arithmetic is pure", "core/planning/drift.py", "import time"),
    ("Broker and venue know the model, not the plan", "core/sim/venue/margin.py", "import core.planning.drift"),
    ("The real adapter knows no simulator", "core/broker/rate_limit.py", "import core.sim.venue.orders"),
    ("Only wiring and the scenario command choose a broker", "core/execution/reader.py", "import core.broker.fake"),
    ("Flows see no adapter, frame, suite or pandas", "flows/rebalance.py", "import core.frames"),
]


def lint(folder: Path) -> str:
    """What import-linter says of the packages in the folder."""
    said = subprocess.run(
        [LINT, "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The packages and their contracts, to be broken."""
    folder = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "reports"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_all_contracts_are_kept(copy):
    assert "0 broken" in lint(copy)


@pytest.mark.parametrize(("contract", "module", "line"), BREAKS, ids=[contract for contract, _, _ in BREAKS])
def test_a_broken_contract_is_reported(copy, contract, module, line):
    path = copy / module
    text = path.read_text()
    path.write_text(f"{text}\n{line}\n")
    try:
        assert f"{contract} BROKEN" in lint(copy)
    finally:
        path.write_text(text)


def test_every_contract_is_broken_here_once():
    text = (ROOT / "pyproject.toml").read_text()
    assert text.count("[[tool.importlinter.contracts]]") == len(BREAKS)
    for contract, _, _ in BREAKS:
        assert f'name = "{contract}"' in text
