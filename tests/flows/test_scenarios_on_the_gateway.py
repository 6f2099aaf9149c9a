"""Scenarios through the real client and a real socket end exactly as on the in-memory broker."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from scenario_runs import SCENARIOS, Rehearsal

from deployments.options import ScenarioBroker

HANDFUL = (
    "e2e_fx_first",
    "exit_20_connection_lost_between_stages",
    "exit_41_order_state_unknown",
    "fx_first_without_a_rate_for_usd",
)
EVERY = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))
NAMES = EVERY if os.environ.get("REBALANCER_ALL_SCENARIOS") else HANDFUL


def but_for_times_and_ids(rehearsal: Rehearsal) -> dict[str, Any]:
    """result.json without what may differ between two runs."""
    text = json.dumps(rehearsal.result).replace(rehearsal.result["run_id"], "RUN").replace(str(rehearsal.folder), "OUT")
    document: dict[str, Any] = json.loads(text)
    for event in document["events"]:
        del event["t"]
    for approval in document["approvals"]:
        del approval["at"]
    document["events"].sort(key=line_of)
    return document


def line_of(event: dict[str, str]) -> str:
    """The line of the plan that the event is of: what is due of two orders within the gap of two messages, which only
    the wire keeps, may come in either order."""
    found = re.search(r"RB-RUN-[FSB]\d+", event["detail"])
    return found[0] if found else ""


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_has_the_same_result_in_memory_and_over_the_wire(name, tmp_path):
    path = SCENARIOS / f"{name}.yaml"
    in_memory = Rehearsal(path, tmp_path / "fake")
    over_the_wire = Rehearsal(path, tmp_path / "gateway", ScenarioBroker.GATEWAY)
    assert but_for_times_and_ids(over_the_wire) == but_for_times_and_ids(in_memory)
