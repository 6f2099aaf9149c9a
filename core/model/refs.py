"""Order references: the only identity an order of ours has, `RB-<run id>-<F|S|B><line>-<attempt>`.

The run id is a hash of the flow-run id, so a retry of the same run finds its own orders again, and no
other run ever makes the same reference.
"""

from __future__ import annotations

import re
from base64 import b32encode
from dataclasses import dataclass
from hashlib import sha256

from core.model import OrderRef, RunId, Stage

PREFIX = "RB"
RUN_ID_LENGTH = 12
# IBKR documents no limit for orderRef; short ASCII is the least likely to be truncated or changed
MAX_LENGTH = 32
_OURS = re.compile(r"RB-([A-Za-z0-9]+)-([FSB])([1-9][0-9]*)-([1-9][0-9]*)")
_STAGES = {stage.value[0]: stage for stage in Stage}


@dataclass(frozen=True, slots=True)
class ParsedRef:
    """An order reference taken apart; `line` and `attempt` count from 1."""

    run_id: RunId
    stage: Stage
    line: int
    attempt: int


def run_id_of(flow_run_id: str) -> RunId:
    """The 12 base32 characters (A–Z, 2–7) that stand for a flow run; the same for every retry of it.

    60 bits: two of a million runs share an id with a chance below one in a million.
    """
    return RunId(b32encode(sha256(flow_run_id.encode()).digest()).decode("ascii")[:RUN_ID_LENGTH])


def order_ref(run_id: RunId, stage: Stage, line: int, attempt: int) -> OrderRef:
    """The reference of one order, ASCII and at most 32 characters.

    Raises ValueError where that is impossible: a foreign run id, a line or an attempt below 1.

    >>> order_ref(RunId("ABCDEFGHIJ23"), Stage.SELL, 2, 1)
    'RB-ABCDEFGHIJ23-S2-1'
    """
    ref = f"{PREFIX}-{run_id}-{stage.value[0]}{line}-{attempt}"
    if len(ref) > MAX_LENGTH or parse_ref(ref) is None:
        raise ValueError(f"no order reference can be made of {ref!r}")
    return OrderRef(ref)


def parse_ref(ref: str) -> ParsedRef | None:
    """The parts of a reference of ours; None for anybody else's."""
    found = _OURS.fullmatch(ref)
    if found is None:
        return None
    run_id, letter, line, attempt = found.groups()
    return ParsedRef(RunId(run_id), _STAGES[letter], int(line), int(attempt))


def belongs_to_us(ref: str) -> bool:
    """Whether this product made the reference, in this run or an earlier one."""
    return parse_ref(ref) is not None
