"""Showing progress never decides about trading: a run goes on when a log sink or a screen fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec

from loguru import logger

P = ParamSpec("P")


def show(call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call what shows something to a person; a warning in the log when that fails.

    SystemExit is such a failure too: rich, for one, ends the process when nobody reads its output any more.
    """
    try:
        call(*args, **kwargs)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the run goes on
        log("WARNING", "progress could not be shown: {}: {}", type(error).__name__, error)


def log(level: str, text: str, *values: object, **extra: object) -> None:
    """Write a line into the log, with `extra` bound to it; nothing where a sink fails."""
    with suppress(Exception, SystemExit):
        logger.opt(depth=1).bind(**extra).log(level, text, *values)
