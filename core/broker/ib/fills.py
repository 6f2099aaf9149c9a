"""Executions and their commissions, joined in whatever order they arrive, each emitted once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from core.broker.ib.messages import CommissionRow, ExecutionRow
from core.model import BrokerEvent, CommissionReport, Fill
from core.model.executions import latest_fills, split_exec_id, supersedes


class Fills:
    """The executions of one account on this connection; `emit` gets those that happen now and their commissions.

    An execution belongs to the order whose reference it carries, not to its order id: a gateway that was restarted
    may give the same id out again.
    """

    def __init__(self, emit: Callable[[BrokerEvent], None]) -> None:
        self._emit = emit
        self._newest: dict[str, Fill] = {}
        self._emitted: set[str] = set()
        self._commissions: dict[str, CommissionRow] = {}

    def on_execution(self, row: ExecutionRow) -> None:
        """Emit a fill or its correction; a repetition and an older revision are ignored."""
        fill = fill_of(row)
        root, _ = split_exec_id(fill.exec_id)
        if root in self._newest and not supersedes(fill, self._newest[root]):
            return
        self._newest[root] = fill
        self._emitted.add(fill.exec_id)
        self._emit(fill)
        # a gateway promises no order: the commission may have arrived first
        if row.exec_id in self._commissions:
            self._emit_commission(self._commissions[row.exec_id])

    def on_commission(self, row: CommissionRow) -> None:
        """Emit a commission, once its execution is known; again only if it changes."""
        if row.commission is None or self._commissions.get(row.exec_id) == row:
            return
        self._commissions[row.exec_id] = row
        if row.exec_id in self._emitted:
            self._emit_commission(row)

    def latest_of(self, rows: Iterable[ExecutionRow]) -> tuple[Fill, ...]:
        """The newest revision of each listed execution, with its commission where known, in order of time."""
        fills = latest_fills(map(fill_of, rows))
        self._emitted.update(fill.exec_id for fill in fills)
        return tuple(map(self._with_commission, fills))

    def _with_commission(self, fill: Fill) -> Fill:
        row = self._commissions.get(fill.exec_id)
        return replace(fill, commission=row.commission, commission_currency=row.currency) if row else fill

    def _emit_commission(self, row: CommissionRow) -> None:
        if row.commission is not None:
            self._emit(CommissionReport(row.exec_id, row.commission, row.currency))


def fill_of(row: ExecutionRow) -> Fill:
    """The execution without its commission."""
    return Fill(row.exec_id, row.order_ref, row.contract.as_symbol, row.side, row.shares, row.price, row.at)
