"""What keeps the code readable: short files and functions, and one meaning for each class name."""

from __future__ import annotations

import ast
import subprocess
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("core", "deployments", "expectations", "flows", "tasks")
MOST_LINES_OF_A_FILE = 600
MOST_LINES_OF_A_FUNCTION = 40
MOST_AT_THE_95TH_PERCENTILE = 25

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def lengths(path: Path) -> dict[str, int]:
    """Lines of each function of a file, its docstring not counted."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            found[f"{path.relative_to(ROOT)}:{node.name}"] = (node.end_lineno or 0) - body[0].lineno + 1
    return found


def test_files_fit_in_one_sitting():
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert not {path: count for path, count in lines.items() if count > MOST_LINES_OF_A_FILE}


def test_functions_fit_on_a_screen():
    every = {name: lines for path in FILES for name, lines in lengths(path).items()}
    assert not {name: lines for name, lines in every.items() if lines > MOST_LINES_OF_A_FUNCTION}
    assert sorted(every.values())[int(len(every) * 0.95)] <= MOST_AT_THE_95TH_PERCENTILE


def test_a_class_name_means_one_thing_in_the_whole_project():
    names = Counter(
        node.name for path in FILES for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
    )
    assert not {name: count for name, count in names.items() if count > 1}


def test_the_top_level_holds_only_what_belongs_there():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607 - git of the machine
    top = {line.split("/")[0] for line in tracked.splitlines()}
    allowed = {
        *PACKAGES,
        "tests",
        "README.md",
        "CHANGELOG.md",
        "Makefile",
        "pyproject.toml",
        "requirements.lock",
        "requirements-dev.lock",
    }
    assert {name for name in top if not name.startswith(".")} <= allowed
