"""Executions and what they cost, joined in whatever order they come, each told once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from core.broker.ib.messages import CommissionRow, ExecutionRow
from core.model import BrokerEvent, CommissionReport, Fill


class Fills:
    """The executions of one account on this connection; `deliver` gets those that happen now and their costs.

    An execution is its order's by the reference it carries: an order id may be given out again after the gateway
    was restarted.
    """

    def __init__(self, deliver: Callable[[BrokerEvent], None]) -> None:
        self._deliver = deliver
        self._revisions: dict[str, tuple[int, str]] = {}
        self._told: set[str] = set()
        self._costs: dict[str, CommissionRow] = {}

    def hear_execution(self, row: ExecutionRow) -> None:
        """Something filled, or was corrected; a repetition and an older revision are nothing new."""
        root, revision = parts_of(row.exec_id)
        if revision <= self._revisions.get(root, (-1, ""))[0]:
            return
        self._revisions[root] = revision, row.exec_id
        self._told.add(row.exec_id)
        self._deliver(fill_of(row))
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
        newest: dict[str, ExecutionRow] = {}
        for row in rows:
            root, revision = parts_of(row.exec_id)
            if root not in newest or revision > parts_of(newest[root].exec_id)[1]:
                newest[root] = row
        self._told.update(row.exec_id for row in newest.values())
        return tuple(sorted(map(self._with_cost, newest.values()), key=lambda fill: (fill.at, fill.exec_id)))

    def _with_cost(self, row: ExecutionRow) -> Fill:
        cost = self._costs.get(row.exec_id)
        if cost is None:
            return fill_of(row)
        return replace(fill_of(row), commission=cost.commission, commission_currency=cost.currency)

    def _tell_cost(self, row: CommissionRow) -> None:
        if row.commission is not None:
            self._deliver(CommissionReport(row.exec_id, row.commission, row.currency))


def fill_of(row: ExecutionRow) -> Fill:
    """The execution without its cost."""
    return Fill(row.exec_id, row.order_ref, row.named.as_symbol, row.side, row.shares, row.price, row.at)


def parts_of(exec_id: str) -> tuple[str, int]:
    """What identifies an execution, and its revision; an id without one counts as revision 0.

    >>> parts_of("0000e0d5.6789abcd.01.02")
    ('0000e0d5.6789abcd.01', 2)
    """
    head, _, tail = exec_id.rpartition(".")
    return (head, int(tail)) if head and tail.isdecimal() else (exec_id, 0)
