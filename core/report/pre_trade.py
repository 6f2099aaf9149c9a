"""The plan as Markdown: the pre-trade report, and the shorter text that stands above the approval form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from core.masking import mask_account, mask_accounts
from core.model import CAD, USD, Approval, FxLeg, GateVerdict, Limit, Mode, Plan, TradeLine
from core.money import ZERO
from core.report import formats
from core.report.formats import document, section, table
from core.report.rows import PRE_TRADE_COLUMNS, by_drift, pre_trade_rows
from core.report.sections import approvals_section, gate_warnings, gates_section, plan_warnings, warnings_section

RIGHT = ("value", "shares", "limit", "USD", "now", "target", "after", "before")
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
_MODES = {
    Mode.REPORT_ONLY: "no connection, no orders",
    Mode.DRY_RUN: "no orders",
    Mode.PAPER: "orders go to the paper account",
    Mode.LIVE: "ORDERS TRADE REAL MONEY",
}


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
        section("Account", _account(plan), _exposure(plan)),
        warnings_section(plan_warnings(plan, (*report.warnings, *gate_warnings(report.gates)))),
        section("Currency conversion", _fx(plan.fx)),
        section("Lines", _all_lines(plan)),
        section("Sales of holdings without a target", _traded([line for line in plan.sells if line.untargeted])),
        section("Outside holdings, left alone", _outside(plan)),
        section("Totals", _totals(plan)),
        gates_section(report.gates),
        approvals_section(report.approvals),
    )
    return mask_accounts(text, plan.account_id)


def approval_markdown(plan: Plan, warnings: Iterable[str], part: str = "plan") -> str:
    """What the approver reads: warnings first, then every order with its limit and reason, then the totals.

    `part` is what is asked about: the plan, or the sells or buys of it.
    """
    targeted = [line for line in (*plan.sells, *plan.buys) if not line.untargeted]
    text = document(
        f"# Approve the {part} of rebalance {plan.run_id}?",
        _head(plan),
        warnings_section(plan_warnings(plan, warnings)),
        section("Currency conversion", _fx(plan.fx)),
        section("Orders", _traded(targeted) or "None in a symbol with a target."),
        section("Sales of holdings without a target", _traded([line for line in plan.sells if line.untargeted])),
        section("Totals", _totals(plan), _account(plan)),
    )
    return mask_accounts(text, plan.account_id)


def _head(plan: Plan) -> str:
    rows = [
        ("account", mask_account(plan.account_id)),
        ("mode", f"{plan.mode}: {_MODES[plan.mode]}"),
        ("made at", formats.utc(plan.created_at)),
        ("good until", formats.utc(plan.expires_at)),
        ("plan hash", _in_pieces(plan.hash)),
    ]
    return table(("run", plan.run_id), rows)


def _in_pieces(digest: str) -> str:
    """The digest with a blank after every 16 characters, so that a narrow page can fold it."""
    return " ".join(digest[start : start + 16] for start in range(0, len(digest), 16))


def _account(plan: Plan) -> str:
    account = plan.valuation
    rows = [
        ("net liquidation value", _usd(account.net_liq)),
        ("the broker's figure for it", _usd(account.broker_net_liq)),
        *((f"cash {currency}", formats.in_currency(cash, currency)) for currency, cash in sorted(account.cash.items())),
        ("cash buffer", _usd(account.buffer)),
        ("outside holdings", _usd(sum((holding.value for holding in account.outside), ZERO))),
        ("investable value", _usd(account.investable)),
        ("excess liquidity", _usd(account.excess_liquidity)),
        ("maintenance margin", _usd(account.maintenance_margin)),
        ("buying power (leverage, not a budget)", _usd(account.buying_power)),
    ]
    return table(("account", "value"), rows, RIGHT)


def _exposure(plan: Plan) -> str:
    account = plan.valuation
    cash = account.cash.get(USD, ZERO) + account.cash.get(CAD, ZERO) * (account.usd_per_cad or ZERO)
    gross, net = account.gross_position_value, account.gross_position_value + cash
    rows = [
        ("gross", _part(gross, account.net_liq), _pct(plan.targets.gross), _pct(plan.totals.gross_after)),
        ("net", _part(net, account.net_liq), _pct(plan.targets.net), _pct(plan.totals.net_after)),
    ]
    return table(("exposure", "now", "target", "after"), rows, RIGHT)


def _all_lines(plan: Plan) -> str:
    limits: dict[str, str] = {line.symbol: _limit(line.limit) for line in plan.lines if line.side}
    # a market order has an empty limit in the CSV; a person must read that it is one
    rows = [replace(row, limit_price=limits.get(row.symbol, "")).cells for row in pre_trade_rows(plan)]
    return table(PRE_TRADE_COLUMNS, rows, _PRE_TRADE_RIGHT)


def _traded(lines: Iterable[TradeLine]) -> str:
    rows = [
        (
            line.symbol,
            line.side or "",
            formats.shares(line.quantity),
            _limit(line.limit),
            formats.money(line.dollars),
            _reason(line),
        )
        for line in by_drift(lines)
    ]
    return table(("symbol", "side", "shares", "limit", "USD", "reason"), rows, RIGHT) if rows else ""


def _reason(line: TradeLine) -> str:
    priced = f"; limit: {line.limit.how}" if line.limit and line.limit.how else ""
    rest = f"; {formats.shares(line.rest)} of a share stays" if line.rest else ""
    return f"{line.reason}{priced}{rest}"


def _limit(limit: Limit | None) -> str:
    if limit is None:
        return ""
    return formats.price(limit.limit_price) if limit.limit_price is not None else limit.order_type


def _fx(leg: FxLeg | None) -> str:
    if leg is None:
        return ""
    if not leg.quantity:
        return f"None: {formats.plain(leg.reason)}"
    limit = formats.price(leg.limit_price) if leg.limit_price is not None else leg.order_type
    rows = [
        ("limit (CAD per USD)", limit),
        ("planning rate", formats.price(leg.planning_rate)),
        ("worst rate", formats.price(leg.worst_rate)),
        ("CAD needed", formats.money(leg.cad_needed)),
        ("USD short", formats.money(leg.shortfall)),
    ]
    bought = f"{formats.shares(leg.quantity)} USD"
    return f"{table(('BUY USD.CAD', bought), rows, (bought,))}\n\n{formats.plain(leg.reason)}"


def _outside(plan: Plan) -> str:
    rows = [
        (holding.symbol, formats.shares(holding.quantity), formats.money(holding.value), holding.why)
        for holding in sorted(plan.valuation.outside, key=lambda holding: holding.symbol)
    ]
    return table(("symbol", "shares", "USD", "why"), rows, RIGHT) if rows else ""


def _totals(plan: Plan) -> str:
    totals = plan.totals
    rows = [
        ("sells", _usd(totals.sells)),
        ("buys", _usd(totals.buys)),
        # the plan's figure is a percentage already
        ("turnover", f"{formats.bps(totals.turnover_pct)} %"),
        ("estimated spread cost", _usd(totals.spread_cost)),
        ("gross exposure after", _pct(totals.gross_after)),
        ("net exposure after", _pct(totals.net_after)),
        *((f"cash {name} after", formats.in_currency(cash, name)) for name, cash in sorted(totals.cash_after.items())),
        ("sum of absolute drift now", f"{formats.bps(totals.drift_before_bps)} bps"),
        ("sum of absolute drift after", f"{formats.bps(totals.drift_after_bps)} bps"),
    ]
    return table(("total", "value"), rows, RIGHT)


def _usd(amount: Decimal) -> str:
    return formats.in_currency(amount, USD)


def _pct(fraction: Decimal) -> str:
    return f"{formats.percent(fraction)} %"


def _part(amount: Decimal, whole: Decimal) -> str:
    return _pct(amount / whole) if whole else ""
