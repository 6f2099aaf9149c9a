"""What the gates of a paper run cost, table by table: the suite and its verdict, warm, in processor time.

Beside it what they cost before: the library's own validation, in which every check is asked for everything.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from functools import partial

from bench.figures import Figure
from gate_cases import GateCase, gate_cases

from expectations.gate import full_result, run_gate

SYMBOLS = 100
REPEATS = 5
MOST_MS = 350


def measure() -> tuple[Figure, ...]:
    """Milliseconds of each gate, the best of five, and of all of them together."""
    cases = gate_cases(SYMBOLS)
    before = {table: _milliseconds(partial(_validate, case)) for table, case in cases.items()}
    spent = {table: _milliseconds(partial(_run, table, case)) for table, case in cases.items()}
    return (
        *(Figure(f"gate {table}, every check asked for everything, ms", ms) for table, ms in before.items()),
        *(Figure(f"gate {table}, ms", ms) for table, ms in spent.items()),
        Figure("all of them, every check asked for everything, ms", sum(before.values())),
        Figure(f"all gates of a run of {SYMBOLS} symbols, ms", sum(spent.values()), MOST_MS),
    )


def _validate(case: GateCase) -> None:
    if not full_result(case.frame, case.suite()).success:
        raise AssertionError("the table is meant to pass")


def _run(table: str, case: GateCase) -> None:
    if faults := run_gate(table, case.frame, case.suite()).faults:
        raise AssertionError(f"the table {table} is meant to pass: {faults}")


def _milliseconds(work: Callable[[], None]) -> float:
    """Of this process's own time, so that what else runs on the machine counts little."""
    return min(timeit.repeat(work, timer=time.process_time, number=1, repeat=REPEATS)) * 1000
