"""ib_async's own log lines: they show orders and accounts in full, and say nothing that is not told elsewhere."""

from __future__ import annotations

import logging

from core.masking import mask_accounts

NAMES = ("ib_async.client", "ib_async.ib", "ib_async.wrapper", "ib_async.Decoder")


def quieten() -> None:
    """Let nothing below a warning through, and what is left only for who listens to DEBUG, accounts masked."""
    for name in NAMES:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        if _discreet not in logger.filters:
            logger.addFilter(_discreet)


def _discreet(record: logging.LogRecord) -> bool:
    record.msg, record.args = mask_accounts(record.getMessage()), ()
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return True
