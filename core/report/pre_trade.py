"""The pre-trade report, as CSV and as Markdown: all of the plan."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from core.masking import mask_account, mask_accounts
from core.model import FUNDING, USD, Approval, FxLeg, GateVerdict, Plan
from core.money import ZERO
from core.report import formats
from core.report.columns import (
    OUTSIDE_TABLE,
    PLAN_FILE,
    PLAN_TABLE,
    UNTARGETED_TABLE,
    by_drift,
    csv_of,
    figures_of,
    markdown_of,
)
from core.report.facts import (
    account_figures,
    conversion_figures,
    in_pieces,
    order_reason,
    pct,
    totals_figures,
    why_no_conversion,
)
from core.report.formats import bullets, document, section, table
from core.report.sections import (
    approvals_section,
    gate_warnings,
    gates_section,
    mode_text,
    plan_warnings,
    warnings_section,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreTrade:
    """A plan with what belongs to it: warnings of the run, verdicts of the gates, answers to the approval."""

    plan: Plan
    warnings: tuple[str, ...] = ()
    gates: tuple[GateVerdict, ...] = ()
    approvals: tuple[Approval, ...] = ()


def pre_trade_csv(plan: Plan) -> str:
    """pre_trade.csv: a row for every symbol of the universe, largest |drift| first, ties by symbol; the totals last."""
    return csv_of(PLAN_FILE, by_drift(plan.lines), plan)


def pre_trade_markdown(report: PreTrade) -> str:
    """pre_trade.md: all of the plan, with the verdicts of the gates and the answers of the approvers."""
    plan = report.plan
    untargeted = [line for line in plan.sells if line.untargeted]
    outside = sorted(plan.valuation.outside, key=lambda holding: holding.symbol)
    text = document(
        f"# Rebalance plan {plan.run_id}",
        _head(plan),
        section("Account", figures_of("account", account_figures(plan)), _exposure(plan)),
        warnings_section(plan_warnings(plan, (*report.warnings, *gate_warnings(report.gates)))),
        section("Currency conversion", _conversion(plan.fx)),
        section("Lines", markdown_of(PLAN_TABLE, by_drift(plan.lines), plan)),
        section("Why", _reasons(plan)),
        section("Sales of holdings without a target", markdown_of(UNTARGETED_TABLE, by_drift(untargeted))),
        section("Outside holdings, left alone", markdown_of(OUTSIDE_TABLE, outside)),
        section("Totals", figures_of("total", totals_figures(plan))),
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
    cash = account.cash.get(USD, ZERO) + account.cash.get(FUNDING.currency, ZERO) * (account.usd_per_funding or ZERO)
    gross, net = account.gross_position_value, account.gross_position_value + cash
    rows = [
        ("gross", _part(gross, account.net_liq), pct(plan.targets.gross), pct(plan.totals.gross_after)),
        ("net", _part(net, account.net_liq), pct(plan.targets.net), pct(plan.totals.net_after)),
    ]
    return table(("exposure", "now", "target", "after"), rows, right=("now", "target", "after"))


def _conversion(leg: FxLeg | None) -> str:
    if leg is None:
        return ""
    if not leg.quantity:
        return f"None: {formats.plain(why_no_conversion(leg))}"
    bought = f"{formats.grouped(leg.quantity)} USD"
    figures = figures_of(f"{FUNDING.side} {FUNDING.symbol}", conversion_figures(leg), bought)
    return f"{figures}\n\n{formats.plain(leg.reason)}"


def _reasons(plan: Plan) -> str:
    return bullets(f"{line.symbol}: {order_reason(line)}" for line in by_drift(plan.lines))


def _part(amount: Decimal, whole: Decimal) -> str:
    return pct(amount / whole) if whole else ""
