"""Made-up accounts with troubles of their own, over a gateway where several things go wrong at once."""

from __future__ import annotations

import pytest
from campaign.playing import RUNS
from campaign.troubles import random_trouble
from fault_cases import usual
from fault_chances import random_spoil
from fault_judges import judge
from fault_runs import rehearse

pytestmark = pytest.mark.long

FEW_SYMBOLS = 6
# an order that was refused by an error alone fills while the connection is down
ALWAYS = "seed-44"
SEEDS = list(dict.fromkeys([*(f"seed-{number}" for number in range(RUNS)), ALWAYS]))


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_goes_wrong_at_the_gateway_report_and_exchange_agree_and_nothing_is_sent_twice(seed, tmp_path):
    played = await rehearse(usual(), tmp_path, random_spoil(seed))
    judge(played)


@pytest.mark.parametrize("seed", [f"seed-{number}" for number in range(RUNS // 4)])
async def test_also_with_any_account_and_its_own_troubles(seed, tmp_path):
    played = await rehearse(random_trouble(seed, FEW_SYMBOLS), tmp_path, random_spoil(f"account {seed}"))
    judge(played)
