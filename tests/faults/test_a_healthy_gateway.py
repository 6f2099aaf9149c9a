"""The run that the faults of this folder spoil, when nothing does."""

from __future__ import annotations

from fault_cases import AGG, BND, IJR, VTI, usual
from fault_judges import judge
from fault_runs import rehearse

from core.model import USD_CAD


async def test_without_a_fault_currency_sells_and_buys_fill_and_every_cost_is_known(tmp_path):
    played = await rehearse(usual(), tmp_path)
    judge(played)
    assert int(played.outcome.exit_code) == 0, played.outcome.reason
    assert [order.contract.symbol for _, order in played.sent] == [USD_CAD, IJR, VTI, AGG, BND]
    assert played.outcome.warnings == ()
    fills = [fill for record in played.outcome.orders for fill in record.fills]
    assert all(fill.commission == 1 for fill in fills)
