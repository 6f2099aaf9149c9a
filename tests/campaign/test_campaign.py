"""Hundreds of made-up accounts through the real story: without troubles, and with every trouble a broker can make."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaign.accounts import random_account
from campaign.checks import judge
from campaign.playing import RUNS, Case, play
from campaign.targets import WITH_TROUBLES, WITHOUT_TROUBLES
from campaign.troubles import random_trouble

pytestmark = pytest.mark.long

each_seed = pytest.mark.parametrize("seed", [f"seed-{number}" for number in range(RUNS)])


@each_seed
async def test_any_account_reaches_its_targets_as_far_as_its_money_allows(seed: str, tmp_path: Path):
    played = await play(Case(random_account(seed)), tmp_path)
    judge(played, *WITHOUT_TROUBLES)


@each_seed
async def test_whatever_goes_wrong_the_books_agree_and_nothing_unapproved_is_traded(seed: str, tmp_path: Path):
    played = await play(random_trouble(seed), tmp_path)
    judge(played, *WITH_TROUBLES)
