"""What a message tells a person to type works as it is typed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("core", "deployments", "expectations", "flows", "tasks")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NEED_SETTINGS = re.compile(r"rebalance (?:stop|go|recover|resolve|report|journal|history)\b[^`;]*")


def texts_in(path: Path) -> Iterator[str]:
    """The strings of a module but its docstrings and what `with_ini` completes; what is filled in is a dot."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    skipped = {
        id(each)
        for node in ast.walk(tree)
        for part in (
            [node.body[0]] if isinstance(node, documented) and ast.get_docstring(node)
            else node.args if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "with_ini"
            else []
        )
        for each in ast.walk(part)
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in skipped:
            skipped |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "." for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def test_a_command_that_needs_the_settings_file_is_written_with_it():
    incomplete = [
        f"{path.relative_to(ROOT)}: {command}"
        for path in FILES
        for text in texts_in(path)
        for command in NEED_SETTINGS.findall(text)
        if "--ini" not in command or ("resolve" in command and "--found" not in command)
    ]
    assert not incomplete
