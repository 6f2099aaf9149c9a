"""Times as a gateway writes them: in UTC, in a named zone, or in a zone of its own that nobody else need know.

`20260611-13:31:08` is UTC; `20260413 15:27:04 US/Eastern` names its zone; `20230224  12:04:56` is the gateway's own, as
is a time whose zone is only known to the gateway's computer (`Central European Standard Time`). How far that one is
from UTC shows in the greeting, which tells what time it is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_TIME = re.compile(r"(\d{8})(-| +)(\d\d:\d\d:\d\d)(?: +(\S.*?))? *")
QUARTER = timedelta(minutes=15)  # every zone is whole quarters of an hour from UTC
UTC_MARK = "-"


class GatewayTimes:
    """MarketReader the times of one connection; `now` is the time of who reads them."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._ahead: timedelta | None = None

    def greet(self, text: str) -> None:
        """Take the time of the greeting, from which follows how far the gateway's own zone is from UTC."""
        found = _TIME.match(text)
        self._ahead = _parsed(found).replace(tzinfo=UTC) - self._now() if found else None

    def clock_was_set(self, gap: timedelta) -> None:
        """The clock by which the greeting was compared has been put forward so far, as it was wrong."""
        if self._ahead is not None:
            self._ahead -= gap

    def utc(self, text: str) -> datetime:
        """The time, in UTC. Raises ValueError where it cannot be told."""
        found = _TIME.fullmatch(text)
        if not found:
            raise ValueError(f"not a time: {text!r}")
        at, zone = _parsed(found), _zone(found[4] or "")
        if found[2] == UTC_MARK:
            return at.replace(tzinfo=UTC)
        if zone:
            return at.replace(tzinfo=zone).astimezone(UTC)
        if self._ahead is None:
            raise ValueError(f"in a zone that is not known: {text!r}")
        return (at - round(self._ahead / QUARTER) * QUARTER).replace(tzinfo=UTC)


def _parsed(found: re.Match[str]) -> datetime:
    return datetime.strptime(f"{found[1]} {found[3]}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007 - its zone is told apart


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, KeyError, OSError):
        return None
