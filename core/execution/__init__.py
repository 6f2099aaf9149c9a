"""Building orders, sending them, following each to its end, and reconciling with the broker's lists."""

from core.execution.checks import (
    check_foreign_orders,
    check_journal_is_newest,
    longest_trading,
    overdrafts,
    unexplained_changes,
)
from core.execution.executor import OrderExecutor
from core.execution.ledger import LEDGER_SECONDS, LOOK_SECONDS, unbooked
from core.execution.orders import Attempts, conversion_order, stage_orders
from core.execution.preflight import ask_what_if, check_combined_margin, refuse_permanent, refuse_unfunded
from core.execution.reconcile import cancel_orphaned_orders, cancel_still_working, read_evidence
from core.execution.recovery import recover, recovered_error, recovered_result
from core.execution.stage import Refresh, Reprice
from core.execution.stage_result import StageResult

__all__ = [
    "LEDGER_SECONDS",
    "LOOK_SECONDS",
    "Attempts",
    "OrderExecutor",
    "Refresh",
    "Reprice",
    "StageResult",
    "ask_what_if",
    "cancel_orphaned_orders",
    "cancel_still_working",
    "check_combined_margin",
    "check_foreign_orders",
    "check_journal_is_newest",
    "conversion_order",
    "longest_trading",
    "overdrafts",
    "read_evidence",
    "recover",
    "recovered_error",
    "recovered_result",
    "refuse_permanent",
    "refuse_unfunded",
    "stage_orders",
    "unbooked",
    "unexplained_changes",
]
