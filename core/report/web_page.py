"""report.html and its parts: what a page is made of, and the templates that write it.

A page is one file that asks nothing of any other computer: style and charts are in it, and there is no script. Its
templates escape every text; only the charts, which are ours, go in as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from core.report.columns import Column, Columns, Row, headings, readings

if TYPE_CHECKING:
    from jinja2 import Environment

    from core.model import Plan

# as much as leaves room for a column of numbers beside it on a phone
_ONE_LINE = 26
_MOST_ROWS = 40


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of a page: a heading and an alignment for each column, and texts; the last row may be that of totals.

    `about` names it for those who do not see it.
    """

    about: str
    headings: tuple[str, ...]
    is_number: tuple[bool, ...]
    rows: Sequence[Sequence[str]]
    has_total: bool = False

    @property
    def is_long(self) -> bool:
        """Whether it scrolls in a window of its own, so that what follows it is not far away."""
        return len(self.rows) > _MOST_ROWS

    @property
    def styles(self) -> tuple[str, ...]:
        """The style of each column: `n` for numbers, `t` for texts that may wrap; what is short stays on one line."""
        columns = zip(*self.rows, strict=True)
        longest = [max(map(len, column)) for column in columns]
        return tuple(
            " ".join(("n",) * is_number + ("t",) * (length > _ONE_LINE))
            for is_number, length in zip(self.is_number, longest, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Key:
    """What a mark of a chart means: `mark` is the name of its style."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: `svg`, what each of its marks means, and `alternative`, the same in text. `note` stands below it."""

    title: str
    svg: str
    keys: tuple[Key, ...]
    alternative: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class PageSection:
    """A part of a page under its title; one without any content is left out."""

    title: str
    texts: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    grids: tuple[Grid, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in links."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @property
    def has_many_lines(self) -> bool:
        """Whether its lines scroll in a window of their own, as long tables do."""
        return len(self.lines) > _MOST_ROWS

    @property
    def is_empty(self) -> bool:
        return not (self.texts or self.charts or self.lines or any(grid.rows for grid in self.grids))


def grid_of(about: str, columns: Columns[Row], rows: Iterable[Row], plan: Plan | None = None) -> Grid:
    """The rows as people read them, under the columns' titles; the totals of `plan` last, if it is given."""
    every: Sequence[Column[Row]] = tuple(columns)
    cells = readings(every, rows, plan)
    return Grid(about, headings(every), tuple(column.is_number for column in every), cells, plan is not None)


def figures_grid(about: str, figures: Iterable[tuple[str, str]]) -> Grid:
    """Names with their values to the right."""
    return Grid(about, (about, "value"), (False, True), [tuple(figure) for figure in figures])


def render(template: str, sections: Iterable[PageSection], **parts: Any) -> str:
    """The page of this template, with the sections that have any content."""
    filled = [section for section in sections if not section.is_empty]
    return _templates().get_template(template).render(sections=filled, **parts) + "\n"


@cache
def _templates() -> Environment:
    # a command that writes no page need not wait for it
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=PackageLoader("core.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
