"""What the campaign must notice when it is left out: each takes one safeguard from the product, for as long as it runs.

The processes of a case are forked, so what is changed here is changed in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from core.broker.port import Broker
from core.execution import reconcile
from core.execution.reconcile import Evidence
from core.journal import Journal, MemoryStore, transitions
from core.model import Fill, OrderRef
from core.model.refs import parse_ref


@contextmanager
def changed(where: Any, name: str, to: Any) -> Iterator[None]:
    """The attribute is another for the length of the block."""
    before = getattr(where, name)
    setattr(where, name, to)
    try:
        yield
    finally:
        setattr(where, name, before)


def without_sending() -> AbstractContextManager[None]:
    """SENDING is known to the run and on no record."""
    original = Journal.sending

    def sending(self: Journal, ref: OrderRef, *, at: datetime) -> None:
        parsed = parse_ref(ref)
        assert parsed
        store, length = self._store, self._lengths[parsed.run_id]
        self._store = _Nowhere()
        original(self, ref, at=at)
        self._store, self._lengths[parsed.run_id] = store, length

    return changed(Journal, "sending", sending)


def without_executions() -> AbstractContextManager[None]:
    """The broker's list of executions is not read."""
    return _reading(lambda evidence: replace(evidence, fills=()))


def without_open_orders() -> AbstractContextManager[None]:
    """The broker's list of open orders is not read."""
    return _reading(lambda evidence: replace(evidence, working=()))


def without_execution_roots() -> AbstractContextManager[None]:
    """Every report of an execution is another fill."""

    def all_fills(fills: tuple[Fill, ...]) -> tuple[Fill, ...]:
        return tuple(fills)

    return changed(transitions, "latest_fills", all_fills)


class _Nowhere(MemoryStore):
    """Keeps nothing."""

    def append(self, run_id: Any, position: int, entry: Any) -> None:
        pass


def _reading(change: Callable[[Evidence], Evidence]) -> AbstractContextManager[None]:
    original = reconcile.read_evidence

    async def read_evidence(broker: Broker) -> Evidence:
        return change(await original(broker))

    return changed(reconcile, "read_evidence", read_evidence)


MUTATIONS: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "sending": without_sending,
    "executions": without_executions,
    "open orders": without_open_orders,
    "execution roots": without_execution_roots,
}
