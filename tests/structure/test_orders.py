"""Orders are built in one module and placed by one package: whoever changes how an order looks changes it there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("core", "deployments", "expectations", "flows", "tasks")
# the simulated gateway reads an order from the wire; it does not decide on one
READS_FROM_THE_WIRE = "core/sim/gateway/orders.py"


def modules() -> list[Path]:
    return [path for room in PRODUCT for path in sorted((ROOT / room).rglob("*.py"))]


def calls(source: str, name: str) -> Iterator[int]:
    """Lines of `source` that call `name`, as a plain name or as an attribute of a module or an object."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            if name in (getattr(called, "id", None), getattr(called, "attr", None)):
                yield node.lineno


def callers(name: str, *, allowed: tuple[str, ...]) -> list[str]:
    """`path:line` of every call of `name` in the product outside the paths that begin as `allowed`."""
    return [
        f"{relative}:{line}"
        for path in modules()
        if not (relative := path.relative_to(ROOT).as_posix()).startswith(allowed)
        for line in calls(path.read_text(encoding="utf-8"), name)
    ]


def test_only_execution_orders_builds_an_order():
    assert callers("Order", allowed=("core/execution/orders.py", READS_FROM_THE_WIRE)) == []


def test_only_execution_places_orders():
    # behind the port, brokers and the venue hand an order on under the same name
    assert callers("place", allowed=("core/execution/", "core/broker/", "core/sim/")) == []


def test_the_places_that_are_allowed_are_used():
    assert "core/execution/orders.py" in " ".join(callers("Order", allowed=("core/sim/",)))
    assert "core/execution/stage.py" in " ".join(callers("place", allowed=("core/broker/", "core/sim/")))


@pytest.mark.parametrize("source", ["Order(1)", "model.Order(1)", "def f():\n    return [Order(x) for x in y]"])
def test_a_call_is_found_however_it_is_written(source):
    assert list(calls(source, "Order"))


@pytest.mark.parametrize("source", ["WorkingOrder(1)", "order: Order", "isinstance(x, Order)"])
def test_what_is_no_such_call_is_not_found(source):
    assert list(calls(source, "Order")) == []
