"""How much margin orders need, before they fill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.model import USD, Currency, MarginChange, MarginEffect, SecurityType, Side, Symbol
from core.money import CENT, ZERO, floor_to
from core.sim.venue.ledger import Ledger
from core.sim.venue.matching import mark, touch
from core.sim.venue.orders import VenueOrder, VenueTerms
from core.sim.venue.world import SimQuote, World


@dataclass(frozen=True, slots=True)
class Situation:
    """What a check may look at: the ledger, the market, and the orders that work already."""

    world: World
    ledger: Ledger
    quotes: Mapping[Symbol, SimQuote]
    working: Sequence[VenueOrder]


def margin_effect(terms: VenueTerms, situation: Situation) -> MarginEffect:
    """The order's effect, to the cent: the initial margin counts buys that still work, the maintenance margin does not.

    Equity with loan less maintenance margin is the excess liquidity; an order reduces the equity by its commission.
    """
    figures = situation.ledger.figures(situation.quotes)  # valued once: each call marks every holding
    base = situation.world.account.base_currency
    rates = situation.ledger.rates(situation.quotes)
    taken = _margin_taken(terms, situation)
    fee = situation.world.commission
    held = figures.maintenance_margin
    return MarginEffect(
        currency=base,
        initial_margin=_to_the_cent(held + reserved_margin(situation), taken),
        maintenance_margin=_to_the_cent(held, taken),
        equity_with_loan=_to_the_cent(figures.excess_liquidity + held, -fee * rates[USD]),
        commission=fee,
        commission_currency=USD,
    )


def reserved_margin(situation: Situation) -> Decimal:
    """The margin that working buys will need, in the base currency."""
    rates = situation.ledger.rates(situation.quotes)
    buys = [order for order in situation.working if _is_share_buy(order.terms)]
    return sum((_initial_margin(order.terms, order.open_quantity, rates, situation) for order in buys), ZERO)


def margin_needed(terms: VenueTerms, situation: Situation) -> Decimal:
    """The margin that a buy needs, in the base currency."""
    return _initial_margin(terms, terms.quantity, situation.ledger.rates(situation.quotes), situation)


def price_of(terms: VenueTerms, situation: Situation) -> Decimal:
    """The price at which an order is counted: its limit, else the touch, else the mark."""
    quote = situation.quotes.get(terms.contract.symbol, SimQuote())
    return terms.limit_price or touch(terms.side, quote) or mark(quote) or ZERO


def _initial_margin(
    terms: VenueTerms, quantity: Decimal, rates: Mapping[Currency, Decimal], situation: Situation
) -> Decimal:
    return quantity * price_of(terms, situation) * rates[terms.contract.currency] * situation.world.margin_rate


def _margin_taken(terms: VenueTerms, situation: Situation) -> Decimal:
    if terms.contract.security_type is SecurityType.CASH:
        return ZERO
    if terms.side is Side.BUY:
        return margin_needed(terms, situation)
    held = situation.ledger.positions[terms.contract.symbol]
    rate = situation.ledger.rates(situation.quotes)[held.currency]
    price = situation.ledger.market_price(held, situation.quotes)
    return -terms.quantity * price * rate * situation.world.margin_rate


def _to_the_cent(before: Decimal, change: Decimal) -> MarginChange:
    return MarginChange(floor_to(before, CENT), floor_to(change, CENT))


def _is_share_buy(terms: VenueTerms) -> bool:
    return terms.side is Side.BUY and terms.contract.security_type is not SecurityType.CASH
