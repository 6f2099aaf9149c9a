"""One module speaks to Great Expectations, so that an upgrade is looked at in one place."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "deployments", "expectations", "flows", "tasks")


def imported(path: Path) -> set[str]:
    """The packages that a module imports when it is run; what only a type checker reads is left out."""
    found = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        waiting += ast.iter_child_nodes(node)
    return found


def test_only_the_library_module_imports_great_expectations():
    modules = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    users = {str(path.relative_to(ROOT)) for path in modules if "great_expectations" in imported(path)}
    assert users == {"expectations/library.py"}
