"""What a run tells: rows, CSV, Markdown and result.json, all from Plan and RunResult alone; `runlog` is its log."""

from core.report.approval import approval_markdown, plan_page, plan_summary
from core.report.facts import account_facts, plan_facts, result_facts
from core.report.files import report_folder, write_pre_trade, write_reports
from core.report.plan_document import plan_json
from core.report.post_trade import order_notes, post_trade_csv, post_trade_markdown
from core.report.pre_trade import PreTrade, pre_trade_csv, pre_trade_markdown
from core.report.result import result, result_json
from core.report.result_page import result_page
from core.report.rows import (
    POST_TRADE_COLUMNS,
    PRE_TRADE_COLUMNS,
    TOTAL,
    PostTradeRow,
    PreTradeRow,
    post_trade_rows,
    pre_trade_rows,
)
from core.report.sections import plan_warnings, run_warnings, verdict_table

__all__ = [
    "POST_TRADE_COLUMNS",
    "PRE_TRADE_COLUMNS",
    "TOTAL",
    "PostTradeRow",
    "PreTrade",
    "PreTradeRow",
    "account_facts",
    "approval_markdown",
    "order_notes",
    "plan_facts",
    "plan_json",
    "plan_page",
    "plan_summary",
    "plan_warnings",
    "post_trade_csv",
    "post_trade_markdown",
    "post_trade_rows",
    "pre_trade_csv",
    "pre_trade_markdown",
    "pre_trade_rows",
    "report_folder",
    "result",
    "result_facts",
    "result_json",
    "result_page",
    "run_warnings",
    "verdict_table",
    "write_pre_trade",
    "write_reports",
]
