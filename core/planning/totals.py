"""The sums of a plan, the rule that looks at one of them, and what the owner should know of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from core.errors import SafetyRefused
from core.model import (
    FUNDING,
    USD,
    Currency,
    FxLeg,
    LimitedBy,
    Side,
    Targets,
    Totals,
    TradeLine,
    Valuation,
)
from core.money import BPS, HUNDRED, ONE, ZERO, plain
from core.planning.funding import Proceeds
from core.settings import RebalanceSection, Settings

BUY = Side.BUY
LEAST_IDLE_PCT = Decimal("0.1")  # what whole shares leave over of any account is not worth a note


def totals_of(
    lines: tuple[TradeLine, ...], valuation: Valuation, proceeds: Proceeds, fx: FxLeg | None, commission: Decimal
) -> Totals:
    """The sums over `lines`. Turnover counts both sides: selling and buying for 10 % of NetLiq each is 20 %.

    Cash after is what is left if every order fills at its worst price, commissions paid, the conversion at
    its planning rate. `net_after` is everything owned less everything owed, of NetLiq: 1 but for the costs.
    """
    sums = _sums(lines, valuation.investable)
    sells, buys = sums.sells, sums.buys
    spent = proceeds.total - sums.paid - commission * sums.bought
    given = proceeds.converted * fx.planning_rate if fx and fx.planning_rate else ZERO
    cash_after = dict(valuation.cash)
    cash_after[USD] = cash_after.get(USD, ZERO) + spent
    cash_after[FUNDING.currency] = cash_after.get(FUNDING.currency, ZERO) - given
    net_liq = valuation.net_liq
    net_change = buys - sells + spent - given * (valuation.usd_per_funding or ZERO)
    return Totals(
        sells=sells,
        buys=buys,
        turnover_pct=(sells + buys) * HUNDRED / net_liq,
        spread_cost=sums.spread_cost,
        gross_after=(valuation.gross_position_value - sells + buys) / net_liq,
        net_after=(net_liq + net_change) / net_liq,
        cash_after=cash_after,
        drift_before_bps=sums.drift_before_bps,
        drift_after_bps=sums.drift_after_bps,
    )


class _Sums(NamedTuple):
    """Σ over lines, in USD and bps: as in Totals, and of the buys what is `paid` at worst prices, and their number."""

    sells: Decimal
    buys: Decimal
    paid: Decimal
    bought: int
    spread_cost: Decimal
    drift_before_bps: Decimal
    drift_after_bps: Decimal


def _sums(lines: Iterable[TradeLine], investable: Decimal) -> _Sums:
    # one pass and not one per sum: the lines of thousands of symbols come from memory each time, not from the cache
    sells = buys = paid = spread_cost = before = after = ZERO
    bought = 0
    for line in lines:
        limit, wanted = line.limit, line.wanted
        drift = abs(wanted) * BPS / investable
        before += drift
        if limit is None:
            after += drift
            continue
        quantity, price, worst = line.quantity, line.price.value, limit.worst_price
        dollars = quantity * price
        if line.side is BUY:
            buys, bought, paid, left = buys + dollars, bought + 1, paid + quantity * worst, dollars - wanted
        else:
            sells, left = sells + dollars, dollars + wanted
        after += abs(left) * BPS / investable
        # how far the worst price is from the mid, or from the valuation price without one
        spread_cost += quantity * abs(worst - (limit.market.mid if limit.market else price))
    return _Sums(sells, buys, paid, bought, spread_cost, before, after)


def check_turnover(totals: Totals, net_liq: Decimal, rebalance: RebalanceSection) -> None:
    """Raise SafetyRefused when sells and buys together are above max_turnover_pct of NetLiq."""
    most = rebalance.max_turnover_pct
    if most is None or (totals.sells + totals.buys) * HUNDRED <= most * net_liq:
        return
    raise SafetyRefused(
        f"the plan turns over {totals.turnover_pct:.2f} % of NetLiq (sells {totals.sells:.2f},"
        f" buys {totals.buys:.2f} USD), above max_turnover_pct {plain(most)}",
        next_step="check targets and prices; if the plan is intended, raise [rebalance] max_turnover_pct",
    )


def owner_notes(
    targets: Targets, valuation: Valuation, lines: Iterable[TradeLine], totals: Totals, settings: Settings
) -> tuple[str, ...]:
    """Idle cash beyond the buffer, in any currency, a debit in any, holdings without a target inside the band."""
    lines = tuple(lines)
    return (
        *_idle_cash(targets, valuation, lines, totals, settings),
        *_unconverted_cash(valuation),
        *_debits(valuation, totals),
        *_kept_without_target(lines),
    )


def _idle_cash(
    targets: Targets, valuation: Valuation, lines: Iterable[TradeLine], totals: Totals, settings: Settings
) -> Iterator[str]:
    """Cash after the plan above the buffer and above what targets of less than 100 % leave in cash."""
    cad = totals.cash_after[FUNDING.currency]
    cash = totals.cash_after[USD] + cad * (valuation.usd_per_funding or ZERO)
    meant = valuation.buffer + max(ZERO, ONE - targets.net) * valuation.investable
    idle, net_liq = cash - meant, valuation.net_liq
    if idle * HUNDRED < LEAST_IDLE_PCT * net_liq:
        return
    note = f"idle cash beyond the buffer: {idle:,.2f} USD, {idle * HUNDRED / net_liq:.2f} % of NetLiq"
    if cad > ZERO and not settings.fx.enabled:
        note += f"; {cad:,.2f} {FUNDING.currency} buy nothing unless [fx] enabled = true"
    is_held_back = any(line.limited_by is LimitedBy.BAND and line.wanted > ZERO for line in lines)
    if settings.rebalance.idle_cash_pct is None and is_held_back and not any(line.side is Side.BUY for line in lines):
        note += "; [rebalance] idle_cash_pct would invest it inside the bands"
    yield note


def _unconverted_cash(valuation: Valuation) -> Iterator[str]:
    """Cash that NetLiq counts, and that stays what it is whatever the settings."""
    for currency, usd in valuation.unconverted.items():
        if usd > ZERO:
            yield (
                f"cash of {valuation.cash[currency]:,.2f} {currency}: {usd:,.2f} USD,"
                f" {usd * HUNDRED / valuation.net_liq:.2f} % of NetLiq, which nothing here converts"
            )


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
