"""Whether a symbol may trade now: the broker's own hours checked against the exchange's calendar.

The broker gives its hours as text, in the time zone of the contract:

- ``20261123:0930-20261123:1600;20261128:CLOSED``, sessions by ``;`` or ``,``
- ``20261123:0930-1600`` and ``20090507:0700-1830,1830-2330``, the older short form

A text that cannot be read in full is never guessed at: it is a reason not to trade. A start is inside
its session, an end is not.
"""

from __future__ import annotations

import re
import warnings
from calendar import FRIDAY, SATURDAY, SUNDAY
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from core.model import NEW_YORK, Contract

TradingSession = tuple[datetime, datetime]
"""Start and end of a session, both aware; here in UTC."""

# the broker's names for New York; the zone files know EST only as a fixed offset without summer time
NEW_YORK_NAMES = frozenset({NEW_YORK.key, "EST", "EDT", "EST5EDT", "US/Eastern"})
LONGEST_SESSION = timedelta(days=1)
CALENDAR = "XNYS"
CALENDAR_MARGIN = timedelta(days=40)

FX_OPEN = time(17, 15)
FX_CLOSE = time(17, 0)

_RANGE = re.compile(
    r"(?:(?P<day>[0-9]{8}):)?(?P<start>[0-9]{4})-(?:(?P<end_day>[0-9]{8}):)?(?P<end>[0-9]{4})",
)
_CLOSED = re.compile(r"(?P<day>[0-9]{8}):CLOSED")


@dataclass(frozen=True, slots=True)
class _Hours:
    """Sessions in order of time, and the days that the text covers, in its own zone."""

    sessions: tuple[TradingSession, ...]
    days: frozenset[date]
    zone: ZoneInfo

    def is_open(self, now: datetime) -> bool:
        return any(start <= now < end for start, end in self.sessions)

    def next_start(self, now: datetime) -> datetime | None:
        return next((start for start, _ in self.sessions if start > now), None)


def closed_reason(contract: Contract, now: datetime) -> str | None:
    """Why `contract` may not trade at `now` (aware) in regular hours; None when it may.

    Open needs both sources: the broker's `liquid_hours`, read in the contract's time zone, and the New
    York Stock Exchange's calendar with its holidays and early closes. Hours that cannot be read, do not
    cover today, or contradict the calendar are reasons too.
    """
    moment = now.astimezone(UTC)
    try:
        hours = _read_hours(contract.liquid_hours, contract.time_zone)
        reason = _not_open(hours, moment)
    except ValueError as unreadable:
        reason = str(unreadable)
    return f"{contract.symbol}: {reason}" if reason else None


def session_end(contract: Contract, now: datetime) -> datetime | None:
    """When the regular session that `now` (aware) is in ends for `contract`, in UTC; None when it may not trade now.

    The earlier of the broker's hours and the exchange's calendar counts.
    """
    if closed_reason(contract, now):
        return None
    moment = now.astimezone(UTC)
    hours = _read_hours(contract.liquid_hours, contract.time_zone)
    session = _exchange_session(now.astimezone(NEW_YORK).date())
    ends = [end for start, end in (*hours.sessions, *([session] if session else [])) if start <= moment < end]
    return min(ends)


def fx_closed_reason(now: datetime) -> str | None:
    """Why no currency order is sent at `now` (aware); None in FX hours.

    They are IDEALPRO's: Sunday 17:15 to Friday 17:00 New York, with a break from 17:00 to 17:15 each day.
    """
    local = now.astimezone(NEW_YORK)
    day, clock = local.weekday(), local.time()
    is_weekend = day == SATURDAY or (day == FRIDAY and clock >= FX_CLOSE) or (day == SUNDAY and clock < FX_OPEN)
    if is_weekend:
        return "the FX market is closed from Friday 17:00 to Sunday 17:15 New York"
    if FX_CLOSE <= clock < FX_OPEN:
        return "the FX market has its daily break from 17:00 to 17:15 New York"
    return None


def in_blackout(blackout: Sequence[str], now: datetime) -> bool:
    """Whether the New York clock at `now` (aware) is inside an entry such as `00:10-01:50`.

    An entry whose end is before its start spans midnight: 23:00-01:00 holds 23:30 and 00:30, not 01:00.
    Raises ValueError for an entry of another form; settings have checked them.
    """
    clock = now.astimezone(NEW_YORK).time()
    return any(_holds(entry, clock) for entry in blackout)


def is_new_york(zone: str) -> bool:
    """Whether the broker's name of a time zone, of which the first word counts, means New York.

    >>> is_new_york("EST (Eastern Standard Time)"), is_new_york("US/Central"), is_new_york("")
    (True, False, False)
    """
    return zone.strip().partition(" ")[0] in NEW_YORK_NAMES


def _not_open(hours: _Hours, now: datetime) -> str | None:
    today = now.astimezone(hours.zone).date()
    if today not in hours.days:
        return f"the broker's hours cover {min(hours.days)} to {max(hours.days)}, not {today}"
    session = _exchange_session(now.astimezone(NEW_YORK).date())
    broker_open, exchange_open = hours.is_open(now), session is not None and session[0] <= now < session[1]
    if broker_open and exchange_open:
        return None
    if broker_open == exchange_open:
        return f"the market is closed, {_exchange_text(session)}{_next_open_text(hours, now)}"
    return (
        f"the broker's hours say {_open_text(is_open=broker_open)}, "
        f"the exchange calendar says {_open_text(is_open=exchange_open)} ({_exchange_text(session)})"
    )


def _holds(entry: str, clock: time) -> bool:
    start, end = (time.fromisoformat(part.strip()) for part in entry.split("-"))
    if start <= end:
        return start <= clock < end
    return clock >= start or clock < end


@lru_cache(maxsize=256)
def _read_hours(text: str, zone_name: str) -> _Hours:
    """The sessions that `text` writes. Raises ValueError saying what is not understood."""
    zone = _read_zone(zone_name)
    sessions: list[TradingSession] = []
    days: set[date] = set()
    for part in filter(None, (part.strip() for part in text.split(";"))):
        for day, session in _read_part(part, zone):
            days.add(day)
            if session:
                sessions.append(session)
    if not days:
        raise ValueError("the broker reported no trading hours")
    return _Hours(tuple(sorted(sessions)), frozenset(days), zone)


def _read_part(part: str, zone: ZoneInfo) -> Iterator[tuple[date, TradingSession | None]]:
    """Each day that `part` covers, with a session on it, or None for a closed day."""
    day: str | None = None
    for piece in (piece.strip() for piece in part.split(",")):
        if closed := _CLOSED.fullmatch(piece):
            day = closed["day"]
            yield _read_day(day), None
            continue
        found = _RANGE.fullmatch(piece)
        day = (found["day"] if found else None) or day
        if found is None or day is None:
            raise _not_understood(part)
        first, last = _read_day(day), _read_day(found["end_day"] or day)
        session = _read_clock(first, found["start"], zone), _read_clock(last, found["end"], zone)
        if not timedelta(0) < session[1] - session[0] <= LONGEST_SESSION:
            raise _not_understood(part)
        yield first, session
        yield last, session


def _read_day(digits: str) -> date:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise _not_understood(digits) from None


def _read_clock(day: date, digits: str, zone: ZoneInfo) -> datetime:
    """The moment, in UTC, at which clocks in `zone` show `digits` (HHMM) on `day`."""
    try:
        return datetime.combine(day, time(int(digits[:2]), int(digits[2:])), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _not_understood(digits) from None


def _not_understood(part: str) -> ValueError:
    return ValueError(f"trading hours could not be read: {part[:60]!r}")


def _read_zone(name: str) -> ZoneInfo:
    if is_new_york(name):
        return NEW_YORK
    try:
        return ZoneInfo(name.strip().partition(" ")[0])
    except (KeyError, ValueError, OSError):  # an unknown name, a malformed one, the name of a folder of zones
        raise ValueError(f"time zone of the trading hours could not be read: {name[:60]!r}") from None


def _exchange_session(day: date) -> TradingSession | None:
    return exchange_sessions(day).get(day)


@lru_cache(maxsize=64)
def exchange_sessions(around: date) -> Mapping[date, TradingSession]:
    """Opening and close of the New York Stock Exchange on each trading day within 40 days of `around`.

    Raises ValueError for a day so far off that there is no calendar.
    """
    import exchange_calendars  # noqa: PLC0415 - brings pandas along, which only a run that may trade should pay for

    with warnings.catch_warnings():
        # exchange_calendars 4.13 on pandas 3.1 meets this deprecation; the values it reads are right
        warnings.filterwarnings("ignore", message=r"Series\.values returning an ndarray that drops timezone")
        try:
            # asked for by date: the default calendar ends a year from now, a rehearsal may lie beyond
            calendar = exchange_calendars.get_calendar(
                CALENDAR, start=around - CALENDAR_MARGIN, end=around + CALENDAR_MARGIN
            )
        except (ValueError, OverflowError):
            raise ValueError(f"there is no exchange calendar for {around}") from None
    sessions = zip(calendar.sessions, calendar.opens, calendar.closes, strict=True)
    return {day.date(): (opens.to_pydatetime(), closes.to_pydatetime()) for day, opens, closes in sessions}


def _exchange_text(session: TradingSession | None) -> str:
    if session is None:
        return "a day without trading"
    start, end = (moment.astimezone(NEW_YORK) for moment in session)
    return f"regular hours today {start:%H:%M} to {end:%H:%M} New York"


def _next_open_text(hours: _Hours, now: datetime) -> str:
    start = hours.next_start(now)
    return f"; it opens {start.astimezone(NEW_YORK):%A %Y-%m-%d %H:%M} New York" if start else ""


def _open_text(*, is_open: bool) -> str:
    return "open" if is_open else "closed"
