"""Wherever the conversation breaks off: report and exchange agree, nothing is sent twice, and the run ends."""

from __future__ import annotations

from random import Random

import pytest
from campaign.playing import RUNS
from fault_cases import usual
from fault_judges import judge
from fault_runs import DropAtByte, rehearse

pytestmark = pytest.mark.long

DIRECTIONS = {"outward": False, "inward": True}
LENGTHS: dict[bool, int] = {}


async def length_of(folder, is_inward):
    """Bytes of a healthy conversation in one direction; nearly the same each time."""
    if is_inward not in LENGTHS:
        counted = {inward: DropAtByte(is_inward=inward) for inward in (False, True)}
        await rehearse(usual(), folder, lambda scene: [count(scene) for count in counted.values()] and None)
        LENGTHS.update({inward: count.passed for inward, count in counted.items()})
    return LENGTHS[is_inward]


@pytest.mark.parametrize("seed", range(RUNS // 3))
@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_run_survives_a_connection_lost_at_any_byte(direction, seed, tmp_path):
    length = await length_of(tmp_path / "healthy", DIRECTIONS[direction])
    # spread over the conversation, and never the same places for two seeds
    part = length / (RUNS // 3)
    at = int(part * seed + Random(f"{direction} {seed}").random() * part)
    played = await rehearse(usual(), tmp_path / "broken", DropAtByte(at, DIRECTIONS[direction]))
    judge(played)
