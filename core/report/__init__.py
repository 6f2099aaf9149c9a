"""What a run reports: CSV, Markdown, result.json and pages, all from Plan and RunResult alone; `runlog` is its log."""

from core.report.columns import TOTAL, trade_rows
from core.report.documents import plan_json, result, result_json
from core.report.facts import account_facts, plan_facts, result_facts
from core.report.files import (
    POST_TRADE_FILES,
    PRE_TRADE_FILES,
    ReportFile,
    Written,
    report_folder,
    try_reports,
    write_files,
    write_page,
    write_pre_trade,
    write_reports,
    write_texts,
)
from core.report.page_charts import planned_weights, weights
from core.report.pages import approval_markdown, chart_page, files_page, plan_page, plan_summary, result_page
from core.report.post_trade import order_notes, post_trade_csv, post_trade_markdown
from core.report.pre_trade import PreTrade, pre_trade_csv, pre_trade_markdown
from core.report.report_html import report_html
from core.report.sections import plan_warnings, run_warnings, verdict_table
from core.report.web_page import Chart

__all__ = [
    "POST_TRADE_FILES",
    "PRE_TRADE_FILES",
    "TOTAL",
    "Chart",
    "PreTrade",
    "ReportFile",
    "Written",
    "account_facts",
    "approval_markdown",
    "chart_page",
    "files_page",
    "order_notes",
    "plan_facts",
    "plan_json",
    "plan_page",
    "plan_summary",
    "plan_warnings",
    "planned_weights",
    "post_trade_csv",
    "post_trade_markdown",
    "pre_trade_csv",
    "pre_trade_markdown",
    "report_folder",
    "report_html",
    "result",
    "result_facts",
    "result_json",
    "result_page",
    "run_warnings",
    "trade_rows",
    "try_reports",
    "verdict_table",
    "weights",
    "write_files",
    "write_page",
    "write_pre_trade",
    "write_reports",
    "write_texts",
]
