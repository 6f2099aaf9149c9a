"""What the fills on record brought in cash, beside what the account's ledger shows: account values may lag behind.

IBKR refreshes them every three minutes unless a position changes, and a conversion changes none (TWS API,
reqAccountUpdates). Who sizes buys by a ledger that lacks the conversion or the sells buys next to nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

from core.journal.entries import RunState
from core.model import FUNDING, USD, Currency, Fill, Side, Stage
from core.money import CENT, ZERO

LEDGER_SECONDS = 240.0
"""How long the ledger may take to show what was traded: its three minutes, and one more."""

LOOK_SECONDS = 5.0
"""How long between two looks at it."""

MOST_COMMISSION = Decimal("0.01")
"""No commission, and no fee on a sale, is more than this part of what was traded."""


def cash_moved(run: RunState, fills: Iterable[Fill]) -> Mapping[Currency, Decimal]:
    """By how much these fills and their known commissions moved each currency."""
    moved: defaultdict[Currency, Decimal] = defaultdict(lambda: ZERO)
    for fill in fills:
        paid = fill.shares * fill.price * (1 if fill.side is Side.BUY else -1)
        if fill.symbol == FUNDING.symbol:
            moved[FUNDING.currency] -= paid
            moved[USD] += fill.shares if fill.side is Side.BUY else -fill.shares
        else:
            moved[run.orders[fill.order_ref].order.contract.currency] -= paid
        moved[fill.commission_currency or USD] -= fill.commission or ZERO
    return moved


def unbooked(run: RunState, cash: Mapping[Currency, Decimal], usual_commission: Decimal) -> Decimal:
    """USD that the run's fills brought and a ledger of `cash` does not show; 0 when it does, or shows more.

    With 2 000 USD before the first stage and sells of 5 000 for a commission of 1, a ledger of 2 000 lacks 4 999. An
    execution whose commission is not known may have cost `usual_commission` or a hundredth of what it traded.
    """
    first = next((stage for stage in Stage if stage in run.before), None)
    if first is None:
        return ZERO
    fills = [fill for record in run.orders.values() for fill in record.fills]
    missing = run.before[first].cash.get(USD, ZERO) + cash_moved(run, fills)[USD] - cash.get(USD, ZERO)
    uncharged = [fill for fill in fills if fill.commission is None]
    charges = sum((max(usual_commission, _usd(fill) * MOST_COMMISSION) for fill in uncharged), ZERO)
    # the ledger rounds each booking to the cent
    return missing if missing > charges + CENT * (1 + len(fills)) else ZERO


def _usd(fill: Fill) -> Decimal:
    return fill.shares if fill.symbol == FUNDING.symbol else fill.shares * fill.price
