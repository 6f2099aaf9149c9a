"""What the product imports is declared, and what is declared is imported: nothing arrives by way of another package."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
BY_NAME = {"psycopg"}  # SQLAlchemy imports the driver that the address of a database names
PACKAGES = ("core", "deployments", "expectations", "flows", "tasks")


def imported() -> set[str]:
    """The distributions of everything that the product imports, the standard library left out."""
    names: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names.add(node.module.split(".")[0])
    others = names - sys.stdlib_module_names - set(PACKAGES)
    by_name = packages_distributions()
    return {canonicalize_name(by_name[name][0]) for name in others} | BY_NAME


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}


def test_what_is_imported_is_declared_and_the_other_way_round():
    assert imported() == declared()
