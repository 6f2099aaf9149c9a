"""LiveIB in front of the simulated gateway keeps the contract of every broker."""

from __future__ import annotations

import pytest
from broker_contract import BrokerContract, Rig
from live import closed, opened


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
