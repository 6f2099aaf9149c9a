"""Executions and what they cost, joined in whatever order they come, each told once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from core.broker.ib.messages import CommissionRow, ExecutionRow
from core.model import BrokerEvent, CommissionReport, Fill
from core.model.executions import latest_fills, split_exec_id, supersedes


class Fills:
    """The executions of one account on this connection; `deliver` gets those that happen now and their costs.

    An execution is its order's by the reference it carries: an order id may be given out again after the gateway
    was restarted.
    """

    def __init__(self, deliver: Callable[[BrokerEvent], None]) -> None:
        self._deliver = deliver
        self._newest: dict[str, Fill] = {}
        self._told: set[str] = set()
        self._costs: dict[str, CommissionRow] = {}

    def hear_execution(self, row: ExecutionRow) -> None:
        """Something filled, or was corrected; a repetition and an older revision are nothing new."""
        fill = fill_of(row)
        root, _ = split_exec_id(fill.exec_id)
        if root in self._newest and not supersedes(fill, self._newest[root]):
            return
        self._newest[root] = fill
        self._told.add(fill.exec_id)
        self._deliver(fill)
        if row.exec_id in self._costs:
            self._tell_cost(self._costs[row.exec_id])

    def hear_cost(self, row: CommissionRow) -> None:
        """A commission, which may come before its execution; told once, and again only if it changes."""
        if row.commission is None or self._costs.get(row.exec_id) == row:
            return
        self._costs[row.exec_id] = row
        if row.exec_id in self._told:
            self._tell_cost(row)

    def listed(self, rows: Iterable[ExecutionRow]) -> tuple[Fill, ...]:
        """The newest revision of each execution with its cost as far as known, in order of time."""
        fills = latest_fills(map(fill_of, rows))
        self._told.update(fill.exec_id for fill in fills)
        return tuple(map(self._with_cost, fills))

    def _with_cost(self, fill: Fill) -> Fill:
        cost = self._costs.get(fill.exec_id)
        return replace(fill, commission=cost.commission, commission_currency=cost.currency) if cost else fill

    def _tell_cost(self, row: CommissionRow) -> None:
        if row.commission is not None:
            self._deliver(CommissionReport(row.exec_id, row.commission, row.currency))


def fill_of(row: ExecutionRow) -> Fill:
    """The execution without its cost."""
    return Fill(row.exec_id, row.order_ref, row.named.as_symbol, row.side, row.shares, row.price, row.at)
