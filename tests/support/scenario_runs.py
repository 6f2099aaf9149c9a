"""Scenarios run through the flow's own story without a server: steps run bare outside a flow run."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

from core.scenario import read_scenario
from deployments.commands.scenario import run_scenario
from deployments.options import ScenarioBroker
from flows.rebalance import rebalance

SCENARIOS = Path(__file__).parents[1] / "scenarios"


class Rehearsal:
    """One rehearsed run and what it left behind."""

    def __init__(self, scenario: Path, folder: Path, venue: ScenarioBroker = ScenarioBroker.FAKE) -> None:
        self.folder = folder
        self.outcome = asyncio.run(run_scenario(read_scenario(scenario), folder, rebalance.fn, venue))

    @property
    def result(self) -> dict[str, Any]:
        """result.json."""
        document: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return document

    def rows(self, name: str) -> list[dict[str, str]]:
        """The rows of one of the CSV reports."""
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))


def rehearse(
    name: str, folder: Path, *changes: tuple[str, str], venue: ScenarioBroker = ScenarioBroker.FAKE
) -> Rehearsal:
    """The scenario of that name, with each (old, new) piece of its text replaced; every old piece must be there."""
    text = (SCENARIOS / f"{name}.yaml").read_text()
    for old, new in changes:
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    changed = folder / f"{name}.yaml"
    changed.write_text(text)
    return Rehearsal(changed, folder / "out", venue)
