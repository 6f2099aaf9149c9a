"""The one way in which portfolios are refused, and the tolerance of their sums."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from core.errors import PortfoliosInvalid

SUM_TOLERANCE = Decimal("0.01")  # percentage points in which the rows of a model may miss 100
NO_MARGIN = "CSV contains CASH but margin is disabled; [rebalance] allow_margin = true would allow it"
NEXT_STEP = "correct it and start again"


def refused(name: str, faults: Sequence[str], next_step: str = NEXT_STEP) -> PortfoliosInvalid:
    """The error with all `faults`; its message is the single fault, or how many `name` has."""
    message = faults[0] if len(faults) == 1 else f"{name}: {len(faults)} faults in the portfolios"
    return PortfoliosInvalid(message, next_step=next_step, faults=faults)
