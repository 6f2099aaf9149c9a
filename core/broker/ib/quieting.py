"""ib_async's own log lines: they show orders and accounts in full, and say nothing that is not told elsewhere."""

from __future__ import annotations

import logging

from loguru import logger as run_log

from core.masking import mask_accounts

NAMES = ("ib_async.client", "ib_async.ib", "ib_async.wrapper", "ib_async.Decoder")


def quieten() -> None:
    """Let warnings through only, to our own log at DEBUG with accounts masked."""
    for name in NAMES:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        if _diverted not in logger.filters:
            logger.addFilter(_diverted)


def _diverted(record: logging.LogRecord) -> bool:
    run_log.debug("{}: {}", record.name, mask_accounts(record.getMessage()))
    return False
