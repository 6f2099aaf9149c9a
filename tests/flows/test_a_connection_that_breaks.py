"""A run ends by what the broker's lists show of its orders; a connection that broke meanwhile is a warning."""

from __future__ import annotations

import pytest
from flow_runs import Rehearsal, SaysYes

from core.broker.fake import FakeIB
from core.errors import ConnectionLost
from core.model import OrderState, Side


def breaking(side):
    """A broker whose connection breaks, once, while the order of that side works; the order fills meanwhile."""

    class Breaking(FakeIB):
        has_broken = False

        async def place(self, order):
            await super().place(order)
            if order.side is side and not self.has_broken:
                self.has_broken = True
                self._drop()
                raise ConnectionLost("the connection broke")

    return Breaking


@pytest.mark.parametrize("side", Side)
async def test_a_connection_that_breaks_while_the_last_order_of_a_stage_works_fails_nothing_when_it_filled(
    tmp_path, side
):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=breaking(side))
    outcome = await rehearsal.run()
    assert (outcome.exit_code, outcome.reason) == (0, "done")
    assert [record.state for record in outcome.orders] == [OrderState.FILLED] * 2
    assert any("the connection was lost, and the orders working then have filled" in text for text in outcome.warnings)
