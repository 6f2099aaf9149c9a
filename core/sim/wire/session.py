"""Answers about the session itself: the handshake, its accounts and ids, the time, and errors."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from core.model import NEW_YORK
from core.sim.wire.frames import SERVER_VERSION, Fields, epoch

SYSTEM = -1


def server_version(at: datetime, version: int = SERVER_VERSION) -> Fields:
    """The server's handshake: the version spoken from here on, and since when the session is open."""
    return str(version), f"{at.astimezone(NEW_YORK):%Y%m%d %H:%M:%S %Z}"


def managed_accounts(accounts: Iterable[str]) -> Fields:
    """The accounts of the user (15)."""
    return "15", "1", ",".join(accounts)


def next_valid_id(order_id: int) -> Fields:
    """The first order id that the client may use (9)."""
    return "9", "1", str(order_id)


def current_time(at: datetime) -> Fields:
    """The time at the broker (49)."""
    return "49", "1", epoch(at)


def error(subject_id: int, code: int, text: str) -> Fields:
    """An error or a notice (4) on a request or an order; `SYSTEM` as the subject is everybody's."""
    return "4", "2", str(subject_id), str(code), text, ""
