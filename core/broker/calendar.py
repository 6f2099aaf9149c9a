"""The NYSE's regular hours, for venues that are simulated."""

from __future__ import annotations

import warnings
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
    from exchange_calendars import get_calendar  # noqa: PLC0415 - brings pandas along, which only rehearsals pay for

    with warnings.catch_warnings():
        # exchange_calendars 4.13 on pandas 3.1 meets this deprecation; the values it reads are right
        warnings.filterwarnings("ignore", message=r"Series\.values returning an ndarray that drops timezone")
        calendar = get_calendar("XNYS", start=str(around - WINDOW), end=str(around + WINDOW))
    sessions = zip(calendar.sessions, calendar.opens, calendar.closes, strict=True)
    return {
        day.date(): f"{opens.tz_convert(NEW_YORK):%H%M}-{closes.tz_convert(NEW_YORK):%H%M}"
        for day, opens, closes in sessions
    }
