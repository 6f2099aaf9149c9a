"""What the owner of the account would want to know, also when nothing trades."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from core.model import CAD, USD, Currency, LimitedBy, PlanRules, Side, Targets, Totals, TradeLine, Valuation
from core.money import HUNDRED, ONE, ZERO

LEAST_IDLE_PCT = Decimal("0.1")  # what whole shares leave over of any account is no news


def owner_notes(
    targets: Targets, valuation: Valuation, lines: Iterable[TradeLine], totals: Totals, rules: PlanRules
) -> tuple[str, ...]:
    """Idle cash beyond the buffer, a debit in any currency, holdings without a target inside the band; in words."""
    lines = tuple(lines)
    return (
        *_idle_cash(targets, valuation, lines, totals, rules),
        *_debits(valuation, totals),
        *_kept_without_target(lines),
    )


def _idle_cash(
    targets: Targets, valuation: Valuation, lines: Iterable[TradeLine], totals: Totals, rules: PlanRules
) -> Iterator[str]:
    """Cash after the plan above the buffer and above what targets of less than 100 % leave in cash."""
    cad = totals.cash_after[CAD]
    cash = totals.cash_after[USD] + cad * (valuation.usd_per_cad or ZERO)
    meant = valuation.buffer + max(ZERO, ONE - targets.net) * valuation.investable
    idle, net_liq = cash - meant, valuation.net_liq
    if idle * HUNDRED < LEAST_IDLE_PCT * net_liq:
        return
    note = f"idle cash beyond the buffer: {idle:,.2f} USD, {idle * HUNDRED / net_liq:.2f} % of NetLiq"
    if cad > ZERO and not rules.funding.enabled:
        note += f"; {cad:,.2f} CAD buy nothing unless [fx] enabled = true"
    is_held_back = any(line.limited_by is LimitedBy.BAND and line.wanted > ZERO for line in lines)
    if rules.trigger.idle_cash_pct is None and is_held_back and not any(line.side is Side.BUY for line in lines):
        note += "; [rebalance] idle_cash_pct would invest it inside the bands"
    yield note


def _debits(valuation: Valuation, totals: Totals) -> Iterator[str]:
    for currency in sorted(totals.cash_after):
        before, after = valuation.cash.get(currency, ZERO), totals.cash_after[currency]
        if min(before, after) < ZERO:
            yield _debit(currency, before, after)


def _debit(currency: Currency, before: Decimal, after: Decimal) -> str:
    if after >= ZERO:
        return f"debit of {-before:,.2f} {currency}: the planned orders pay it back"
    if before >= ZERO:
        return f"debit of {-after:,.2f} {currency} after the planned orders"
    if before == after:
        return f"debit of {-before:,.2f} {currency}: nothing in the plan pays it back"
    return f"debit of {-before:,.2f} {currency}, {-after:,.2f} {currency} after the planned orders"


def _kept_without_target(lines: Iterable[TradeLine]) -> Iterator[str]:
    kept = [line.symbol for line in lines if line.untargeted and line.limited_by is LimitedBy.BAND]
    if kept:
        yield (
            f"held without a target, inside the band: {', '.join(kept)}; a row with target_pct 0 sells a symbol,"
            " [rebalance] hold_symbols keeps it"
        )
