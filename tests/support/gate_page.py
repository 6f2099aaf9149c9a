"""The page of all checks, made from the suites themselves: what a breach is called, its columns, severity, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from inspect import getdoc
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gate_cases import gate_cases

from expectations.rules import RULES

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

HEAD = """# Every check of every gate

Made from the suites by `make goldens`; numbers are those of a run with the usual settings. A breach of a check that is
critical refuses, a warning is shown. A check over several columns is the function named beside it.
"""
TABLES = ("portfolios", "account", "quotes", "plan", "BUY orders", "fills")
COLUMNS = ("column", "column_list", "column_A", "column_B")
WHY = {
    "ExpectFilled": "any other check lets a null pass",
    "ExpectWithin": "what lies outside can only be a mistake of reading or of arithmetic",
    "ExpectInSet": "what is done with anything else is not decided",
    "ExpectMatch": "anything else is no ticker: it might be a formula, or a path",
    "ExpectUnique": "what stands there twice is counted twice, or sent twice",
    "ExpectUniqueTogether": "what stands there twice is counted twice",
    "ExpectNotLess": "a crossed market is no market",
    "ExpectColumnDistinctValuesToContainSet": "its part of the money would go nowhere",
}


def checks_page() -> str:
    """The checks of each gate as tables in Markdown."""
    cases = gate_cases(4)
    return "\n".join([HEAD, *(_section(name, cases[name].suite().expectations) for name in TABLES)])


def _section(name: str, checks: Iterable[Expectation]) -> str:
    rows = [("a breach is called", "columns", "severity", "why"), ("---",) * 4, *_rows(checks)]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"## {name.removeprefix('BUY ')}\n\n{lines}\n"


def _rows(checks: Iterable[Expectation]) -> Iterator[tuple[str, str, str, str]]:
    """A row for each check; those for nulls that stand together share one."""
    for (message, severity, why), same in groupby(checks, _named):
        yield message, ", ".join(column for check in same for column in _columns(check)), severity, why


def _named(check: Expectation) -> tuple[str, str, str]:
    kind, rule = type(check).__name__, check.configuration.kwargs.get("rule")
    message = "a value is missing: no …" if kind == "ExpectFilled" else str(check.description)
    why = f"{' '.join((getdoc(RULES[rule]) or '').split())} `{rule}`" if rule else check.notes or WHY[kind]
    return message, str(getattr(check.severity, "value", check.severity)), why


def _columns(check: Expectation) -> Iterator[str]:
    asked: dict[str, Any] = check.configuration.kwargs
    for name in COLUMNS:
        value = asked.get(name, ())
        yield from [value] if isinstance(value, str) else value
