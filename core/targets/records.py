"""Bytes of a CSV file to records with their real line numbers."""

from __future__ import annotations

import csv
import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator

from core.targets.blending import refused

LONGEST_LINE = 10_000


class Records:
    """Iterates over (line, cells): the line on which a record starts, and its trimmed values.

    Blank lines and lines starting with `#` are skipped between records, but belong to a value inside
    quotes. Text that is not readable as CSV ends the iteration, and `fault` gives the line and the reason.
    """

    def __init__(self, text: str) -> None:
        self.fault = ""
        self._lines = enumerate(io.StringIO(text, newline=None), start=1)
        self._start = 0
        self._line = 0
        # csv and not pandas, which reads the symbol NA as a missing value
        self._reader = csv.reader(self._record_lines(), strict=True, skipinitialspace=True)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        return self

    def __next__(self) -> tuple[int, list[str]]:
        if self.fault:
            raise StopIteration
        self._start = 0
        try:
            # only blanks and tabs are trimmed: other white space is a hidden character, and stays to be refused
            return self._start_of(next(self._reader))
        except csv.Error as error:
            self.stop(self._start, f"cannot be read as CSV ({error})")
        raise StopIteration

    def stop(self, line: int, reason: str) -> None:
        """End the iteration; the first reason is kept, for a truncated text has broken quotes as well."""
        self.fault = self.fault or f"line {line}: {reason}"

    def _start_of(self, cells: list[str]) -> tuple[int, list[str]]:
        return self._start, [cell.strip(" \t") for cell in cells]

    def _record_lines(self) -> Iterator[str]:
        for number, line in self._lines:
            if len(line.rstrip("\n")) > LONGEST_LINE:
                self.stop(number, f"is longer than {LONGEST_LINE} characters")
                return
            if not self._start and (not line.strip() or line.lstrip().startswith("#")):
                continue
            self._start = self._start or number
            yield line


def decoded(data: bytes, name: str) -> str:
    """The text of the file. Raises PortfoliosInvalid with the line when it is not UTF-8, or is empty."""
    if _is_utf16(data):
        raise refused(name, [f"{name} is UTF-16 text: save it as CSV UTF-8 in the spreadsheet"])
    if b"\0" in data:
        raise refused(name, [f"{name} line {_line_of(data, data.index(0))}: contains binary data (NUL)"])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused(name, [f"{name} line {_line_of(data, error.start)}: is not UTF-8 text"]) from None
    if not text.strip():
        raise refused(name, [f"{name} is empty"])
    return text


def _is_utf16(data: bytes) -> bool:
    """Whether it begins with UTF-16's byte order mark, or with ASCII in two bytes each."""
    start = data[: 2 * len("portfolio")]
    is_wide = len(start) > 2 and (not any(start[::2]) or not any(start[1::2]))
    return data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or (is_wide and any(start))


def _line_of(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1
