"""Log lines of a run where its watchers look: on the Prefect page of the flow run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loguru import logger
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from core.model import RunId

if TYPE_CHECKING:
    from loguru import Message


@contextmanager
def forwarded_to_prefect(run_id: RunId, clean: Callable[[str], str]) -> Iterator[None]:
    """Inside the block, what is logged in this run stands in its log at the server too, as `clean` lets it be seen."""

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
    try:
        yield
    finally:
        logger.remove(sink)
