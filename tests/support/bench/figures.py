"""What a benchmark prints: one line per figure, with what it must not exceed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one run on one machine, with what it must not exceed or fall short of.

    None of both where it only explains another.
    """

    what: str
    value: float
    most: float | None = None
    least: float | None = None

    @property
    def verdict(self) -> str:
        """In words, as the table shows it."""
        if self.most is not None:
            return f"<= {self.most:g}  {'ok' if self.value <= self.most else 'MISSED'}"
        if self.least is not None:
            return f">= {self.least:g}  {'ok' if self.value >= self.least else 'MISSED'}"
        return ""


def show(title: str, figures: Sequence[Figure]) -> None:
    """Print the figures as a table, then as one line of JSON."""
    lines = [f"{figure.what:55}{figure.value:12.3f}  {figure.verdict}".rstrip() for figure in figures]
    document = json.dumps({figure.what: round(figure.value, 4) for figure in figures}, ensure_ascii=False)
    sys.stdout.write("\n".join([f"\n## {title}", *lines, document, ""]))
    sys.stdout.flush()
