"""Scenario and market files: YAML read strictly into the values that a rehearsal runs on."""

from core.scenario.reading import Confirm, Scenario, read_market, read_scenario

__all__ = ["Confirm", "Scenario", "read_market", "read_scenario"]
