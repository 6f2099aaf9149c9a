"""What the gates of a paper run cost, table by table: the suite and its verdict, warm, in processor time."""

from __future__ import annotations

import time
import timeit

from bench.figures import Figure
from gate_cases import GateCase, gate_cases

from expectations.gate import run_gate

SYMBOLS = 100
REPEATS = 5
MOST_MS = 350


def measure() -> tuple[Figure, ...]:
    """Milliseconds of each gate, the best of five, and of all of them together."""
    spent = {table: _milliseconds(table, case) for table, case in gate_cases(SYMBOLS).items()}
    return (
        *(Figure(f"gate {table}, ms", ms) for table, ms in spent.items()),
        Figure(f"all gates of a run of {SYMBOLS} symbols, ms", sum(spent.values()), MOST_MS),
    )


def _milliseconds(table: str, case: GateCase) -> float:
    """Of this process's own time, so that what else runs on the machine counts little."""

    def work() -> None:
        faults = run_gate(table, case.frame, case.suite()).faults
        if faults:
            raise AssertionError(f"the table {table} is meant to pass: {faults}")

    return min(timeit.repeat(work, timer=time.process_time, number=1, repeat=REPEATS)) * 1000
