"""The pre-trade report, as CSV and as Markdown: everything the plan says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from core.masking import mask_account, mask_accounts
from core.model import CAD, USD, Approval, FxLeg, GateVerdict, Plan, TradeLine
from core.money import ZERO
from core.report import formats
from core.report.formats import bullets, document, section, table
from core.report.plan_tables import (
    RIGHT,
    account_figures,
    conversion_figures,
    in_pieces,
    limit_text,
    order_reason,
    outside_table,
    pct,
    totals_figures,
)
from core.report.rows import PRE_TRADE_COLUMNS, by_drift, pre_trade_rows
from core.report.sections import (
    approvals_section,
    gate_warnings,
    gates_section,
    mode_text,
    plan_warnings,
    warnings_section,
)

_PRE_TRADE_RIGHT = (
    "target_pct",
    "current_pct",
    "drift_bps",
    "price",
    "dollar_delta",
    "share_delta",
    "est_notional",
    "limit_price",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreTrade:
    """A plan with what was said of it: warnings of the run, verdicts of the gates, answers to the question."""

    plan: Plan
    warnings: tuple[str, ...] = ()
    gates: tuple[GateVerdict, ...] = ()
    approvals: tuple[Approval, ...] = ()


def pre_trade_csv(plan: Plan) -> str:
    """pre_trade.csv."""
    return formats.csv_text(PRE_TRADE_COLUMNS, (row.cells for row in pre_trade_rows(plan)))


def pre_trade_markdown(report: PreTrade) -> str:
    """pre_trade.md: everything the plan says, with what the gates and the approvers said of it."""
    plan = report.plan
    text = document(
        f"# Rebalance plan {plan.run_id}",
        _head(plan),
        section("Account", table(("account", "value"), account_figures(plan), RIGHT), _exposure(plan)),
        warnings_section(plan_warnings(plan, (*report.warnings, *gate_warnings(report.gates)))),
        section("Currency conversion", _conversion(plan.fx)),
        section("Lines", _all_lines(plan)),
        section("Why", _reasons(plan)),
        section("Sales of holdings without a target", _traded([line for line in plan.sells if line.untargeted])),
        section("Outside holdings, left alone", outside_table(plan)),
        section("Totals", table(("total", "value"), totals_figures(plan), RIGHT)),
        section("Notes", bullets(plan.notes)),
        gates_section(report.gates),
        approvals_section(report.approvals),
    )
    return mask_accounts(text, plan.account_id)


def _head(plan: Plan) -> str:
    rows = [
        ("account", mask_account(plan.account_id)),
        ("mode", mode_text(plan.mode)),
        ("made at", formats.utc(plan.created_at)),
        ("good until", formats.utc(plan.expires_at)),
        ("plan hash", in_pieces(plan.hash)),
    ]
    return table(("run", plan.run_id), rows)


def _exposure(plan: Plan) -> str:
    account = plan.valuation
    cash = account.cash.get(USD, ZERO) + account.cash.get(CAD, ZERO) * (account.usd_per_cad or ZERO)
    gross, net = account.gross_position_value, account.gross_position_value + cash
    rows = [
        ("gross", _part(gross, account.net_liq), pct(plan.targets.gross), pct(plan.totals.gross_after)),
        ("net", _part(net, account.net_liq), pct(plan.targets.net), pct(plan.totals.net_after)),
    ]
    return table(("exposure", "now", "target", "after"), rows, RIGHT)


def _conversion(leg: FxLeg | None) -> str:
    if leg is None:
        return ""
    if not leg.quantity:
        return f"None: {formats.plain(leg.reason)}"
    bought = f"{formats.grouped(leg.quantity)} USD"
    return f"{table(('BUY USD.CAD', bought), conversion_figures(leg), (bought,))}\n\n{formats.plain(leg.reason)}"


def _all_lines(plan: Plan) -> str:
    """The columns of the CSV but for its last, which would make the table too wide to read."""
    limits: dict[str, str] = {line.symbol: limit_text(line.limit) for line in plan.lines if line.side}
    # a market order has an empty limit in the CSV; a person must read that it is one
    rows = [replace(row, limit_price=limits.get(row.symbol, "")).cells[:-1] for row in pre_trade_rows(plan)]
    return table(PRE_TRADE_COLUMNS[:-1], [list(map(formats.with_commas, row)) for row in rows], _PRE_TRADE_RIGHT)


def _reasons(plan: Plan) -> str:
    return bullets(f"{line.symbol}: {order_reason(line)}" for line in by_drift(plan.lines))


def _traded(lines: Iterable[TradeLine]) -> str:
    rows = [
        (
            line.symbol,
            line.side or "",
            formats.grouped(line.quantity),
            limit_text(line.limit),
            formats.amount(line.dollars),
        )
        for line in by_drift(lines)
    ]
    return table(("symbol", "side", "shares", "limit", "USD"), rows, RIGHT) if rows else ""


def _part(amount: Decimal, whole: Decimal) -> str:
    return pct(amount / whole) if whole else ""
