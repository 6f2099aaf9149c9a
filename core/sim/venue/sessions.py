"""When the simulated markets are open: the calendar is given, the texts and the instants follow from it.

Stocks and ETFs keep the NYSE's days, with extended hours from 04:00 to 20:00 (to 17:00 on a short day).
Currencies trade from Sunday 17:15 to Friday 17:00 New York, with a break from 17:00 to 17:15.
"""

from __future__ import annotations

from calendar import SATURDAY, SUNDAY
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta

from core.market.hours import TradingSession, exchange_sessions
from core.model import NEW_YORK

CLOSED = "CLOSED"
DAYS_SHOWN = 8
DAYS_SEARCHED = 15
DAY = timedelta(days=1)
GATEWAY_ZONE = "US/Eastern"  # of a gateway in New York; ib_async loses a fill whose zone has a blank in its name

HoursOf = Callable[[date], str]
"""The regular hours of a day in New York as `0930-1600`, or `CLOSED`."""


def weekday_hours(around: datetime) -> HoursOf:  # noqa: ARG001 - the signature of xnys_hours
    """Full hours on every weekday: for runs that trade nothing, as the real calendar takes long to load."""
    return lambda day: CLOSED if day.weekday() >= SATURDAY else "0930-1600"


def xnys_hours(around: datetime) -> HoursOf:
    """The NYSE's regular hours of a day as `0930-1600` or `CLOSED`, holidays and short days included.

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


class Sessions:
    """The sessions of one venue, from a calendar of its regular hours."""

    def __init__(self, hours_of: HoursOf) -> None:
        self._hours_of = hours_of

    def liquid_text(self, first: date) -> str:
        """Regular hours from the day `first` on, as `20260302:0930-20260302:1600;20260303:CLOSED`."""
        return self._text(first, lambda day: self._stock(day, is_extended=False))

    def trading_text(self, first: date) -> str:
        """Extended hours in the same form."""
        return self._text(first, lambda day: self._stock(day, is_extended=True))

    def fx_text(self, first: date) -> str:
        """The currency week in the same form; a session begins the evening before."""
        return self._text(first, _fx)

    def session(self, at: datetime, *, is_fx: bool, is_extended: bool) -> TradingSession | None:
        """The session that `at` lies in, else the next one within two weeks, in UTC; None without one."""
        first = at.astimezone(NEW_YORK).date()
        for day in _days(first, DAYS_SEARCHED):
            found = _fx(day) if is_fx else self._stock(day, is_extended=is_extended)
            if found and at < found[1]:
                return found[0].astimezone(UTC), found[1].astimezone(UTC)
        return None

    def _stock(self, day: date, *, is_extended: bool) -> TradingSession | None:
        regular = self._hours_of(day)
        if regular == CLOSED:
            return None
        opening, closing = regular.split("-")
        if is_extended:
            opening, closing = "0400", "2000" if closing >= "1600" else "1700"
        return _at(day, opening), _at(day, closing)

    def _text(self, first: date, session_of: Callable[[date], TradingSession | None]) -> str:
        return ";".join(_entry(day, session_of(day)) for day in _days(first, DAYS_SHOWN))


def _fx(day: date) -> TradingSession | None:
    if day.weekday() in (SATURDAY, SUNDAY):
        return None
    return _at(day - DAY, "1715"), _at(day, "1700")


def _at(day: date, clock: str) -> datetime:
    return datetime.combine(day, time(int(clock[:2]), int(clock[2:])), NEW_YORK)


def _days(first: date, count: int) -> Iterator[date]:
    return (first + DAY * number for number in range(count))


def _entry(day: date, session: TradingSession | None) -> str:
    if session is None:
        return f"{day:%Y%m%d}:{CLOSED}"
    return f"{session[0]:%Y%m%d:%H%M}-{session[1]:%Y%m%d:%H%M}"
