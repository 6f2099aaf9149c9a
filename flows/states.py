"""How a run that ended is shown on the Prefect page: its state's type, name and message."""

from __future__ import annotations

from typing import Any

from prefect import State
from prefect.client.schemas.objects import StateType

from core.errors import leading
from core.masking import mask_accounts
from core.model import Ending, Outcome
from core.report import result

TYPES = {
    Ending.COMPLETED: StateType.COMPLETED,
    Ending.NO_TRADES: StateType.COMPLETED,
    Ending.REFUSED: StateType.FAILED,
    Ending.FAILED: StateType.FAILED,
    Ending.EXPIRED: StateType.FAILED,
    Ending.CANCELLED: StateType.CANCELLED,
    Ending.REJECTED: StateType.CANCELLED,
    Ending.SKIPPED: StateType.CANCELLED,
}


def final_state(outcome: Outcome) -> State[Any]:
    """The state of the flow run: named by its ending, its message `exit N: …`.

    Its data is what a plain call of the flow returns (result.json's values) or raises (the leading error).
    """
    return State(
        type=TYPES[outcome.ending],
        name=outcome.ending.value,
        message=message_of(outcome),
        data=leading(outcome.errors) if outcome.errors else result(outcome),
    )


def message_of(outcome: Outcome) -> str:
    """`exit N: …`, with the reason in full and account ids masked."""
    return mask_accounts(f"exit {outcome.exit_code:d}: {outcome.reason}", outcome.account_id)
