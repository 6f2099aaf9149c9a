"""Order ids: each client has its own, from 1 on; which orders of the exchange they stand for."""

from __future__ import annotations

from core.sim.venue.orders import VenueOrder

NO_ID = 0


class OrderIds:
    """Outlives connections and restarts. An id that was given out twice stands for its newest order."""

    def __init__(self) -> None:
        self._used: dict[int, int] = {}
        self._orders: dict[tuple[int, int], int] = {}
        self._rolled_back: set[tuple[int, int]] = set()
        self._ids: dict[int, int] = {}

    def next_id(self, client: int) -> int:
        """An id beyond every one that this client used."""
        return self._used.get(client, 0) + 1

    def use(self, client: int, order_id: int) -> None:
        """The id is spent, whatever becomes of its order; a client's ids only go up."""
        self._used[client] = order_id

    def enter(self, client: int, order_id: int, perm_id: int) -> None:
        """The client's id stands for this order from now on."""
        self.use(client, order_id)
        self._orders[client, order_id] = perm_id
        self._rolled_back.discard((client, order_id))
        self._ids[perm_id] = order_id

    def perm_id(self, client: int, order_id: int) -> int | None:
        """The order that the client's id stands for."""
        return self._orders.get((client, order_id))

    def modified(self, client: int, order_id: int) -> int | None:
        """The order that a client changes by sending this id; an id that was rolled back makes a new one."""
        return None if (client, order_id) in self._rolled_back else self.perm_id(client, order_id)

    def order_id(self, ticket: VenueOrder) -> int:
        """The id that the order was sent with; 0 for one entered by hand."""
        return self._ids.get(ticket.perm_id, NO_ID)

    def roll_back(self) -> None:
        """Forget which ids were used: they are given out again, while orders keep theirs."""
        self._used.clear()
        self._rolled_back = set(self._orders)
