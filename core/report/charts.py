"""Charts as SVG for a page: drift, weights, orders, and figures over time; by matplotlib, which is imported to draw.

A chart is a picture of numbers that stand in a table beside it, and has no text but symbols and numbers. Its colours
can be told apart by colour-blind people (Okabe and Ito), and what they tell is in the shape of the marks as well. The
ink is one colour, which the page replaces by its own, in the light and in the dark. The same numbers give the same
text, byte for byte: no date, no random names.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#222222"
FAINT = "#999999"
BLUE = "#0072b2"
VERMILLION = "#d55e00"
GREEN = "#009e73"
PURPLE = "#cc79a7"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE)

# points, which the page shows as pixels on a phone, so that its numbers can be read there
WIDTH = 372.0
_ROW = 18.0
_MARGIN = 24.0
_LABELS = 78.0
_RIGHT = 12.0
_POINTS = 72.0
_PICTURE_WIDTH = 560.0  # pixels
_HISTORY_ROWS = 8
_MARKS = "osD^"
_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ibkr-rebalancer",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}
_STYLED = Lock()
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True, slots=True)
class DriftMark:
    """One symbol's drift in bps, positive for overweight; `after` is None where it is not known."""

    symbol: str
    before: float
    after: float | None


@dataclass(frozen=True, slots=True)
class WeightMark:
    """One symbol's weights in %; `after` is None where it is not known."""

    symbol: str
    target: float
    before: float
    after: float | None


@dataclass(frozen=True, slots=True)
class OrderMark:
    """One order: seconds from the first order to its sending and to each fill, and prices as cost in bps of the mid.

    `limit` is None for a market order and, like `prices`, where the mid is not known.
    """

    name: str
    sent: float
    fills: tuple[float, ...]
    limit: float | None
    prices: tuple[float, ...]


def drift_chart(marks: Sequence[DriftMark], band: float | None) -> str:
    """A row for each symbol: hollow its drift before, full after, and the band shaded, in bps."""
    with _drawing(len(marks)) as figure:
        axes = _rows(figure, [mark.symbol for mark in marks], (_LABELS, WIDTH - _RIGHT))
        if band:
            axes.axvspan(-band, band, color=GREEN, alpha=0.22, linewidth=0)
        axes.axvline(0, color=INK, linewidth=0.8)
        known = [(row, mark.before, mark.after) for row, mark in enumerate(marks) if mark.after is not None]
        axes.hlines(*_columns(known), color=FAINT, linewidth=1.5)
        axes.plot([after for _, _, after in known], [row for row, _, _ in known], "o", color=BLUE, markersize=6)
        _hollow(axes, [mark.before for mark in marks])
        return _svg(figure)


# the approval, its artifacts and the report of a run may all show the same figures
@lru_cache(maxsize=4)
def weights_chart(marks: tuple[WeightMark, ...]) -> str:
    """A row for each symbol: a bar for its weight after, hollow the one before, and a line at the target, in %."""
    with _drawing(len(marks)) as figure:
        axes = _rows(figure, [mark.symbol for mark in marks], (_LABELS, WIDTH - _RIGHT))
        axes.barh(range(len(marks)), [mark.after or 0.0 for mark in marks], height=0.5, color=BLUE, alpha=0.65)
        _lines(axes, [(row, mark.target) for row, mark in enumerate(marks)])
        _hollow(axes, [mark.before for mark in marks])
        axes.set_xlim(left=0)
        return _svg(figure)


def orders_chart(marks: Sequence[OrderMark]) -> str:
    """A row for each order: to the left when it was sent and filled, to the right its prices against the mid."""
    with _drawing(len(marks), extra=20) as figure:
        middle = _LABELS + (WIDTH - _LABELS) * 0.52
        times = _rows(figure, [mark.name for mark in marks], (_LABELS + 22, middle - 4))
        costs = _rows(figure, [""] * len(marks), (middle + 16, WIDTH - _RIGHT))
        times.set_xlabel("seconds")
        costs.set_xlabel("cost against mid, bps")
        costs.axvline(0, color=INK, linewidth=0.8)
        ends = [(row, mark.sent, max((mark.sent, *mark.fills))) for row, mark in enumerate(marks)]
        times.hlines(*_columns(ends), color=FAINT, linewidth=1.5)
        _hollow(times, [mark.sent for mark in marks])
        _full(times, [mark.fills for mark in marks])
        _full(costs, [mark.prices for mark in marks])
        _lines(costs, [(row, mark.limit) for row, mark in enumerate(marks) if mark.limit is not None])
        return _svg(figure)


def _columns(rows: Sequence[tuple[int, float, float]]) -> tuple[list[int], list[float], list[float]]:
    return [row for row, _, _ in rows], [start for _, start, _ in rows], [end for _, _, end in rows]


def _hollow(axes: Axes, values: Sequence[float]) -> None:
    """A hollow mark in each row."""
    rows = range(len(values))
    axes.plot(values, rows, "o", mfc="none", mec=INK, markersize=7, markeredgewidth=1.3, clip_on=False)


def _full(axes: Axes, rows: Sequence[Sequence[float]]) -> None:
    """Full marks, any number in each row."""
    marks = [(value, row) for row, values in enumerate(rows) for value in values]
    axes.plot([value for value, _ in marks], [row for _, row in marks], "o", color=BLUE, markersize=5)


def _lines(axes: Axes, marks: Sequence[tuple[int, float]]) -> None:
    """An upright line in each of these rows."""
    rows, values = [row for row, _ in marks], [value for _, value in marks]
    tops, bottoms = [row - 0.42 for row in rows], [row + 0.42 for row in rows]
    axes.vlines(values, tops, bottoms, color=VERMILLION, linewidth=2.4)


def history_chart(times: Sequence[datetime], series: Sequence[Sequence[float | None]]) -> str:
    """Figures over time, a line with marks of its own shape for each of up to four series; None leaves a gap."""
    from matplotlib import dates  # noqa: PLC0415

    with _drawing(_HISTORY_ROWS) as figure:
        height = figure.get_figheight() * _POINTS
        tall = _HISTORY_ROWS * _ROW / height
        axes = figure.add_axes((_LABELS / WIDTH, 1 - tall, 1 - (_LABELS + _RIGHT) / WIDTH, tall))
        axes.grid(axis="y", color=FAINT, linewidth=0.4, alpha=0.5)
        axes.yaxis.set_major_formatter(_number)
        days = [float(dates.date2num(time)) for time in times]  # type: ignore[no-untyped-call]
        for values, colour, mark in zip(series, SERIES, _MARKS, strict=False):
            numbers = [math.nan if value is None else value for value in values]
            axes.plot(days, numbers, f"-{mark}", color=colour, markersize=6, linewidth=1.2, clip_on=False)
        locator = dates.AutoDateLocator(minticks=2, maxticks=4, tz=UTC)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        named = dates.AutoDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(named)
        # a single day would be spread over years
        axes.set_xlim(min(days) - 1, max(days) + 1)
        lowest = min((value for values in series for value in values if value is not None), default=0.0)
        axes.set_ylim(bottom=min(0.0, lowest * 1.1))
        return _svg(figure)


def picture(svg: str) -> str:
    """The chart as an image of its own, on white whatever is around it: a `data:` address.

    It is as wide as most places for an image are, and `WIDTH` of its points stay as wide as a phone.
    """
    head, size, rest = svg.partition("viewBox=")
    width, height = (float(number) for number in rest.split('"')[1].split()[2:])
    scale = _PICTURE_WIDTH / width
    sized = f'{head}width="{_PICTURE_WIDTH:.0f}" height="{height * scale:.0f}" {size}{rest}'
    opening, end, drawing = sized.partition(">")
    white = '<rect width="100%" height="100%" fill="#ffffff"/>'
    text = f"{opening}{end}{white}{drawing}".replace("'DejaVu Sans'", "'DejaVu Sans', sans-serif")
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}"


def drawn(draw: Callable[[], str]) -> str:
    """What `draw` draws; empty where matplotlib cannot be loaded, or has no place for what it keeps of fonts.

    The report of a run that traded must be written whatever else is broken, and its numbers stand beside the chart.
    """
    try:
        return draw()
    except (ImportError, OSError):
        return ""


@contextmanager
def _drawing(rows: int, *, extra: float = 0.0) -> Iterator[Figure]:
    """An empty figure with room for so many rows, and so many points more, in our style alone; one at a time."""
    # most of a second, which only whoever writes a page has to wait for
    from matplotlib import style  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    # not by pyplot, which keeps figures and looks for a screen; from the defaults, whatever a matplotlibrc says
    # the style is the process's, and reports are written in threads
    with _STYLED, style.context(["default", dict(_STYLE)]):
        yield Figure(figsize=(WIDTH / _POINTS, (rows * _ROW + _MARGIN + extra) / _POINTS))


def _rows(figure: Figure, names: Sequence[str], across: tuple[float, float]) -> Axes:
    """Axes between two points from the left, with a row for each name from the top down."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    height, (left, right) = figure.get_figheight() * _POINTS, across
    tall = len(names) * _ROW / height
    axes = figure.add_axes((left / WIDTH, 1 - tall, (right - left) / WIDTH, tall))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, pad=6)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(_number)
    axes.grid(axis="x", color=FAINT, linewidth=0.4, alpha=0.5)
    return axes


def _number(value: float, _: float) -> str:
    return f"{value:,.6g}".replace("-", "−") if abs(value) < 100_000 else f"{value:,.0f}".replace("-", "−")


def _svg(figure: Figure) -> str:
    """The figure as an element of a page: no header, no style of its own, and no names but those it refers to."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata=_NO_METADATA)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    # several stand on one page, where a name may stand once and a style would hold for all of it
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[\w.]+_\d+"', "", text)
    # as wide as the page lets it be
    head, end, rest = text.partition(">")
    return re.sub(r' (?:width|height)="[^"]*"', "", head) + end + rest
