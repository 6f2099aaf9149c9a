"""LiveIB in front of the simulated gateway keeps the contract of every broker."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("broker_contract")

from broker_contract import BrokerContract, Rig  # noqa: E402 - the contract's asserts are rewritten first
from live import closed, opened  # noqa: E402


class TestLiveIB(BrokerContract):
    @pytest.fixture
    async def start(self):
        venues = []

        async def start(a_world):
            venue = await opened(a_world)
            venues.append(venue)
            return Rig(venue.client(), venue.client)

        yield start
        for venue in venues:
            await closed(venue)
