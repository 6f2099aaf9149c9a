"""Trading hours: the broker's text and the exchange's calendar must both be open, and nothing is guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from builders import contract
from hypothesis import given
from hypothesis import strategies as st

from core.market.hours import closed_reason, fx_closed_reason, in_blackout, session_end
from core.model import NEW_YORK

WEEK = (
    "20261123:0930-20261123:1600;20261124:0930-20261124:1600;20261125:0930-20261125:1600;"
    "20261126:CLOSED;20261127:0930-20261127:1300;20261128:CLOSED;20261129:CLOSED"
)


def at(text):
    """A moment by the clock of New York."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def reason(text, moment, **more):
    return closed_reason(contract(liquid_hours=text, **more), at(moment))


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-23 09:29:59", False),
        ("2026-11-23 09:30:00", True),
        ("2026-11-23 12:00:00", True),
        ("2026-11-23 15:59:59", True),
        ("2026-11-23 16:00:00", False),
        ("2026-11-26 12:00:00", False),  # Thanksgiving
        ("2026-11-27 12:59:59", True),  # early close
        ("2026-11-27 13:00:00", False),
        ("2026-11-28 12:00:00", False),
        ("2026-11-29 12:00:00", False),
    ],
)
def test_a_week_with_a_holiday_and_an_early_close(moment, is_open):
    assert (reason(WEEK, moment) is None) is is_open


@pytest.mark.parametrize(
    ("moment", "text", "end"),
    [
        ("2026-11-23 15:59:59", WEEK, "2026-11-23 16:00"),
        ("2026-11-27 09:30:00", WEEK, "2026-11-27 13:00"),  # early close
        ("2026-11-27 09:30:00", "20261127:0930-1600", "2026-11-27 13:00"),  # the broker does not know of it
        ("2026-11-23 10:00:00", "20261123:0930-1500", "2026-11-23 15:00"),  # the broker knows better
        ("2026-11-23 16:00:00", WEEK, None),
        ("2026-11-26 12:00:00", WEEK, None),
        ("2026-11-23 12:00:00", "nonsense", None),
    ],
)
def test_a_session_ends_at_the_earlier_of_broker_and_calendar(moment, text, end):
    assert session_end(contract(liquid_hours=text), at(moment)) == (end and at(end))


def test_a_closed_market_names_todays_hours_and_when_it_opens():
    assert reason(WEEK, "2026-11-27 14:00") == (
        "VTI: the market is closed, regular hours today 09:30 to 13:00 New York"
    )
    assert reason(WEEK, "2026-11-26 12:00") == (
        "VTI: the market is closed, a day without trading; it opens Friday 2026-11-27 09:30 New York"
    )


def test_the_moment_may_come_in_any_time_zone():
    open_everywhere = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    assert closed_reason(contract(liquid_hours=WEEK), open_everywhere) is None
    assert closed_reason(contract(liquid_hours=WEEK), open_everywhere.astimezone(ZoneInfo("Asia/Tokyo"))) is None


@pytest.mark.parametrize(
    ("text", "moment", "broker", "calendar"),
    [
        ("20261126:0930-20261126:1600", "2026-11-26 12:00", "open", "closed (a day without trading)"),
        (
            "20261127:0930-20261127:1600",
            "2026-11-27 14:00",
            "open",
            "closed (regular hours today 09:30 to 13:00 New York)",
        ),
        ("20261124:0930-1500", "2026-11-24 15:00", "closed", "open (regular hours today 09:30 to 16:00 New York)"),
        ("20261124:CLOSED", "2026-11-24 12:00", "closed", "open (regular hours today 09:30 to 16:00 New York)"),
        (
            "20261124:1000-20261124:1600",
            "2026-11-24 09:45",
            "closed",
            "open (regular hours today 09:30 to 16:00 New York)",
        ),
    ],
)
def test_a_disagreement_of_broker_and_calendar_is_named(text, moment, broker, calendar):
    assert reason(text, moment) == (f"VTI: the broker's hours say {broker}, the exchange calendar says {calendar}")


@pytest.mark.parametrize(
    "text",
    [
        "20261124:0930-20261124:1600",
        "20261124:0930-1600",
        "20261124:0930-1600;",
        " 20261124:0930-1600 ; 20261125:CLOSED ",
        "20261124:0930-1130,1230-1600",
        "20261124:0930-20261124:1130,20261124:1230-20261124:1600",
        "20261124:0930-20261124:1130;20261124:1230-20261124:1600",
        "20261123:CLOSED,20261124:0930-20261124:1600",
        "20261123:1800-20261124:1700",
    ],
)
def test_every_known_form_of_the_text_is_read(text):
    assert reason(text, "2026-11-24 10:00") is None


def test_a_midday_break_is_closed():
    found = reason("20261124:0930-1130,1230-1600", "2026-11-24 12:00")
    assert found is not None
    assert "the broker's hours say closed" in found


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("NONE", "NONE"),
        ("20261124", "20261124"),
        ("20261124:", "20261124:"),
        ("20261124:closed", "20261124:closed"),
        ("0930-1600", "0930-1600"),
        ("20261124:0930-1600;0930-1600", "0930-1600"),
        ("20261124:0930-2400", "2400"),
        ("20261124:0960-1600", "0960"),
        ("20261324:0930-1600", "20261324"),
        ("20260230:CLOSED", "20260230"),
        ("00000000:CLOSED", "00000000"),
        ("20261124:1600-0930", "20261124:1600-0930"),
        ("20261124:0930-0930", "20261124:0930-0930"),
        ("20261124:0930-20261125:0931", "20261124:0930-20261125:0931"),
        ("20261124:0930-1600,", "20261124:0930-1600,"),
        ("２０２６1124:0930-1600", "２０２６1124:0930-1600"),
        ("99991231:0930-2330", "2330"),
    ],
)
def test_hours_in_an_unknown_form_are_a_reason_that_quotes_them(text, part):
    assert reason(text, "2026-11-24 12:00") == f"VTI: trading hours could not be read: {part!r}"


@pytest.mark.parametrize("text", ["", "  ", ";;"])
def test_missing_hours_are_a_reason(text):
    assert reason(text, "2026-11-24 12:00") == "VTI: the broker reported no trading hours"


@pytest.mark.parametrize("moment", ["2026-11-22 12:00", "2026-11-30 12:00"])
def test_hours_that_do_not_cover_today_are_a_reason(moment):
    day = moment.split()[0]
    assert reason(WEEK, moment) == (f"VTI: the broker's hours cover 2026-11-23 to 2026-11-29, not {day}")


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("America/New_York", "0930-1600"),
        ("US/Eastern", "0930-1600"),
        ("EST5EDT", "0930-1600"),
        ("EST", "0930-1600"),
        ("EST (Eastern Standard Time)", "0930-1600"),
        ("America/Chicago", "0830-1500"),
        ("UTC", "1330-2000"),
    ],
)
@pytest.mark.parametrize("clock", ["09:30", "15:59"])
def test_the_text_is_read_in_the_contracts_time_zone_in_summer_too(zone, hours, clock):
    text = f"20260706:{hours}"
    assert reason(text, f"2026-07-06 {clock}", time_zone=zone) is None
    assert reason(text, "2026-07-06 16:00", time_zone=zone) is not None


@pytest.mark.parametrize("zone", ["", " ", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "America", "\0", "Ü"])
def test_an_unknown_time_zone_is_a_reason(zone):
    assert reason(WEEK, "2026-11-24 12:00", time_zone=zone) == (
        f"VTI: time zone of the trading hours could not be read: {zone!r}"
    )


@pytest.mark.parametrize(
    ("day", "utc_open"),
    [
        ("20260306", "2026-03-06T14:30"),  # the Friday before summer time
        ("20260309", "2026-03-09T13:30"),  # the Monday after
        ("20261030", "2026-10-30T13:30"),  # the Friday before winter time
        ("20261102", "2026-11-02T14:30"),  # the Monday after
    ],
)
def test_the_opening_follows_the_change_of_clocks(day, utc_open):
    opening = datetime.fromisoformat(utc_open).replace(tzinfo=UTC)
    listed = contract(liquid_hours=f"{day}:0930-1600")
    assert closed_reason(listed, opening) is None
    assert closed_reason(listed, opening - timedelta(seconds=1)) is not None


def test_a_session_over_the_change_of_clocks_keeps_its_wall_clock_ends():
    overnight = contract(liquid_hours="20260307:2300-20260308:2200;20260309:0930-1600")
    found = closed_reason(overnight, at("2026-03-08 21:59"))
    assert found is not None
    assert "the broker's hours say open" in found


def test_a_day_beyond_the_exchange_calendar_is_a_reason():
    found = reason("23000305:0930-1600", "2300-03-05 12:00")
    assert found == "VTI: there is no exchange calendar for 2300-03-05"


def test_a_day_more_than_a_year_ahead_is_still_known():
    assert reason("20400305:0930-1600", "2040-03-05 12:00") is None


pieces = st.one_of(
    st.sampled_from(["20261124", ":", "-", ";", ",", "0930", "1600", "CLOSED", "20261125", "9999", " ", "é"]),
    st.text(max_size=3),
)


@given(st.lists(pieces, max_size=12).map("".join), st.sampled_from(["America/New_York", "EST", "", "UTC", "x"]))
def test_any_text_gives_open_or_a_reason_and_never_an_error(text, zone):
    found = reason(text, "2026-11-24 12:00", time_zone=zone)
    assert found is None or found.startswith("VTI: ")
    # only a text with hours of the day can open it
    assert found is not None or "20261124" in text


@given(st.integers(0, 7 * 24 * 60 - 1))
def test_the_week_is_open_exactly_in_its_sessions(minute):
    moment = at("2026-11-23 00:00") + timedelta(minutes=minute)
    ends = {23: 16, 24: 16, 25: 16, 27: 13}
    hour = moment.hour + moment.minute / 60
    expected = moment.day in ends and 9.5 <= hour < ends[moment.day]
    assert (closed_reason(contract(liquid_hours=WEEK), moment) is None) is expected


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        ("2026-11-22 17:14:59", "closed from"),  # Sunday
        ("2026-11-22 17:15:00", None),
        ("2026-11-23 03:00:00", None),
        ("2026-11-23 16:59:59", None),
        ("2026-11-23 17:00:00", "daily break"),
        ("2026-11-23 17:14:59", "daily break"),
        ("2026-11-23 17:15:00", None),
        ("2026-11-27 16:59:59", None),  # Friday
        ("2026-11-27 17:00:00", "closed from"),
        ("2026-11-27 23:00:00", "closed from"),
        ("2026-11-28 12:00:00", "closed from"),  # Saturday
        ("2026-07-05 17:15:00", None),  # summer time
    ],
)
def test_the_fx_week_runs_from_sunday_to_friday_with_a_daily_break(moment, why):
    found = fx_closed_reason(at(moment).astimezone(UTC))
    assert found is None if why is None else found is not None and why in found


@pytest.mark.parametrize(
    ("entries", "clock", "expected"),
    [
        (["00:10-01:50"], "00:09:59", False),
        (["00:10-01:50"], "00:10:00", True),
        (["00:10-01:50"], "01:49:59", True),
        (["00:10-01:50"], "01:50:00", False),
        (["23:00-01:00"], "22:59:59", False),
        (["23:00-01:00"], "23:00:00", True),
        (["23:00-01:00"], "00:59:59", True),
        (["23:00-01:00"], "01:00:00", False),
        (["00:10-01:50", "12:00 - 12:30"], "12:15:00", True),
        (["12:00-12:00"], "12:00:00", False),
        ([], "00:30:00", False),
    ],
)
def test_a_blackout_holds_its_start_but_not_its_end_and_may_span_midnight(entries, clock, expected):
    assert in_blackout(entries, at(f"2026-07-06 {clock}").astimezone(UTC)) is expected


@pytest.mark.parametrize("entry", ["", "00:10", "00:10-25:00", "a-b", "1-2-3"])
def test_a_blackout_in_another_form_is_an_error(entry):
    with pytest.raises(ValueError, match=r"."):
        in_blackout([entry], at("2026-07-06 12:00"))
