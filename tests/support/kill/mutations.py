"""What the campaign must notice when it is left out: each takes one safeguard from the product, for as long as it runs.

The processes of a case are forked, so what is changed here is changed in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from core.broker.port import Broker
from core.execution import absence, reconcile, recovery
from core.execution.reconcile import Evidence
from core.execution.tracker import OrderTracker
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


def without_completed_orders() -> AbstractContextManager[None]:
    """The broker's list of ended orders is not read."""
    return _reading(lambda evidence: replace(evidence, completed=()))


def without_account() -> AbstractContextManager[None]:
    """What the account holds proves nothing."""
    return _without_rule("_is_in_account")


def without_trading_day() -> AbstractContextManager[None]:
    """Lists of another day, read at any moment, count as well as those of the order's own."""
    return _without_rule("_is_too_soon")


@contextmanager
def without_second_look() -> Iterator[None]:
    """The second round of witnesses is read right after the first, and counts."""

    async def no_wait(_tracker: OrderTracker, _duration: timedelta) -> None:
        pass

    with without_trading_day(), changed(recovery, "_wait", no_wait):
        yield


def without_execution_roots() -> AbstractContextManager[None]:
    """Every report of an execution is another fill."""

    def all_fills(fills: tuple[Fill, ...]) -> tuple[Fill, ...]:
        return tuple(fills)

    return changed(transitions, "latest_fills", all_fills)


def _without_rule(name: str) -> AbstractContextManager[None]:
    rules = tuple(rule for rule in absence._RULES if rule.__name__ != name)
    assert len(rules) == len(absence._RULES) - 1
    return changed(absence, "_RULES", rules)


class _Nowhere(MemoryStore):
    """Keeps nothing."""

    def append(self, run_id: Any, position: int, entry: Any) -> None:
        pass


def _reading(change: Callable[[Evidence], Evidence]) -> AbstractContextManager[None]:
    original = reconcile.read_evidence

    async def read_evidence(broker: Broker) -> Evidence:
        return change(await original(broker))

    return changed(reconcile, "read_evidence", read_evidence)


@dataclass(frozen=True, slots=True)
class Mutation:
    """What is left out, a case that then breaks a rule, and that rule's name."""

    leave_out: Callable[[], AbstractContextManager[None]]
    case: str
    rule: str


MUTATIONS: Mapping[str, Mutation] = {
    "sending": Mutation(without_sending, "K3 BUY HOLDS SAME", "c"),
    "open orders": Mutation(without_open_orders, "K5 BUY FILLS_PART SAME", "known"),
    "completed orders": Mutation(without_completed_orders, "K4 BUY REJECTS SAME", "h"),
    "executions": Mutation(without_executions, "K5 BUY FILLS_ALL SAME", "known"),
    "account": Mutation(without_account, "K3 FX FILLS_ALL BLANK", "h"),
    "trading day": Mutation(without_trading_day, "K3 BUY HOLDS NEXT_DAY", "h"),
    "second look": Mutation(without_second_look, "K2 BUY HOLDS SAME", "proof"),
    "execution roots": Mutation(without_execution_roots, "K5 BUY FILLS_ALL SAME", "f"),
}
