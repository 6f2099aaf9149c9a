"""How a run that ended is shown on the Prefect page: its state's type, name and message."""

from __future__ import annotations

from typing import Any

from prefect import State
from prefect.client.schemas.objects import FlowRun, StateType

from core.errors import leading
from core.masking import mask_accounts
from core.model import RunEnding, RunResult
from core.report import result

ENDING_LABEL = "rebalance.ending"
TYPES = {
    RunEnding.COMPLETED: StateType.COMPLETED,
    RunEnding.NO_TRADES: StateType.COMPLETED,
    RunEnding.REFUSED: StateType.FAILED,
    RunEnding.FAILED: StateType.FAILED,
    RunEnding.EXPIRED: StateType.FAILED,
    RunEnding.CANCELLED: StateType.CANCELLED,
    RunEnding.REJECTED: StateType.CANCELLED,
    RunEnding.SKIPPED: StateType.CANCELLED,
}


def final_state(outcome: RunResult) -> State[Any]:
    """The state of the flow run: named by its ending, its message `exit N: …`.

    Its data is what a plain call of the flow returns (result.json's values) or raises (the leading error).
    """
    return State(
        type=TYPES[outcome.ending],
        name=outcome.ending.value,
        message=message_of(outcome),
        data=leading(outcome.errors) if outcome.errors else result(outcome),
    )


def ending_label(state: State[Any]) -> dict[str, str]:
    """The label in which a flow run keeps its final state."""
    return {ENDING_LABEL: f"{state.name}: {state.message}"}


def labelled_ending(run: FlowRun) -> State[Any] | None:
    """The final state that the run gave itself; None when it has not ended itself."""
    name, _, message = str(run.labels.get(ENDING_LABEL, "")).partition(": ")
    ending = next((each for each in RunEnding if each.value == name), None)
    return State(type=TYPES[ending], name=name, message=message) if ending else None


def message_of(outcome: RunResult) -> str:
    """`exit N: …`, with the reason in full and account ids masked."""
    return mask_accounts(f"exit {outcome.exit_code:d}: {outcome.reason}", outcome.account_id)
