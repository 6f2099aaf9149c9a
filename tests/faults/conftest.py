"""The runs of this folder make the same tables again and again: each distinct one passes its gate once."""

from __future__ import annotations

import json

import pytest

import tasks.gates
from expectations.gate import run_gate

VERDICTS = {}


@pytest.fixture(autouse=True)
def _gates_remember_their_verdicts(monkeypatch):
    monkeypatch.setattr(tasks.gates, "run_gate", _remembered)


def _remembered(table, frame, suite):
    checks = json.dumps([each.configuration.to_json_dict() for each in suite.expectations], default=str)
    key = table, frame.to_csv(), checks
    if key not in VERDICTS:
        VERDICTS[key] = run_gate(table, frame, suite)
    return VERDICTS[key]
