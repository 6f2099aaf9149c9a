"""The message limit of a client, and when it has been broken once too often."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto

from core.pacing import GATEWAY_LIMIT, SECOND, MessageWindow


class RateDecision(Enum):
    """What becomes of a message: it is taken, answered with error 100, or the client's last."""

    WITHIN = auto()
    TOO_FAST = auto()
    LAST = auto()


class ClientRateLimit:
    """A burst above the limit is one violation, as long as it is short; a second violation ends the connection."""

    def __init__(self) -> None:
        self._window = MessageWindow(GATEWAY_LIMIT)
        self._violated_at: datetime | None = None
        self._refused = 0

    def judge(self, now: datetime) -> RateDecision:
        """What becomes of a message that comes now."""
        if self._window.spend(now):
            return RateDecision.WITHIN
        self._violated_at = self._violated_at or now
        self._refused += 1
        is_repeated = now - self._violated_at >= SECOND or self._refused > GATEWAY_LIMIT
        return RateDecision.LAST if is_repeated else RateDecision.TOO_FAST
