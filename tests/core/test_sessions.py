"""The days of a simulated venue: the exchange's own, or plain weekdays for a look that trades nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from core.sim.venue.sessions import weekday_hours, xnys_hours

AROUND = datetime(2026, 11, 20, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (date(2026, 11, 25), "0930-1600"),
        (date(2026, 11, 26), "CLOSED"),  # Thanksgiving
        (date(2026, 11, 27), "0930-1300"),  # the day after it
        (date(2026, 11, 28), "CLOSED"),  # a Saturday
        (date(2027, 3, 1), "CLOSED"),  # a Monday too far from the day asked about
    ],
)
def test_the_exchange_keeps_its_holidays_and_short_days(day, hours):
    assert xnys_hours(AROUND)(day) == hours


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 11, 26), "0930-1600"), (date(2026, 11, 28), "CLOSED")])
def test_a_broker_for_planning_alone_knows_weekdays_only(day, hours):
    assert weekday_hours(AROUND)(day) == hours
