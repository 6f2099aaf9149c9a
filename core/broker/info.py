"""What a gateway says of itself, besides the broker port: for a person who looks for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """The version of the protocol that the gateway speaks, and whether each data farm that it named is connected."""

    version: int
    farms: Mapping[str, bool]


@runtime_checkable
class Gateway(Protocol):
    """A broker that is a gateway; one in memory is none."""

    async def info(self) -> GatewayInfo:
        """What is known of it once connected. Raises ConnectionLost."""
        ...
