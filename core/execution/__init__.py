"""Sending orders and seeing them end: the desk, what precedes a plan, and what is compared after it."""

from core.execution.aftermath import unexplained_changes
from core.execution.attempts import Attempts
from core.execution.desk import Desk
from core.execution.duration import longest_trading
from core.execution.leftovers import cancel_leftovers, end_survivors, respect_foreign
from core.execution.outcome import StageResult
from core.execution.preflight import ask_beforehand, check_together, refuse_for_good, refuse_for_money
from core.execution.stage import Reprice

__all__ = [
    "Attempts",
    "Desk",
    "Reprice",
    "StageResult",
    "ask_beforehand",
    "cancel_leftovers",
    "check_together",
    "end_survivors",
    "longest_trading",
    "refuse_for_good",
    "refuse_for_money",
    "respect_foreign",
    "unexplained_changes",
]
