"""The deployments as they are defined: their schedules keep to New York's clock, and are off."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prefect.server.schemas.schedules import CronSchedule

from deployments.serving.definitions import DEFINITIONS

ROOT = Path(__file__).parents[2]
SCHEDULES = {each.name: each.schedule for each in DEFINITIONS if each.schedule}


def test_schedules_are_off_until_somebody_switches_them_on():
    assert {name: schedule.active for name, schedule in SCHEDULES.items()} == {"scheduled": False, "preview": False}


def test_prefect_yaml_has_the_same_deployments_for_a_work_pool():
    listed = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["deployments"]
    for each, definition in zip(listed, DEFINITIONS, strict=True):
        file, _, flow = each["entrypoint"].partition(":")
        assert (ROOT / file).is_file()
        assert (flow, each["name"]) == (definition.flow.name, definition.name)
        assert each["parameters"] == definition.first | definition.fixed
        (schedule,) = each.get("schedules") or [None]
        wanted = definition.schedule
        assert schedule == (
            wanted and {"slug": wanted.slug, "cron": wanted.cron, "timezone": wanted.timezone, "active": wanted.active}
        )


@pytest.mark.parametrize(
    ("friday", "utc_before", "utc_after"),
    [(datetime(2026, 3, 6, tzinfo=UTC), 20, 19), (datetime(2026, 10, 30, tzinfo=UTC), 19, 20)],
    ids=["in spring", "in autumn"],
)
async def test_over_a_clock_change_half_past_three_in_new_york_stays_half_past_three(friday, utc_before, utc_after):
    schedule = SCHEDULES["scheduled"]
    dates = await CronSchedule(cron=schedule.cron, timezone=schedule.timezone).get_dates(2, start=friday)
    fires = [each.astimezone(UTC) for each in dates]
    assert [(each.weekday(), each.hour, each.minute) for each in fires] == [(4, utc_before, 30), (0, utc_after, 30)]
