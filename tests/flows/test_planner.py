"""Planning without the cycle collector, which is as it was before once the plan is made or refused."""

from __future__ import annotations

import gc
from contextlib import suppress

import pytest
from planning_builders import account, case, plan_settings

from core.errors import DataRefused
from core.model import USD
from core.planning import make_plan
from tasks.app.planner import plan_from

WEIGHTS = {"A": "0.6", "B": "0.4"}


@pytest.mark.parametrize("dollars", ["1000", "0"], ids=["planned", "refused"])
@pytest.mark.parametrize("was_enabled", [True, False], ids=["on", "off"])
def test_the_collector_is_afterwards_as_it_was(was_enabled, dollars):
    enabled = gc.isenabled()
    (gc.enable if was_enabled else gc.disable)()
    try:
        with suppress(DataRefused):
            plan_from(case(WEIGHTS, account(cash={USD: dollars})), plan_settings())
        assert gc.isenabled() is was_enabled
    finally:
        (gc.enable if enabled else gc.disable)()


def test_the_plan_is_the_one_of_the_arithmetic():
    inputs = case(WEIGHTS, account(cash={USD: "1000"}))
    assert plan_from(inputs, plan_settings()) == make_plan(inputs, plan_settings())
