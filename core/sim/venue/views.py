"""What the venue shows of a symbol and of the account, as the model's values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from core.model import AccountSnapshot, Contract, Quote, Symbol, WorkingOrder
from core.money import CENT, ZERO, Money, floor_to
from core.sim.venue.ledger import Ledger
from core.sim.venue.matching import present
from core.sim.venue.world import SimAccount, SimQuote

BUYING_POWER_FACTOR = 4  # as TWS shows it for a margin account


def show_quote(symbol: Symbol, quote: SimQuote, now: datetime, *, is_snapshot: bool) -> Quote:
    """The quote that answers a request for it; a missing price is None."""
    values = quote.snapshot if is_snapshot and quote.snapshot else quote.values
    return Quote(
        symbol=symbol,
        bid=present(values.bid),
        ask=present(values.ask),
        last=present(values.last),
        taken_at=now - timedelta(seconds=float(quote.age_seconds)),
        previous_close=present(quote.previous_close),
        data_type=quote.data_type,
        is_halted=quote.is_halted,
        is_snapshot=is_snapshot,
    )


def show_account(
    account: SimAccount,
    ledger: Ledger,
    market: tuple[Mapping[Symbol, Contract], Mapping[Symbol, SimQuote]],
    working: tuple[WorkingOrder, ...],
    now: datetime,
) -> AccountSnapshot:
    """The account by its ledger, figures rounded down to the cent; `market` is the contracts and their quotes."""
    contracts, quotes = market
    figures = ledger.figures(quotes)
    base = account.base_currency
    cash, rates = ledger.listed_cash(), ledger.rates(quotes)

    def to_the_cent(amount: Decimal) -> Money:
        return Money(floor_to(amount, CENT), base)

    return AccountSnapshot(
        account_id=account.id,
        base_currency=base,
        net_liq=to_the_cent(figures.net_liq),
        excess_liquidity=to_the_cent(figures.excess_liquidity),
        buying_power=to_the_cent(max(figures.excess_liquidity, ZERO) * BUYING_POWER_FACTOR),
        maintenance_margin=to_the_cent(figures.maintenance_margin),
        cash=cash,
        rates={currency: rate for currency, rate in rates.items() if currency in cash},
        positions=ledger.listed(contracts, quotes),
        working_orders=working,
        taken_at=now,
    )
