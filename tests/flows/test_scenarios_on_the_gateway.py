"""Scenarios through the real client and a real socket end exactly as on the in-memory broker."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from scenario_runs import SCENARIOS, Rehearsal

from core.broker.wordings import REFUSED, closed_at, lost
from deployments.options import Venue

HANDFUL = (
    "e2e_fx_first",
    "e2e_spread_aware_wide_and_stale",
    "exit_20_connection_lost_between_stages",
    "exit_21_pacing",
    "exit_23_stale_quotes",
    "exit_24_fraction_refused",
    "exit_28_partly_filled",
    "exit_41_order_state_unknown",
    "leftover_order_is_cancelled_first",
    "plan_again_after_the_account_moved",
)
EVERY = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))
NAMES = EVERY if os.environ.get("REBALANCER_ALL_SCENARIOS") else HANDFUL


def but_for_times_ids_and_addresses(rehearsal: Rehearsal) -> dict[str, Any]:
    """result.json without what may differ between two runs, and between memory and a socket that has an address."""
    text = json.dumps(rehearsal.result).replace(rehearsal.result["run_id"], "RUN").replace(str(rehearsal.folder), "OUT")
    for port in set(re.findall(r"127\.0\.0\.1:(\d+)", text)):
        closed, gone = closed_at("127.0.0.1", int(port)), lost(REFUSED)
        text = text.replace(closed.message, gone.message).replace(closed.next_step, gone.next_step)
    document: dict[str, Any] = json.loads(text)
    # a warning is given once, but the simulated gateway comes back at another port each time
    document["warnings"] = list(dict.fromkeys(document["warnings"]))
    for event in document["events"]:
        del event["t"]
    return document


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_has_the_same_result_in_memory_and_over_the_wire(name, tmp_path):
    path = SCENARIOS / f"{name}.yaml"
    in_memory = Rehearsal(path, tmp_path / "fake")
    over_the_wire = Rehearsal(path, tmp_path / "gateway", Venue.GATEWAY)
    assert but_for_times_ids_and_addresses(over_the_wire) == but_for_times_ids_and_addresses(in_memory)
