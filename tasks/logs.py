"""Log lines of a run where its watchers look: on the Prefect page of the flow run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from loguru import logger
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

if TYPE_CHECKING:
    from loguru import Message, Record

_SINKS: list[int] = []


def forward_to_prefect() -> None:
    """Let everything that is logged in a flow run stand in its log at the server; once per process."""
    if not _SINKS:
        _SINKS.append(logger.add(_forward, level="INFO", format="{message}", filter=_of_a_run))


def _of_a_run(record: Record) -> bool:
    return "run_id" in record["extra"]


def _forward(message: Message) -> None:
    record = message.record
    level = min(record["level"].no, logging.ERROR)
    try:
        get_run_logger().log(level, record["message"])
    except MissingContextError:
        return  # not inside a flow run: run.log has the line
