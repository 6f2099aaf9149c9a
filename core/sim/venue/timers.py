"""The orders that have not ended, and when the next of them changes by time alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from heapq import heappop, heappush

from core.sim.venue.orders import VenueOrder


class Timers:
    """The open orders in order of arrival; `note` is called whenever one of them has changed.

    An alarm stays on the heap when its order has changed its time or ended, and is skipped when it comes up.
    """

    def __init__(self) -> None:
        self._open: dict[int, VenueOrder] = {}
        self._alarms: list[tuple[datetime, int]] = []

    def __iter__(self) -> Iterator[VenueOrder]:
        return iter(tuple(self._open.values()))

    def note(self, order: VenueOrder) -> None:
        """Note an order that is new, has changed, or has ended."""
        if not order.is_open:
            self._open.pop(order.perm_id, None)
            return
        self._open[order.perm_id] = order
        if order.wakes_at is not None:
            heappush(self._alarms, (order.wakes_at, order.perm_id))

    def next_at(self) -> datetime | None:
        """When the next order wakes, None when none will."""
        # removing a stale alarm when it surfaces costs O(log n); searching the heap at every change would cost O(n)
        while self._alarms and not self._is_true(*self._alarms[0]):
            heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def take_due(self, now: datetime) -> tuple[VenueOrder, ...]:
        """The orders that wake until `now`, in order of arrival; each is to be noted again once it has woken."""
        due: set[int] = set()
        while (at := self.next_at()) is not None and at <= now:
            due.add(heappop(self._alarms)[1])
        return tuple(self._open[perm_id] for perm_id in sorted(due))

    def _is_true(self, at: datetime, perm_id: int) -> bool:
        order = self._open.get(perm_id)
        return order is not None and order.wakes_at == at
