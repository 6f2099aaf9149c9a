"""Log lines of a run on the Prefect page of its flow run, and once on the console."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loguru import logger
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.logging.handlers import PrefectConsoleHandler

from core.model import RunId

if TYPE_CHECKING:
    from loguru import Message, Record
    from rich.console import Console

TASK_RUNS = "prefect.task_runs"
# what loguru itself adds when it is imported
FIRST_SINK = 0


@contextmanager
def forwarded_to_prefect(run_id: RunId, clean: Callable[[str], str]) -> Iterator[None]:
    """Inside the block, what this run logs goes to its log at the server too, cleaned by `clean`.

    Prefect's console shows these lines as well, so loguru's own first sink leaves them out. That console must survive a
    closed pipe: rich would end the process for it, in the middle of trading.
    """

    def forward(message: Message) -> None:
        record = message.record
        level = min(record["level"].no, logging.ERROR)
        try:
            get_run_logger().log(level, clean(record["message"]))
        except MissingContextError:
            return  # not inside a flow run: run.log has the line

    sink = logger.add(
        forward, level="INFO", format="{message}", filter=lambda record: record["extra"].get("run_id") == run_id
    )
    logging.getLogger(TASK_RUNS).addFilter(_is_shown)
    _leave_runs_to_prefect()
    for console in _prefect_consoles():
        console.on_broken_pipe = _ignore  # type: ignore[method-assign]  # a subclass is no choice: they are Prefect's
    try:
        yield
    finally:
        logger.remove(sink)


def _prefect_consoles() -> Iterator[Console]:
    for name in (None, "prefect"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                yield handler.console


def _ignore() -> None:
    """Drop what nobody reads."""


def _leave_runs_to_prefect() -> None:
    if sys.stderr is None:
        return  # closed by the parent process: loguru has no first sink then, and the number is another's
    try:
        logger.remove(FIRST_SINK)
    except ValueError:
        return  # the caller has set up its own sinks
    logger.add(sys.stderr, filter=_is_of_no_run)


def _is_of_no_run(record: Record) -> bool:
    return "run_id" not in record["extra"]


def _is_shown(record: logging.LogRecord) -> bool:
    """False for Prefect's line about a step that returned a failure: we log it, and it ends in `NoneType: None`."""
    return record.exc_info is None or record.exc_info[0] is not None
