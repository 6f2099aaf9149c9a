"""How a run that ended is shown on the Prefect page: its state's type, name and message."""

from __future__ import annotations

from typing import Any

import httpx
from loguru import logger
from prefect import State
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException

from core.errors import leading
from core.masking import mask_accounts
from core.model import Ending, Outcome
from core.report import result
from flows.liveness import ENDING_LABEL, current_flow_run_id, put_labels

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


async def insist(state: State[Any]) -> None:
    """Put the state at the server, whatever is there: under a cancel Prefect itself takes none but Cancelled.

    It is kept in a label too, for whoever serves the run writes words of Prefect's own over it.
    """
    flow_run_id = current_flow_run_id()
    if flow_run_id is None:
        return
    await put_labels({ENDING_LABEL: f"{state.name}: {state.message}"})
    try:
        async with get_client() as client:
            await client.set_flow_run_state(flow_run_id, bare(state), force=True)
    except (httpx.HTTPError, PrefectException) as error:
        logger.debug("the state could not be set: {}", error)


def bare(state: State[Any]) -> State[Any]:
    """The state as the server keeps it, without its data."""
    return State(type=state.type, name=state.name, message=state.message)


def message_of(outcome: Outcome) -> str:
    """`exit N: …`, with the reason in full and account ids masked."""
    return mask_accounts(f"exit {outcome.exit_code:d}: {outcome.reason}", outcome.account_id)
