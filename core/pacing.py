"""IBKR's limit on messages: how many may be sent within any one second.

The adapter keeps within the limit and the simulated gateway enforces it; both import it from here.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

# messages in any second that a gateway accepts; error 100 above them (tws-api, order_limitations.html)
GATEWAY_LIMIT = 50
OUR_LIMIT = 45  # what we allow ourselves unless the settings say otherwise
SECOND = timedelta(seconds=1)


class MessageWindow:
    """The messages of the last second, of which at most `limit` are allowed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sent: deque[datetime] = deque(maxlen=limit)

    def free_at(self, now: datetime) -> datetime:
        """The earliest time from `now` on at which one more message stays within the limit."""
        if len(self._sent) < self._limit:
            return now
        return max(now, self._sent[0] + SECOND)

    def spend(self, at: datetime) -> bool:
        """Whether a message at `at` was within the limit; it counts only then."""
        if self.free_at(at) > at:
            return False
        self._sent.append(at)
        return True
