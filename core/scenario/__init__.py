"""Scenario and market files: YAML read strictly into the values that a rehearsal runs on."""

from core.scenario.reading import Scenario, read_market, read_scenario, scenario_schema
from core.scenario.texts import Confirm

__all__ = ["Confirm", "Scenario", "read_market", "read_scenario", "scenario_schema"]
