"""Which of IBKR's data farms are broken: prices of a market-data farm stand still, a new line gets the last ones."""

from __future__ import annotations

from datetime import datetime

from core.broker.codes import FARM_BACK, FARM_LOST, FARMS_DOWN, FARMS_UP


class Farms:
    """The data farms that the gateway speaks of: `is_up` by name, and since when market-data farms are broken."""

    def __init__(self) -> None:
        self.is_up: dict[str, bool] = {}
        self._broken: dict[str, datetime] = {}

    def hear(self, code: int, text: str, at: datetime) -> None:
        """Take what the gateway says; the farm's name is all that follows the last colon."""
        name = text.rpartition(":")[2].strip()
        if code in FARMS_UP | FARMS_DOWN:
            self.is_up[name] = code in FARMS_UP
        if code == FARM_LOST:
            self._broken.setdefault(name, at)
        elif code == FARM_BACK:
            self._broken.pop(name, None)

    @property
    def lost_since(self) -> datetime | None:
        """Since when a farm is broken, the one that has been for longest; which symbols it serves nobody tells."""
        return min(self._broken.values(), default=None)
