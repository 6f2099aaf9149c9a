"""Sending orders and seeing them end: the desk, what precedes a plan, and what is compared after it."""

from core.execution.attempts import Attempts
from core.execution.duration import longest_trading
from core.execution.executor import OrderExecutor
from core.execution.orphaned_orders import cancel_orphaned_orders, end_survivors, respect_foreign
from core.execution.position_check import unexplained_changes
from core.execution.preflight import ask_beforehand, check_together, refuse_for_good, refuse_for_money
from core.execution.stage import Reprice
from core.execution.stage_result import StageResult

__all__ = [
    "Attempts",
    "OrderExecutor",
    "Reprice",
    "StageResult",
    "ask_beforehand",
    "cancel_orphaned_orders",
    "check_together",
    "end_survivors",
    "longest_trading",
    "refuse_for_good",
    "refuse_for_money",
    "respect_foreign",
    "unexplained_changes",
]
