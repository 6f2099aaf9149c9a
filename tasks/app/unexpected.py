"""What nobody foresaw, as a failure like any other: one line, and the place in the code for whoever repairs it."""

from __future__ import annotations

import traceback

from core.errors import RebalanceError


def unexpected(error: BaseException, next_step: str) -> RebalanceError:
    """The failure with code 70 that stands for `error`, with the file and line that raised it."""
    where = ""
    for frame in traceback.extract_tb(error.__traceback__)[-1:]:
        where = f" ({frame.filename.rpartition('/')[2]}:{frame.lineno})"
    text = " ".join(str(error).split())
    return RebalanceError(f"unexpected: {type(error).__name__}: {text}{where}", next_step=next_step)
