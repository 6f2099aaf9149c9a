"""The import contracts hold, and each is seen to report: a gate nobody has seen fail is not a gate."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import Contract
from importlinter.api import read_configuration
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

CONFIGURATION = read_configuration(str(Path(__file__).parents[2] / "pyproject.toml"))
CONTRACTS: dict[str, dict[str, Any]] = {each["name"]: each for each in CONFIGURATION["contracts_options"]}
TYPES: dict[str, type[Contract]] = {
    each.type_name: each for each in (AcyclicSiblingsContract, ForbiddenContract, LayersContract, ProtectedContract)
}

# one import for each contract that must not be there
BREAKS = [
    ("From the command down to the core", "core.planning.invalidation", "tasks.app.run"),
    ("Inside the core, and nothing is left out", "core.money", "core.model.types"),
    ("No cycles", "core.money", "core.planning.planner"),
    ("The core knows neither Prefect nor Great Expectations", "core.market.hours", "prefect"),
    ("No module speaks to ib_async or to a database but the one that is for it", "core.frames", "ib_async"),
    ("The arithmetic is pure", "core.planning.drift", "time"),
    ("Broker and venue know the model, not the plan", "core.sim.venue.margin", "core.planning.drift"),
    ("The real adapter knows no simulator", "core.broker.rate_limit", "core.sim.venue.orders"),
    ("Only wiring and the scenario command choose a broker", "core.execution.reader", "core.broker.fake"),
    ("Flows see no adapter, frame, suite or pandas", "flows.rebalance", "core.frames"),
]


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """Every import of the product."""
    options = CONFIGURATION["session_options"]
    return grimp.build_graph(*options["root_packages"], include_external_packages=True, cache_dir=None)


def is_kept(name: str, imports: grimp.ImportGraph) -> bool:
    """Whether the contract of that name holds for these imports."""
    options = CONTRACTS[name]
    contract = TYPES[options["type"]](name, CONFIGURATION["session_options"], options)
    return contract.check(deepcopy(imports), verbose=False).kept


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_is_kept(imports, name):
    assert is_kept(name, imports)


@pytest.mark.parametrize(("name", "importer", "imported"), BREAKS, ids=[name for name, _, _ in BREAKS])
def test_a_broken_contract_is_reported(imports, name, importer, imported):
    broken = deepcopy(imports)
    if imported not in broken.modules:
        broken.add_module(imported, is_squashed=True)
    broken.add_import(importer=importer, imported=imported)
    assert not is_kept(name, broken)


def test_every_contract_is_broken_here_once():
    assert list(CONTRACTS) == [name for name, _, _ in BREAKS]
