"""What a person wants to know besides the tables of a plan or a result: figures and facts, as names with texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from core.masking import mask_account
from core.model import USD, Currency, FxLeg, OrderRecord, OrderState, Plan, RunResult, Side, Stage, TradeLine
from core.model.funding import FUNDING
from core.money import ZERO
from core.planning.funding import NO_CONVERSION
from core.report import formats
from core.report.columns import commissions, limit_text
from core.report.formats import in_currency, with_commas
from core.report.sections import mode_text
from core.text import counted

Fact = tuple[str, str]
"""A name and its value, as text."""


def account_facts(plan: Plan) -> tuple[Fact, ...]:
    """Whose account it is, what it is worth, and how much of that is cash."""
    account = plan.valuation
    return (
        ("account", mask_account(plan.account_id)),
        ("mode", mode_text(plan.mode)),
        ("NetLiq", usd(account.net_liq)),
        ("cash", balances_text(account.cash)),
        ("cash buffer", usd(account.buffer)),
    )


def plan_facts(plan: Plan) -> tuple[Fact, ...]:
    """What the plan trades and costs, what is left after it, and what it leaves alone; no fact without a value."""
    totals = plan.totals
    facts = (
        ("currency", _conversion(plan.fx) if plan.fx else ""),
        ("turnover", _turnover(plan) if plan.trades else ""),
        (
            "est. cost",
            f"{usd(totals.spread_cost)} of spread, plus commissions" if plan.trades else "",
        ),
        ("cash after", balances_text(totals.cash_after) if plan.trades else ""),
        ("drift", f"sum {_bps(totals.drift_before_bps)} bps now, {_bps(totals.drift_after_bps)} bps after"),
        ("no target", _untargeted(plan)),
        ("left alone", _outside(plan)),
        *(("note", note) for note in plan.notes),
    )
    return tuple((name, text) for name, text in facts if text)


def result_facts(outcome: RunResult) -> tuple[Fact, ...]:
    """What was traded and paid, the cash, and the drift that is left; what is not known is left out."""
    facts = (
        ("traded", traded_text(outcome)),
        ("cash after", balances_text(outcome.after.cash) if outcome.after else ""),
        ("drift", _drift_left(outcome)),
    )
    return tuple((name, text) for name, text in facts if text)


def traded_text(outcome: RunResult) -> str:
    """What was sold, bought and paid in commissions; empty when no order was made."""
    orders = outcome.orders
    if not orders:
        return ""
    sold, bought = (usd(_notional(orders, side)) for side in (Side.SELL, Side.BUY))
    # an unknown order may have filled, so every sum is a lower bound
    unknown = sum(record.state is OrderState.UNKNOWN for record in orders)
    if unknown:
        return f"sold at least {sold}, bought at least {bought}; what became of {counted(unknown, 'order')} is unknown"
    return f"sold {sold}, bought {bought}, {_commissions(orders)}"


def turnover(outcome: RunResult) -> Decimal | None:
    """What was sold and bought, conversions apart, in % of the plan's NetLiq; None without a plan."""
    net_liq = outcome.plan.valuation.net_liq if outcome.plan else ZERO
    return turnover_usd(outcome) / net_liq * 100 if net_liq else None


def turnover_usd(outcome: RunResult) -> Decimal:
    """What was sold and bought in USD, conversions apart."""
    return sum((_notional(outcome.orders, side) for side in Side), ZERO)


def drift_left_bps(outcome: RunResult) -> Decimal | None:
    """The sum of the absolute drift that is left of all symbols; None where it was not read."""
    residual = outcome.residual_drift_bps
    return None if residual is None else sum(map(abs, residual.values()), ZERO)


def balances_text(balances: Mapping[Currency, Decimal]) -> str:
    """`2,770.28 CAD, 681.93 USD`; empty without a balance."""
    return ", ".join(in_currency(amount, currency) for currency, amount in sorted(balances.items()))


def _conversion(leg: FxLeg) -> str:
    if not leg.quantity:
        return f"nothing converted: {why_no_conversion(leg)}"
    price = "at the market" if leg.limit_price is None else f"at {formats.price(leg.limit_price)}"
    order = f"{FUNDING.side} {formats.grouped(leg.quantity)} {FUNDING.symbol} {price}"
    return f"{order} for about {formats.amount(leg.funding_needed)} {FUNDING.currency}: {leg.reason}"


def _turnover(plan: Plan) -> str:
    sells, buys = (usd(amount) for amount in (plan.totals.sells, plan.totals.buys))
    return f"{formats.bps(plan.totals.turnover_pct)} % of NetLiq: sells {sells}, buys {buys}"


def _untargeted(plan: Plan) -> str:
    return "; ".join(
        f"SELL {formats.grouped(line.quantity)} {line.symbol}, {usd(line.dollars)}"
        for line in plan.sells
        if line.untargeted
    )


def _outside(plan: Plan) -> str:
    return "; ".join(
        f"{formats.grouped(holding.quantity)} {holding.symbol}, {usd(holding.value)} ({holding.why})"
        for holding in sorted(plan.valuation.outside, key=lambda holding: holding.symbol)
    )


def _bps(value: Decimal) -> str:
    return with_commas(formats.bps(value))


def _drift_left(outcome: RunResult) -> str:
    plan, left = outcome.plan, drift_left_bps(outcome)
    if plan is None or left is None:
        return ""
    return f"sum {_bps(plan.totals.drift_before_bps)} bps before, {_bps(left)} bps left"


def _commissions(orders: tuple[OrderRecord, ...]) -> str:
    fills = [fill for record in orders for fill in record.fills]
    sums = commissions(fills)
    if sums is None:
        unknown = sum(fill.commission is None for fill in fills)
        return f"commissions of {unknown} of {len(fills)} fills are {formats.UNKNOWN}"
    return f"commissions {balances_text(sums)}" if sums else "no commissions, as nothing filled"


def _notional(orders: Iterable[OrderRecord], side: Side) -> Decimal:
    """USD filled on one side; conversions are not trades."""
    return sum(
        (
            fill.shares * fill.price
            for record in orders
            if record.order.side is side and record.order.stage is not Stage.FX
            for fill in record.fills
        ),
        ZERO,
    )


def account_figures(plan: Plan) -> list[Fact]:
    """What the account is worth, what of it may be invested, and its margin."""
    account = plan.valuation
    return [
        ("net liquidation value", usd(account.net_liq)),
        ("the broker's figure for it", usd(account.broker_net_liq)),
        *((f"cash {currency}", in_currency(cash, currency)) for currency, cash in sorted(account.cash.items())),
        ("cash buffer", usd(account.buffer)),
        ("outside holdings", usd(sum((holding.value for holding in account.outside), ZERO))),
        ("investable value", usd(account.investable)),
        ("excess liquidity", usd(account.excess_liquidity)),
        ("maintenance margin", usd(account.maintenance_margin)),
        ("buying power (leverage, not a budget)", usd(account.buying_power)),
    ]


def totals_figures(plan: Plan) -> list[Fact]:
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
        *((f"cash {name} after", in_currency(cash, name)) for name, cash in sorted(totals.cash_after.items())),
        ("sum of absolute drift now", f"{_bps(totals.drift_before_bps)} bps"),
        ("sum of absolute drift after", f"{_bps(totals.drift_after_bps)} bps"),
    ]


def why_no_conversion(leg: FxLeg) -> str:
    """Why nothing is converted, for a text that says so itself."""
    return leg.reason.removeprefix(NO_CONVERSION)


def conversion_figures(leg: FxLeg) -> list[Fact]:
    """The purchase of USD with CAD: its rates in CAD per USD, and what it needs and is for."""
    return [
        (f"limit ({FUNDING.currency} per USD)", limit_text(leg)),
        ("planning rate", formats.price(leg.planning_rate)),
        ("worst rate", formats.price(leg.worst_rate)),
        (f"{FUNDING.currency} needed", formats.amount(leg.funding_needed)),
        ("USD short", formats.amount(leg.shortfall)),
    ]


def order_reason(line: TradeLine) -> str:
    """Why the line trades or does not, and how its limit was made."""
    priced = f"; limit: {line.limit.how}" if line.side and line.limit and line.limit.how else ""
    return f"{line.reason}{priced}"


def usd(amount: Decimal) -> str:
    """`1,234.50 USD`."""
    return in_currency(amount, USD)


def pct(fraction: Decimal) -> str:
    """A fraction in percent: 0.6 is `60.00 %`."""
    return f"{formats.percent(fraction)} %"


def in_pieces(digest: str) -> str:
    """The digest with a blank after every 16 characters, so that a narrow page can fold it."""
    return " ".join(digest[start : start + 16] for start in range(0, len(digest), 16))
