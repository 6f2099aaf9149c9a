"""The parts of a plan as Markdown, as the pre-trade report and the pages of Prefect show them."""

from __future__ import annotations

from decimal import Decimal

from core.model import USD, FxLeg, Limit, Plan, TradeLine
from core.money import ZERO
from core.report import formats
from core.report.formats import table

Figures = list[tuple[str, str]]
"""Names with their values, as text."""

RIGHT = ("value", "shares", "limit", "USD", "now", "target", "after", "before")


def account_figures(plan: Plan) -> Figures:
    """What the account is worth, what of it may be invested, and its margin."""
    account = plan.valuation
    return [
        ("net liquidation value", usd(account.net_liq)),
        ("the broker's figure for it", usd(account.broker_net_liq)),
        *((f"cash {currency}", formats.in_currency(cash, currency)) for currency, cash in sorted(account.cash.items())),
        ("cash buffer", usd(account.buffer)),
        ("outside holdings", usd(sum((holding.value for holding in account.outside), ZERO))),
        ("investable value", usd(account.investable)),
        ("excess liquidity", usd(account.excess_liquidity)),
        ("maintenance margin", usd(account.maintenance_margin)),
        ("buying power (leverage, not a budget)", usd(account.buying_power)),
    ]


def totals_figures(plan: Plan) -> Figures:
    """Sums of the plan: dollars, exposure, cash and drift afterwards."""
    totals = plan.totals
    return [
        ("sells", usd(totals.sells)),
        ("buys", usd(totals.buys)),
        # the plan's figure is a percentage already
        ("turnover", f"{formats.bps(totals.turnover_pct)} %"),
        ("estimated spread cost", usd(totals.spread_cost)),
        ("gross exposure after", pct(totals.gross_after)),
        ("net exposure after", pct(totals.net_after)),
        *((f"cash {name} after", formats.in_currency(cash, name)) for name, cash in sorted(totals.cash_after.items())),
        ("sum of absolute drift now", formats.with_commas(f"{formats.bps(totals.drift_before_bps)} bps")),
        ("sum of absolute drift after", formats.with_commas(f"{formats.bps(totals.drift_after_bps)} bps")),
    ]


def conversion_figures(leg: FxLeg) -> Figures:
    """The purchase of USD with CAD: its rates in CAD per USD, and what it needs and is for."""
    limit = formats.price(leg.limit_price) if leg.limit_price is not None else leg.order_type
    return [
        ("limit (CAD per USD)", limit),
        ("planning rate", formats.price(leg.planning_rate)),
        ("worst rate", formats.price(leg.worst_rate)),
        ("CAD needed", formats.amount(leg.cad_needed)),
        ("USD short", formats.amount(leg.shortfall)),
    ]


def outside_table(plan: Plan) -> str:
    """Positions that the plan may not touch, each with the reason; empty without one."""
    rows = [
        (
            holding.symbol,
            formats.grouped(holding.quantity),
            formats.amount(holding.value),
            holding.why,
        )
        for holding in sorted(plan.valuation.outside, key=lambda holding: holding.symbol)
    ]
    return table(("symbol", "shares", "USD", "why"), rows, RIGHT) if rows else ""


def order_reason(line: TradeLine) -> str:
    """Why the line trades or does not, and how its limit was made."""
    priced = f"; limit: {line.limit.how}" if line.side and line.limit and line.limit.how else ""
    return f"{line.reason}{priced}"


def limit_text(limit: Limit | None) -> str:
    """The limit price, or the order type of an order without one; empty when the line has none yet."""
    if limit is None:
        return ""
    return formats.price(limit.limit_price) if limit.limit_price is not None else limit.order_type


def usd(amount: Decimal) -> str:
    """`1,234.50 USD`."""
    return formats.in_currency(amount, USD)


def pct(fraction: Decimal) -> str:
    """A fraction in percent: 0.6 is `60.00 %`."""
    return f"{formats.percent(fraction)} %"


def in_pieces(digest: str) -> str:
    """The digest with a blank after every 16 characters, so that a narrow page can fold it."""
    return " ".join(digest[start : start + 16] for start in range(0, len(digest), 16))
