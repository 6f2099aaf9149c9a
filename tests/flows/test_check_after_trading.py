"""After trading the account is read again: what it shows is beside the plan, and no failure of that undoes a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import snapshot
from flow_runs import Rehearsal, SaysYes
from planning_builders import targets
from worlds import VTI

from core.broker.fake import FakeIB
from core.errors import ExitCode, PacingExceeded
from core.execution import overdrafts
from core.model import USD
from core.money import D


class QuotesNothing(FakeIB):
    """A broker that has no price of VTI any more once both orders are placed."""

    placed = 0

    async def place(self, order):
        await super().place(order)
        self.placed += 1

    async def quotes(self, contracts, *, is_snapshot=False):
        quotes = dict(await super().quotes(contracts, is_snapshot=is_snapshot))
        if self.placed == 2 and VTI in quotes:
            quotes[VTI] = replace(quotes[VTI], bid=None, ask=None, last=None)
        return quotes


class TooFast(QuotesNothing):
    """A broker that answers no request for quotes any more once both orders are placed."""

    async def quotes(self, contracts, *, is_snapshot=False):
        if self.placed == 2:
            raise PacingExceeded("too many requests", next_step="wait")
        return await super().quotes(contracts, is_snapshot=is_snapshot)


@pytest.mark.parametrize("kind", [QuotesNothing, TooFast])
async def test_drift_that_cannot_be_measured_is_a_warning_of_a_run_that_traded(tmp_path, kind):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=kind)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.DONE, outcome.reason
    assert [text for text in outcome.warnings if text.startswith("the drift that is left could not be measured: ")]
    markdown, page = rehearsal.report("post_trade.md"), rehearsal.report("report.html")
    assert "The drift that is left could not be measured." in markdown
    assert "The drift that is left could not be measured." in page
    assert "was not read again" not in markdown + page


async def test_cash_and_gross_exposure_stand_beside_what_was_planned(tmp_path):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes())
    outcome = await rehearsal.run()
    planned = outcome.plan.totals.cash_after[USD]
    markdown = rehearsal.report("post_trade.md")
    assert f"{planned:,.2f}" in next(line for line in markdown.splitlines() if line.startswith("| USD "))
    assert "Gross exposure: 9" in markdown


@pytest.mark.parametrize(
    ("before", "after", "warned"),
    [
        ("100", "-0.02", True),
        ("100", "-0.001", False),
        ("-50", "-50", False),
        ("-50", "-20", False),
        ("-50", "-60", True),
    ],
)
def test_a_currency_that_is_overdrawn_though_nothing_was_to_be_borrowed_is_warned_of(before, after, warned):
    then, now = snapshot(cash={USD: D(before)}), snapshot(cash={USD: D(after)})
    assert bool(overdrafts(then, now, targets({"VTI": "0.99"}))) is warned
    assert overdrafts(then, now, targets({"VTI": "1.5", "CASH": "-0.5"})) == ()
