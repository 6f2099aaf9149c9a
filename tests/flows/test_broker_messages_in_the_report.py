"""The broker's messages about an order reach terminal, run.log and report, on both simulated brokers alike."""

from __future__ import annotations

import pytest
from scenario_runs import rehearse

from deployments.options import ScenarioBroker

LIMIT = (
    "The order value estimate exceeds the Total Value Limit. Restriction is specified in Precautionary Settings (451)"
)


@pytest.mark.parametrize("venue", ScenarioBroker)
def test_an_order_that_the_presets_stop_ends_27_with_their_text_and_the_others_trade(tmp_path, venue):
    run = rehearse("exit_27_rejected", tmp_path, ("BND: {reject: 201}", "BND: {reject: 451}"), venue=venue)
    assert run.result["exit_code"] == 27
    assert f"was rejected: {LIMIT}" in run.result["reason"]
    assert {order["symbol"]: order["status"] for order in run.result["orders"]} == {"VTI": "Filled", "BND": "Rejected"}
    assert "did not report" not in run.result["reason"]
    (ref,) = (order["order_ref"] for order in run.result["orders"] if order["symbol"] == "BND")
    assert f"{ref}: the broker reported: {LIMIT}" in (run.folder / "post_trade.md").read_text()
    assert f"message: {ref}: {LIMIT}" in (run.folder / "run.log").read_text()
    assert [event["detail"] for event in run.result["events"] if event["kind"] == "message"] == [f"{ref}: {LIMIT}"]
