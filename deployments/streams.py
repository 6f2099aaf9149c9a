"""Standard output and error that may fail: a pipe without a reader, a full disk, a terminal that was closed.

What cannot be written any more is dropped, and the run goes on: what shows progress never decides about trading.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

STANDARD = ("stdin", "stdout", "stderr")


class LastingStream:
    """A text stream that takes everything: from the first write that fails on, what is written is dropped.

    `lost` is why, "" while all is well.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = ""

    def write(self, text: str) -> int:
        """Write the text, or drop it; its length."""
        with self._dropping_what_fails():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Send on what was written, or drop it."""
        with self._dropping_what_fails():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _dropping_what_fails(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            self.lost = self.lost or getattr(error, "strerror", None) or str(error)
            # its buffer is flushed when the process ends, and must not fail then
            with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())


@contextmanager
def lasting_output() -> Iterator[LastingStream]:
    """Inside the block standard output and error are LastingStreams; yields the one for standard output."""
    before = sys.stdout, sys.stderr
    out, err = (LastingStream(stream) for stream in before)
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        yield out
    finally:
        for stream in (out, err):
            stream.flush()
        sys.stdout, sys.stderr = before


def open_what_is_closed() -> None:
    """Put the null device where a standard stream was closed for us, so that no file or socket takes its place."""
    for number, name in enumerate(STANDARD):
        try:
            os.fstat(number)
        except OSError:
            # the lowest free number is this one
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False, encoding="utf-8"))  # noqa: SIM115 - it lasts as long as the process
