"""ib_async's own log lines: they show orders and accounts in full, and say nothing that is not told elsewhere."""

from __future__ import annotations

import logging

NAMES = ("ib_async.client", "ib_async.ib", "ib_async.wrapper", "ib_async.Decoder")


def quieten() -> None:
    """Let nothing of ib_async's reach a log."""
    for name in NAMES:
        logging.getLogger(name).disabled = True
