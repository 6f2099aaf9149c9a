"""Which of IBKR's market-data farms are broken: their prices stand still, and a new line is told the last ones."""

from __future__ import annotations

from datetime import datetime

from core.broker.codes import FARM_BACK, FARM_LOST


class Farms:
    """The market-data farms that the gateway called broken and not yet OK, by name, and since when."""

    def __init__(self) -> None:
        self._broken: dict[str, datetime] = {}

    def hear(self, code: int, text: str, at: datetime) -> None:
        """Take what the gateway says; the farm's name is all that follows the last colon."""
        name = text.rpartition(":")[2].strip()
        if code == FARM_LOST:
            self._broken.setdefault(name, at)
        elif code == FARM_BACK:
            self._broken.pop(name, None)

    @property
    def lost_since(self) -> datetime | None:
        """Since when a farm is broken, the one that has been for longest; which symbols it serves nobody tells."""
        return min(self._broken.values(), default=None)
