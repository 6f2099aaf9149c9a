"""How values look in every report: the decimals of each kind of number, and cells that are harmless.

A number that is not known is None, and its cell is empty, never a zero.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape, unescape

from core.model import Currency
from core.money import HUNDRED, shown

UNKNOWN = "unknown"

_PLAIN_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_NUMBER_FIRST = re.compile(r"([-+]?)(\d*)(.*)", re.DOTALL)
# the order counts: a titled paragraph goes before a plain one and before bold text
_UNFOLDED = (
    (r".*!\[.*\]\(data:.*\n+", ""),
    (r"<details><summary>(.*)</summary>", r"**\1**\n"),
    (r"<p><b>(.*)</b></p>", r"\n\1:\n"),
    (r"<p>(.*)</p>", r"\n\1\n"),
    (r"</?b>", "**"),
    (r"<li>(.*)</li>", r"- \1"),
    (r"</?pre>", "```"),
    (r"</?(?:ul|details|small)>", ""),
    (r"<br>", "  \n"),
)
# what spreadsheets take for the start of a formula, or skip before one
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def money(amount: Decimal | None) -> str:
    """An amount with 2 decimals: `1234.50`."""
    return "" if amount is None else format(shown(amount, 2), "f")


def percent(fraction: Decimal | None) -> str:
    """A fraction in percent with 2 decimals: 0.6 is `60.00`."""
    return "" if fraction is None else format(shown(fraction * HUNDRED, 2), "f")


def bps(value: Decimal | None) -> str:
    """Basis points with 2 decimals: `-12.50`."""
    return "" if value is None else format(shown(value, 2), "f")


def shares(quantity: Decimal | None) -> str:
    """A quantity with up to 4 decimals and no exponent: `10`, `0.0001`."""
    return "" if quantity is None else _shorten(shown(quantity, 4), least=0)


def amount(value: Decimal | None) -> str:
    """An amount as a person reads it: `1,234.50`."""
    return with_commas(money(value))


def grouped(quantity: Decimal | None) -> str:
    """A quantity as a person reads it: `41,925`, `1,000.5`."""
    return with_commas(shares(quantity))


def whole(amount: Decimal) -> str:
    """An amount in whole dollars: `41,925`."""
    return f"{shown(amount, 0):,f}"


def price(value: Decimal | None) -> str:
    """A price or rate with 2 to 5 decimals, so that no tick is rounded away: `250.10`, `1.36505`."""
    return "" if value is None else _shorten(shown(value, 5), least=2)


def utc(moment: datetime | None) -> str:
    """A moment as UTC ISO time to the second: `2026-03-02T20:30:00Z`."""
    if moment is None:
        return ""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def clock(moment: datetime | None) -> str:
    """The time of day of a moment, in UTC to the second: `20:30:00`."""
    return utc(moment)[len("2026-03-02T") : -1]


def in_currency(amount: Decimal | None, currency: Currency) -> str:
    """`1,234.50 CAD`, or unknown."""
    return UNKNOWN if amount is None else with_commas(f"{money(amount)} {currency}")


def with_commas(text: str) -> str:
    """The number at the start of a text as a person reads it: `-12,345.60 USD`; any other text as it is."""
    sign, digits, rest = _NUMBER_FIRST.fullmatch(text).groups()  # type: ignore[union-attr]  # it matches any text
    return f"{sign}{int(digits):,}{rest}" if digits else text


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table as CSV, one line per row; a cell that a spreadsheet would run is written as text, behind a quote."""
    out = io.StringIO()
    # the csv module ends lines with CR LF by default; reports are Unix text
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def plain(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown or HTML would act on."""
    return re.sub(r"([\\|\[`])", r"\\\1", _one_line(text)).replace("<", "&lt;")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> str:
    """A Markdown table whose columns also align in the raw text; those named in `right` are right-aligned.

    Cells are made harmless here, so callers hand over plain text.
    """
    cells = [list(header), *([plain(cell) for cell in row] for row in rows)]
    # a column of a Markdown table needs three dashes below its heading
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*cells, strict=True)]
    is_right = [name in set(right) for name in header]
    rule = ["-" * (width - 1) + ":" if end else "-" * width for width, end in zip(widths, is_right, strict=True)]
    body = [
        [
            cell.rjust(width) if end else cell.ljust(width)
            for cell, width, end in zip(row, widths, is_right, strict=True)
        ]
        for row in cells
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (body[0], rule, *body[1:]))


def aligned(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The cells as aligned lines, the first column to the left, numbers to the right.

    Columns stand two blanks apart, or one where a line would be wider than `width` characters. A row of one cell is
    a title.
    """
    widths = [max(map(len, column)) for column in zip(*(row for row in rows if len(row) > 1), strict=True)]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= width else " "
    lines = (
        # a title has fewer cells than there are columns
        gap.join((first.ljust(widths[0]), *(cell.rjust(wide) for cell, wide in zip(numbers, widths[1:], strict=False))))
        for first, *numbers in rows
    )
    return [line.rstrip() for line in lines]


def code(lines: Iterable[str]) -> str:
    """The lines as they are, which no page wraps; empty without any."""
    listed = [line.replace("`", "'") for line in lines]
    return "\n".join(("```", *listed, "```")) if listed else ""


def shortened(text: str, length: int) -> str:
    """The text, truncated with `…` where it is longer than `length`."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def bullets(lines: Iterable[str]) -> str:
    """A Markdown list, one harmless line each."""
    return "\n".join(f"- {plain(line)}" for line in lines)


def document(*blocks: str) -> str:
    """The blocks that are not empty, one blank line apart, with a newline at the end."""
    return "\n\n".join(filter(None, blocks)) + "\n"


def section(title: str, *blocks: str) -> str:
    """A second-level heading over its blocks; empty when they all are."""
    filled = [block for block in blocks if block]
    return "\n\n".join((f"## {title}", *filled)) if filled else ""


def folded(title: str, *blocks: str) -> str:
    """The blocks, which are HTML, behind a line that opens them; empty when they all are.

    It is one block of HTML without an empty line: one of Prefect's pages folds nothing else.
    """
    filled = [block for block in blocks if block]
    return "\n".join((f"<details><summary>{title}</summary>", *filled, "</details>")) if filled else ""


def unfolded(text: str) -> str:
    """The text with everything that `folded` hides in sight, as Markdown alone, for a terminal."""
    for tag, mark in _UNFOLDED:
        text = re.sub(tag, mark, text)
    return unescape(text)


def html_list(lines: Iterable[str], title: str = "") -> str:
    """The lines as a list of HTML under its title; empty without any."""
    items = [f"<li>{_html(line)}</li>" for line in lines]
    head = [f"<p><b>{title}</b></p>"] if title else []
    return "\n".join((*head, "<ul>", *items, "</ul>")) if items else ""


def html_code(lines: Iterable[str]) -> str:
    """The lines as they are, in HTML; empty without any."""
    listed = [escape(line, quote=False) for line in lines]
    return "\n".join(("<pre>", *listed, "</pre>")) if listed else ""


def html_lines(lines: Iterable[str]) -> str:
    """A paragraph of HTML, a line each; what stands in `**` is bold."""
    bold = (re.sub(r"[*]{2}(.+?)[*]{2}", r"<b>\1</b>", _html(line)) for line in lines)
    return f"<p>{'<br>'.join(bold)}</p>"


def small(*blocks: str) -> str:
    """The blocks, which are HTML, in small print; like `folded`, one block of HTML without an empty line."""
    return "\n".join(("<small>", *filter(None, blocks), "</small>"))


def _shorten(value: Decimal, *, least: int) -> str:
    whole, _, decimals = format(value, "f").partition(".")
    # never normalize(): it writes 1000 as 1E+3
    kept = decimals.rstrip("0").ljust(least, "0")
    return f"{whole}.{kept}" if kept else whole


def _harmless(cell: str) -> str:
    # on one line, as a bare carriage return would start a new row, and a formula could be its first cell
    line = _one_line(cell)
    is_formula = cell.startswith(_FORMULA_STARTS) or line.startswith(_FORMULA_STARTS)
    return f"'{line}" if is_formula and not _PLAIN_NUMBER.fullmatch(line) else line


def _html(text: str) -> str:
    return escape(_one_line(text), quote=False)


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
