"""A signal that lands inside a step ends the run as a person's no, with its report."""

from __future__ import annotations

import json

import pytest
from prefect.exceptions import TerminationSignal
from scenario_runs import SCENARIOS

from core.broker.fake import FakeIB
from core.journal.memory import MemoryJournal
from core.model import BrokerKind
from core.scenario import read_scenario
from deployments.scenarios import FromScenario
from flows.rebalance import rebalance
from tasks.brokers import rehearsal_options
from tasks.request import Request
from tasks.wiring import Session, session


class TerminatedWhileReading(FakeIB):
    """A broker during whose reading of the account SIGTERM arrives."""

    async def snapshot(self):
        raise TerminationSignal(signal=15)


async def test_a_signal_inside_a_step_leaves_a_report_that_says_so(tmp_path):
    scenario = read_scenario(SCENARIOS / "e2e_fx_first.yaml")
    outcomes = []
    own = Session(
        source=FromScenario(scenario, tmp_path),
        broker=lambda settings: TerminatedWhileReading.of(scenario.world, rehearsal_options(settings)),
        folder=tmp_path,
        journal=MemoryJournal(),
        ended=lambda outcome, _paths: outcomes.append(outcome),
    )
    request = Request(csv=scenario.path, ini=scenario.path, mode=scenario.mode, broker=BrokerKind.FAKE)
    with session(own), pytest.raises(TerminationSignal):
        await rebalance.fn(**request.parameters())
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["exit_code"], result["status"], result["orders"]) == (32, "aborted", [])
    assert outcomes[-1].exit_code == 32
