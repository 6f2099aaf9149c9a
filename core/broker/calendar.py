"""The NYSE's regular hours, for venues that are simulated."""

from __future__ import annotations

from datetime import date, datetime

from core.market.hours import NEW_YORK, exchange_sessions
from core.sim.venue.sessions import CLOSED, HoursOf

SATURDAY = 5


def weekday_hours(around: datetime) -> HoursOf:  # noqa: ARG001 - stands where xnys_hours may stand
    """Full hours on every weekday, for a look that trades nothing: the real calendar takes longer than the look."""
    return lambda day: CLOSED if day.weekday() >= SATURDAY else "0930-1600"


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
