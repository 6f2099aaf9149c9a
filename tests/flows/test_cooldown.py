"""A run soon after one that traded the account does nothing, and says why."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flow_runs import Rehearsal, SaysYes

from core.errors import ExitCode
from core.model import Mode, RunEnding

DAY = {"rebalance": {"cooldown_hours": "24"}}


async def test_a_run_within_the_cooldown_reads_and_sends_nothing_and_says_why(tmp_path):
    rehearsal = Rehearsal(tmp_path, DAY, approver=SaysYes())
    first, second = await rehearsal.run(), await rehearsal.run()
    assert (second.exit_code, second.ending, second.plan) == (ExitCode.DONE, RunEnding.NO_TRADES, None)
    assert second.reason.startswith(
        f"run {first.run_id} has traded this account within [rebalance] cooldown_hours = 24; "
    )
    assert [entry for entry in rehearsal.brokers[1].log if entry.is_sent] == []
    assert second.reason in rehearsal.report("result.json")


@pytest.mark.parametrize("mode", [Mode.DRY_RUN, Mode.PAPER])
async def test_only_a_run_that_traded_starts_the_cooldown_and_only_one_that_would_trade_heeds_it(tmp_path, mode):
    rehearsal = Rehearsal(tmp_path, DAY, approver=SaysYes(), mode=Mode.PAPER if mode is Mode.DRY_RUN else Mode.DRY_RUN)
    await rehearsal.run()
    rehearsal.mode = mode
    second = await rehearsal.run()
    assert (second.exit_code, second.plan is not None) == (ExitCode.DONE, True)


async def test_after_the_cooldown_the_account_is_planned_for_again(tmp_path):
    rehearsal = Rehearsal(tmp_path, {"rebalance": {"cooldown_hours": "0.5"}}, approver=SaysYes())
    first = await rehearsal.run()
    rehearsal.changes = {"as_of": first.ended_at + timedelta(hours=1)}
    assert (await rehearsal.run()).plan is not None
