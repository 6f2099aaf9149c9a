"""The table of README.md: every fault has its proof, every proof exists, and it ends with a code of the table."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml
from fault_runs import Row

from core import errors
from core.errors import ExitCode, RebalanceError

TESTS = Path(__file__).parents[1]
FAULTS = 66
LINE = re.compile(r"\| (\d+) \| (.+?) \| ([\d, ]+) \| (.+) \|")


@dataclass(frozen=True)
class Fault:
    """A line of the table: the codes that a run may end with, and what proves it."""

    number: int
    name: str
    codes: frozenset[int]
    proofs: tuple[str, ...]


def table() -> list[Fault]:
    found = [LINE.fullmatch(line) for line in (TESTS / "faults" / "README.md").read_text().splitlines()]
    return [
        Fault(int(number), name, frozenset(map(int, codes.split(", "))), tuple(proofs.split("<br>")))
        for number, name, codes, proofs in (line.groups() for line in found if line)
    ]


def codes_of(proof: str) -> frozenset[int]:
    """The codes that the proof knows of. Raises AssertionError when there is no such proof."""
    place, _, sentence = proof.partition(": ")
    if not sentence:
        golden = TESTS / "golden" / f"{place}.yaml"
        assert (TESTS / f"{place}.yaml").is_file(), f"no scenario {place}"
        return frozenset({yaml.safe_load(golden.read_text())["exit_code"]})
    rows = [row for row in rows_of(place) if row.sentence == sentence] if place.startswith("faults/") else []
    if rows:
        return frozenset(row.code for row in rows)
    return mentioned(module_with(place, sentence))


def module_with(place: str, sentence: str) -> str:
    """The text of the module that has this test: what it ends with may stand in a helper."""
    text = (TESTS / f"{place}.py").read_text()
    name = f"test_{sentence.replace(' ', '_')}"
    found = [each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert name in {each.name for each in found}, f"{place} has no {name}"
    return text


def mentioned(text: str) -> frozenset[int]:
    """The codes that stand in the text: as a number, by name, or as the error that has it; 0 needs no mention."""
    words = set(re.findall(r"\w+", text))
    by_code = {code: {str(int(code)), code.name} for code in ExitCode}
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, RebalanceError) and hasattr(each, "exit_code"):
            by_code[each.exit_code].add(each.__name__)
    return frozenset({0, *(int(code) for code, names in by_code.items() if names & words)})


@cache
def rows_of(place: str) -> tuple[Row, ...]:
    """The rows of all tables of a module of this folder."""
    spec = importlib.util.spec_from_file_location(place.replace("/", "."), TESTS / f"{place}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return tuple(row for value in vars(module).values() if isinstance(value, tuple) for row in _rows(value))


def _rows(table: tuple[object, ...]) -> Iterator[Row]:
    return (each for each in table if isinstance(each, Row))


def test_every_fault_has_a_line():
    assert [fault.number for fault in table()] == list(range(1, FAULTS + 1))


@pytest.mark.parametrize("fault", table(), ids=lambda fault: f"{fault.number} {fault.name}")
def test_a_fault_has_proofs_that_end_with_its_codes(fault):
    known = {int(code) for code in ExitCode}
    assert fault.codes <= known
    proved = [codes_of(proof) & fault.codes for proof in fault.proofs]
    assert all(proved), (
        f"a proof ends with none of {sorted(fault.codes)}: {dict(zip(fault.proofs, proved, strict=True))}"
    )
    assert frozenset().union(*proved) == fault.codes, "a code that nothing proves"


def test_what_is_no_proof_is_noticed():
    with pytest.raises(AssertionError, match="has no test_that_is_not_there"):
        codes_of("faults/test_fault_matrix: that is not there")
    with pytest.raises(AssertionError, match="no scenario"):
        codes_of("scenarios/exit_99")
