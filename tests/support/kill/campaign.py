"""Many cases one after the other, each in a folder of its own, and the table of what came out."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.model import OrderState
from kill.case_run import CaseFailed, play
from kill.cases import Case
from kill.client import END_OF_RUN, ITS_END
from kill.databases import Databases
from kill.oracle import violations

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder that only its owner may read is made in it
COLUMNS = ("cases", "at the point", "violations", "unknown", "absent")


@dataclass(slots=True)
class Table:
    """What came out, by crash point: cases, those killed at the point itself, violations, cases with such orders."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def violations(self) -> int:
        return sum(count["violations"] for count in self.counts.values())

    def lines(self) -> Iterator[str]:
        """The table as text."""
        total: Counter[str] = sum(self.counts.values(), Counter())
        yield f"{'killed at':10}{''.join(f'{name:>14}' for name in COLUMNS)}{'seconds':>10}{'per case':>10}"
        for name, count in [*sorted(self.counts.items()), ("all", total)]:
            seconds = count["milliseconds"] / 1000
            numbers = "".join(f"{count[column]:14}" for column in COLUMNS)
            yield f"{name:10}{numbers}{seconds:10.1f}{seconds / max(count['cases'], 1):10.2f}"


def play_all(cases: Sequence[Case], folder: Path, databases: Databases, table: Table) -> Iterator[str]:
    """Play the cases, add them to the table, and say what is wrong with each."""
    gc.freeze()  # a child that collects would copy every page of its parent
    for number, case in enumerate(cases):
        own = folder / f"{number:04d}"
        own.mkdir()
        count = table.counts.setdefault(case.group, Counter())
        began = time.monotonic()
        found = _play_one(case, own, databases, count)
        count.update(cases=1, violations=len(found), milliseconds=round((time.monotonic() - began) * 1000))
        yield from (f"{case.name}: {text} [{own.name}]" for text in found)
        if not found:
            shutil.rmtree(own)


def _play_one(case: Case, folder: Path, databases: Databases, count: Counter[str]) -> list[str]:
    try:
        played = play(case, folder, databases)
    except CaseFailed as failure:
        return [str(failure)]
    count["unknown"] += bool(played.named(OrderState.UNKNOWN))
    count["absent"] += bool(played.named(OrderState.ABSENT))
    count["at the point"] += played.stopped_at not in (ITS_END, END_OF_RUN)
    return violations(played)


@contextmanager
def folder_for_cases(kept: Path | None) -> Iterator[Path]:
    """A folder for the cases: the given one, else one that goes afterwards, in memory where there is such a place.

    A killed process loses nothing that it has handed to the kernel, so memory does as well as a disk, and is faster.
    """
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    memory = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kill-", dir=memory) as made:
        yield Path(made)
