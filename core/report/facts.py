"""What a person wants to know beside the table of a plan, as names and texts: the account before it, the sums after."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from core.masking import mask_account
from core.model import USD, Currency, FxLeg, Plan
from core.report import formats
from core.report.formats import in_currency, with_commas
from core.report.sections import mode_text

Fact = tuple[str, str]


def account_facts(plan: Plan) -> tuple[Fact, ...]:
    """Whose account it is, what it is worth, and how much of that is cash."""
    account = plan.valuation
    return (
        ("account", mask_account(plan.account_id)),
        ("mode", mode_text(plan.mode)),
        ("NetLiq", in_currency(account.net_liq, USD)),
        ("cash", balances_text(account.cash)),
        ("cash buffer", in_currency(account.buffer, USD)),
    )


def plan_facts(plan: Plan) -> tuple[Fact, ...]:
    """What the plan trades and costs, what is left after it, and what it leaves alone; nothing that is not there."""
    totals = plan.totals
    facts = (
        ("currency", _conversion(plan.fx) if plan.fx else ""),
        ("turnover", _turnover(plan)),
        ("est. cost", f"{in_currency(totals.spread_cost, USD)} of spread, and commissions" if plan.trades else ""),
        ("cash after", balances_text(totals.cash_after)),
        ("drift", f"sum {_bps(totals.drift_before_bps)} bps now, {_bps(totals.drift_after_bps)} bps after"),
        ("no target", _untargeted(plan)),
        ("left alone", _outside(plan)),
    )
    return tuple((name, text) for name, text in facts if text)


def balances_text(balances: Mapping[Currency, Decimal]) -> str:
    """`2,770.28 CAD, 681.93 USD`; empty without a balance."""
    return ", ".join(in_currency(amount, currency) for currency, amount in sorted(balances.items()))


def _conversion(leg: FxLeg) -> str:
    if not leg.quantity:
        return f"nothing converted: {leg.reason}"
    price = "at the market" if leg.limit_price is None else f"at {formats.price(leg.limit_price)}"
    cad = formats.amount(leg.cad_needed)
    return f"BUY {formats.grouped(leg.quantity)} USD.CAD {price} for about {cad} CAD: {leg.reason}"


def _turnover(plan: Plan) -> str:
    sells, buys = (in_currency(amount, USD) for amount in (plan.totals.sells, plan.totals.buys))
    return f"{formats.bps(plan.totals.turnover_pct)} % of NetLiq: sells {sells}, buys {buys}"


def _untargeted(plan: Plan) -> str:
    return "; ".join(
        f"SELL {formats.grouped(line.quantity)} {line.symbol}, {in_currency(line.dollars, USD)}"
        for line in plan.sells
        if line.untargeted
    )


def _outside(plan: Plan) -> str:
    return "; ".join(
        f"{formats.grouped(holding.quantity)} {holding.symbol}, {in_currency(holding.value, USD)} ({holding.why})"
        for holding in sorted(plan.valuation.outside, key=lambda holding: holding.symbol)
    )


def _bps(value: Decimal) -> str:
    return with_commas(formats.bps(value))
