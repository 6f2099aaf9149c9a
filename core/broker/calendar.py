"""The NYSE's regular hours, for venues that are simulated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache

from core.sim.sessions import CLOSED, HoursOf

WINDOW = timedelta(days=40)
NEW_YORK = "America/New_York"


def xnys_hours(around: datetime) -> HoursOf:
    """The regular hours of a day as `0930-1600` or `CLOSED`, holidays and short days included.

    A day more than 40 days from `around` counts as closed.
    """
    hours = _hours(around.date())
    return lambda day: hours.get(day, CLOSED)


@lru_cache(maxsize=64)
def _hours(around: date) -> Mapping[date, str]:
    # costs 0.3 s, and only rehearsals need it
    from exchange_calendars import get_calendar  # noqa: PLC0415

    calendar = get_calendar("XNYS", start=str(around - WINDOW), end=str(around + WINDOW))
    sessions = zip(calendar.sessions, calendar.opens, calendar.closes, strict=True)
    return {
        day.date(): f"{opens.tz_convert(NEW_YORK):%H%M}-{closes.tz_convert(NEW_YORK):%H%M}"
        for day, opens, closes in sessions
    }
