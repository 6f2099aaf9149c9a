"""The NYSE's regular hours, for venues that are simulated."""

from __future__ import annotations

from datetime import date, datetime

from core.hours import NEW_YORK, exchange_sessions
from core.sim.sessions import CLOSED, HoursOf


def xnys_hours(around: datetime) -> HoursOf:
    """The regular hours of a day as `0930-1600` or `CLOSED`, holidays and short days included.

    A day more than 40 days from `around` counts as closed.
    """
    sessions = exchange_sessions(around.date())

    def hours(day: date) -> str:
        session = sessions.get(day)
        if session is None:
            return CLOSED
        opens, closes = (moment.astimezone(NEW_YORK) for moment in session)
        return f"{opens:%H%M}-{closes:%H%M}"

    return hours
