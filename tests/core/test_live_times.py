"""Times of executions, in all the forms in which gateways were seen to write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.broker.ib.wrapper import GatewayTimes

NOON = datetime(2026, 3, 2, 12, 0, 3, tzinfo=UTC)
EVENING_IN_SHANGHAI = "20260302 20:00:01 中国标准时间"


def times(first_message="20260302 13:00:02 Central European Standard Time"):
    found = GatewayTimes(lambda: NOON)
    found.set_offset(first_message)
    return found


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("20260611-13:31:08", "2026-06-11T13:31:08"),
        ("20260413 15:27:04 US/Eastern", "2026-04-13T19:27:04"),
        ("20260413 15:27:04 America/Los_Angeles", "2026-04-13T22:27:04"),
        ("20260302  12:30:00", "2026-03-02T11:30:00"),
        ("20260302 12:30:00", "2026-03-02T11:30:00"),
        ("20260302 00:30:00 Central European Standard Time", "2026-03-01T23:30:00"),
        ("20260302 12:30:00 America", "2026-03-02T11:30:00"),
    ],
)
def test_a_time_is_utc_or_in_the_zone_it_names_or_in_the_gateways_own(text, at):
    assert times().utc(text) == datetime.fromisoformat(at).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("first_message", "at"),
    [
        ("20260302 07:00:05 EST", "17:30:00"),
        (EVENING_IN_SHANGHAI, "04:30:00"),
        ("20260302 17:45:00 Nepal Time", "06:45:00"),
        ("20260302 12:00:00", "12:30:00"),
    ],
)
def test_the_gateways_own_zone_follows_from_its_first_message(first_message, at):
    assert f"{times(first_message).utc('20260302 12:30:00'):%H:%M:%S}" == at


@pytest.mark.parametrize("text", ["", "20260302", "12:30", "1752606307", "20260302 12:30:00x", "20261340 12:30:00"])
def test_what_is_no_time_is_not_taken_for_one(text):
    with pytest.raises(ValueError, match=r"."):
        times().utc(text)


@pytest.mark.parametrize("first_message", ["", "soon"])
def test_without_a_first_message_a_time_in_an_unknown_zone_is_none(first_message):
    with pytest.raises(ValueError, match="zone"):
        times(first_message).utc("20260302 12:30:00")


def test_the_zone_is_found_by_a_computer_whose_clock_was_wrong_at_first():
    found = GatewayTimes(lambda: NOON - timedelta(minutes=40))
    found.set_offset("20260302 07:00:02 Eastern Standard Time")
    found.adjust(timedelta(minutes=40))
    assert found.utc("20260302 12:30:00") == datetime(2026, 3, 2, 17, 30, tzinfo=UTC)
