"""Checks around trading: is the account free, the journal the newest, time enough; do our fills explain the result?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import timedelta
from decimal import Decimal
from math import ceil

from core.errors import AccountBusy, OutputFailed
from core.execution.reconcile import Evidence
from core.journal import Journal
from core.model import (
    FUNDING,
    AccountSnapshot,
    Fill,
    ForeignOrders,
    Plan,
    Side,
    Symbol,
    Targets,
)
from core.model.refs import belongs_to_us
from core.money import CENT, ZERO
from core.settings import Settings
from core.text import counted


def check_journal_is_newest(journal: Journal, evidence: Evidence) -> None:
    """Raise OutputFailed when the broker's lists show orders of ours that are not on record.

    Whoever restored an old copy, or started with a new journal, has lost what later runs had recorded: orders of
    unknown fate, quarantines, approvals that were used.
    """
    missing = sorted(ref for ref in evidence.refs() if belongs_to_us(ref) and journal.order(ref) is None)
    if missing:
        raise OutputFailed(
            f"the journal is an old copy, or not the one of this account: the broker shows today "
            f"{counted(len(missing), 'order')} of ours that it does not have, such as {missing[0]}",
            next_step="restore the newest journal, or set [journal] url to it; without one look in TWS for what became "
            "of these orders, and run again tomorrow; nothing was sent",
        )


def check_foreign_orders(
    snapshot: AccountSnapshot, symbols: Collection[Symbol], setting: ForeignOrders
) -> tuple[str, ...]:
    """A warning for each working order in one of the plan's `symbols` that this tool did not place.

    Raises AccountBusy naming them all when the setting is to refuse.
    """
    foreign = [
        order for order in snapshot.working_orders if order.symbol in symbols and not belongs_to_us(order.order_ref)
    ]
    texts = tuple(f"{order.side} {order.quantity - order.filled:f} {order.symbol}" for order in foreign)
    if texts and setting is ForeignOrders.REFUSE:
        raise AccountBusy(
            f"orders not placed by this tool are working in the plan's symbols: {', '.join(texts)}",
            next_step="cancel them, or wait until they have ended, or set [execution] foreign_orders = ignore",
        )
    return tuple(f"an order not placed by this tool is working in a symbol of the plan: {text}" for text in texts)


def longest_trading(plan: Plan, settings: Settings) -> timedelta:
    """The sum of all time-outs of the plan's stages, as if every attempt at every order used its own in full.

    Seven sells of which five may work at once wait twice for three attempts of a minute: 6 min. What the broker
    needs to acknowledge and to confirm comes on top; `close_margin_minutes` allows for that.
    """
    tries = (1 + settings.execution.reprice_attempts) * settings.execution.order_timeout_seconds
    rounds = sum(ceil(len(lines) / settings.execution.max_open_orders) for lines in (plan.sells, plan.buys))
    conversion = settings.fx.wait_for_fill_seconds if plan.fx and plan.fx.quantity else 0.0
    return timedelta(seconds=rounds * tries + conversion)


def unexplained_changes(before: AccountSnapshot, after: AccountSnapshot, fills: Iterable[Fill]) -> tuple[str, ...]:
    """A warning for each position that is not what it was plus our fills, by symbol.

    10 VTI and a fill of 5 must be 15: with 18, somebody or something else bought 3. Currency fills move
    cash, which fees and interest move too, and are left out.
    """
    expected = _held(before)
    for fill in fills:
        # a conversion changes no position: IBKR books it as cash
        if fill.symbol == FUNDING.symbol:
            continue
        expected[fill.symbol] += fill.shares if fill.side is Side.BUY else -fill.shares
    there = _held(after)
    symbols = sorted({*expected, *there})
    return tuple(
        f"{symbol}: our fills add up to {expected[symbol]:f} shares, the account shows {there[symbol]:f}"
        for symbol in symbols
        if expected[symbol] != there[symbol]
    )


def overdrafts(before: AccountSnapshot, after: AccountSnapshot, targets: Targets) -> tuple[str, ...]:
    """A warning for each currency that is further below 0 than before, where the targets borrow nothing.

    What is less than a cent is a rounding of the broker's books.
    """
    if targets.cash < ZERO:
        return ()
    owed = {currency: min(before.cash.get(currency, ZERO), ZERO) for currency in after.cash}
    return tuple(
        f"{currency} is overdrawn: {amount:,.2f} after trading, though nothing was to be borrowed"
        for currency, amount in sorted(after.cash.items())
        if amount <= owed[currency] - CENT
    )


def _held(snapshot: AccountSnapshot) -> defaultdict[Symbol, Decimal]:
    return defaultdict(lambda: ZERO, snapshot.holdings.positions)
