"""What the broker refuses, and with which of its codes."""

from __future__ import annotations

from collections.abc import Mapping

from core.model import Currency, Order, RejectReason, SecurityType, Side
from core.money import WHOLE_SHARE, ZERO, floor_to
from core.sim.venue.margin import Situation, margin_needed, price_of, reserved_margin
from core.sim.venue.orders import Refusal, VenueOrder, VenueTerms

TEXTS: Mapping[int, tuple[str, RejectReason]] = {
    100: ("Max rate of messages per second has been exceeded", RejectReason.PACING),
    104: ("Cannot modify a filled order", RejectReason.REJECTED),
    105: ("Order being modified does not match original order", RejectReason.REJECTED),
    110: ("The price does not conform to the minimum price variation for this contract", RejectReason.REJECTED),
    163: ("The price exceeds the Percentage constraint of 3%", RejectReason.REJECTED),
    200: ("No security definition has been found for the request", RejectReason.CONTRACT),
    201: ("Order rejected", RejectReason.REJECTED),
    354: ("Requested market data is not subscribed", RejectReason.REJECTED),
    382: (
        "Size exceeds the Size Limit of 500. Restriction is specified in Precautionary Settings",
        RejectReason.REJECTED,
    ),
    383: (
        "Size exceeds the Size Limit of 500. Restriction is specified in Precautionary Settings",
        RejectReason.REJECTED,
    ),
    321: ("Error validating request: invalid account", RejectReason.REJECTED),
    434: ("The order size cannot be zero", RejectReason.REJECTED),
    451: (
        "The order value estimate exceeds the Total Value Limit. Restriction is specified in Precautionary Settings",
        RejectReason.REJECTED,
    ),
    10052: ("Invalid time in force:Empty", RejectReason.REJECTED),
    10311: (
        "This order will be directly routed. Restriction is specified in Precautionary Settings",
        RejectReason.REJECTED,
    ),
    10329: (
        "The order needs a confirmation. Restriction is specified in Precautionary Settings",
        RejectReason.REJECTED,
    ),
    10243: ("Fractional-sized order cannot be placed via API", RejectReason.FRACTION),
}
# presets for which a gateway keeps an order back and sends the code as a notice
STOPPED_BY_PRESETS = frozenset({163, 354, 382, 383, 451, 10052, 10311, 10329})


def refusal_of(code: int, detail: str = "") -> Refusal:
    """The refusal that the broker's code stands for; an unlisted code is a plain rejection."""
    text, reject_reason = TEXTS.get(code, ("Order rejected", RejectReason.REJECTED))
    return Refusal(code, f"{text} - reason: {detail}" if detail else text, reject_reason)


def refuse_change(order: Order, placed: VenueOrder) -> Refusal | None:
    """Why an order cannot become this one: another contract or side, or no more shares than have filled."""
    terms = placed.terms
    if (order.contract.symbol, order.side) != (terms.contract.symbol, terms.side):
        return refusal_of(105)
    if ZERO < order.quantity <= placed.filled:
        return refusal_of(201, f"{placed.filled} of the order have filled already")
    return None


def refuse_form(order: Order, account_id: str) -> Refusal | None:
    """Why the order as written is refused: account, size, fractions, tick."""
    if order.account_id != account_id:
        return refusal_of(321)
    if order.quantity <= 0:
        return refusal_of(434)
    if order.quantity != floor_to(order.quantity, WHOLE_SHARE) and not order.contract.fractional:
        return refusal_of(10243)
    if order.limit_price is not None and not _is_on_tick(order):
        return refusal_of(110)
    return None


def refuse_effect(terms: VenueTerms, situation: Situation) -> Refusal | None:
    """Why the account may not trade this: currency or shares it does not have, margin it would not meet."""
    if terms.contract.security_type is SecurityType.CASH:
        return _refuse_conversion(terms, situation)
    if terms.side is Side.SELL:
        return _refuse_short(terms, situation)
    return _refuse_margin(terms, situation)


def _is_on_tick(order: Order) -> bool:
    price = order.limit_price or ZERO
    ticks = [band.increment for band in order.contract.ticks if band.low_edge <= price]
    return price > 0 and price == floor_to(price, ticks[-1])


def _refuse_conversion(terms: VenueTerms, situation: Situation) -> Refusal | None:
    first = Currency(terms.contract.symbol.partition(".")[0])
    sold, amount = first, terms.quantity
    if terms.side is Side.BUY:
        sold, amount = terms.contract.currency, terms.quantity * price_of(terms, situation)
    # no margin loan in a foreign currency is simulated: the account must hold what is sold
    there = situation.ledger.cash.get(sold, ZERO)
    if amount <= there:
        return None
    return _margin(f"{sold} {amount:.2f} are needed and {there:.2f} are there")


def _refuse_short(terms: VenueTerms, situation: Situation) -> Refusal | None:
    pending = sum((order.open_quantity for order in _others(terms, situation)), ZERO)
    held = situation.ledger.held(terms.contract.symbol)
    if terms.quantity + pending <= held:
        return None
    return refusal_of(201, f"{held} shares are held, {pending} of them in working orders; nothing is lent")


def _refuse_margin(terms: VenueTerms, situation: Situation) -> Refusal | None:
    wanted = margin_needed(terms, situation)
    available = situation.ledger.figures(situation.quotes).excess_liquidity - reserved_margin(situation)
    if wanted <= available:
        return None
    currency = situation.world.account.base_currency
    return _margin(f"the initial margin of {currency} {wanted:.2f} exceeds the available funds of {available:.2f}")


def _others(terms: VenueTerms, situation: Situation) -> list[VenueOrder]:
    symbol = terms.contract.symbol
    return [one for one in situation.working if one.terms.contract.symbol == symbol and one.terms.side is Side.SELL]


def _margin(detail: str) -> Refusal:
    return Refusal(201, f"Order rejected - reason: {detail}", RejectReason.MARGIN)
