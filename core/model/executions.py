"""Which execution is the same one again: the only place that takes an execution id apart.

The broker numbers the revisions of an execution after the last dot of its id: `…01.01` is the execution as it
happened, `…01.02` its first correction (IBKR API, Execution.execId). So two ids name the same execution when they
agree up to that dot, and of the same execution only the highest revision counts: 60 shares corrected to 50 are 50.
"""

from __future__ import annotations

from collections.abc import Iterable

from core.model.orders import Fill


def split_exec_id(exec_id: str) -> tuple[str, int]:
    """What identifies the execution, and its revision (the first is 1); an id without one is revision 0 of itself.

    >>> split_exec_id("0000e0d5.6789abcd.01.02"), split_exec_id("manual"), split_exec_id("manual.b")
    (('0000e0d5.6789abcd.01', 2), ('manual', 0), ('manual.b', 0))
    """
    root, _, revision = exec_id.rpartition(".")
    return (root, int(revision)) if root and revision.isdecimal() else (exec_id, 0)


def next_exec_id(exec_id: str) -> str:
    """The id under which the broker corrects this execution.

    >>> next_exec_id("0000e0d5.6789abcd.01.01")
    '0000e0d5.6789abcd.01.02'
    """
    root, revision = split_exec_id(exec_id)
    return f"{root}.{revision + 1:02d}"


def is_same_execution(one: str, other: str) -> bool:
    """Whether two ids name the same execution, whatever their revisions.

    >>> is_same_execution("0000e0d5.01.01", "0000e0d5.01.02"), is_same_execution("0000e0d5.01.01", "0000e0d5.02.01")
    (True, False)
    """
    return split_exec_id(one)[0] == split_exec_id(other)[0]


def fill_of_execution(fills: Iterable[Fill], exec_id: str) -> Fill | None:
    """The fill among `fills` that is the same execution, at whatever revision; None when there is none."""
    return next((fill for fill in fills if is_same_execution(fill.exec_id, exec_id)), None)


def supersedes(fill: Fill, known: Fill) -> bool:
    """Whether `fill` stands in place of `known`, the same execution: a higher revision, or one that has its commission.

    A repetition without the commission does not: what was reported once is not forgotten.
    """
    if fill.exec_id == known.exec_id:
        return known.commission is None and fill.commission is not None
    return split_exec_id(fill.exec_id)[1] > split_exec_id(known.exec_id)[1]


def latest_fills(fills: Iterable[Fill]) -> tuple[Fill, ...]:
    """One fill per execution, the one that supersedes the others, in order of time (then of the id)."""
    latest: dict[str, Fill] = {}
    for fill in fills:
        root, _ = split_exec_id(fill.exec_id)
        if root not in latest or supersedes(fill, latest[root]):
            latest[root] = fill
    return tuple(sorted(latest.values(), key=lambda fill: (fill.at, fill.exec_id)))
