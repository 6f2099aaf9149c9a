"""Orders as the venue lists them: working or previewed ones, and ended ones.

A list entry has more than a hundred fields, nearly all of them for kinds of orders that are refused here
(`OrderTerms.unsupported`) and so stand at what is not set; the groups below are in the order of the wire.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from core.model import MarginEffect
from core.money import ZERO
from core.sim.wire.contracts import ContractFields
from core.sim.wire.fields import UNSET_FLOAT, UNSET_INTEGER, Fields, flag, number, number_or_unset, venue_time
from core.sim.wire.orders import order_contract
from core.sim.wire.placing import OrderTerms

NO_TYPE = "None"  # how a gateway spells no order type; not being empty, it brings the type's block along
NO_RIGHT = "?"
REDUCED = "3"  # OCA type: the other orders of a group are reduced; sent with or without a group
NO_TRAIL = ("", "")  # stop price and percentage of a trailing order
NO_HEDGE = NO_ALGO = ""
SHAREHOLDER = "Not an insider or substantial shareholder"


@dataclass(frozen=True, slots=True)
class OrderFields:
    """An order as the venue shows it; `order_id` and `client_id` are of the client that sent it."""

    order_id: int
    client_id: int
    perm_id: int
    contract: ContractFields
    terms: OrderTerms
    status: str
    commission: Decimal | None = None
    commission_currency: str = ""
    effect: MarginEffect | None = None


@dataclass(frozen=True, slots=True)
class CompletionFields:
    """How an order ended: `text` as `Filled Size: 10` or `Cancelled by Trader`; `is_filled` if all of it did."""

    filled: Decimal
    at: datetime
    text: str
    is_filled: bool = False


def open_order(order: OrderFields) -> Fields:
    """An order and its state (5), of a what-if order its `effect` too: 135 fields."""
    terms = order.terms
    return (
        *("5", str(order.order_id), *order_contract(order.contract, NO_RIGHT), *_terms(terms)),
        *(str(order.client_id), str(order.perm_id), *_times(terms), _cleared(order), *_advisor(terms)),
        *(*_short_sale(), "0", *_box(), UNSET_INTEGER, "0", "0", "0"),
        *("", REDUCED, "0", "0", "", "0", "0", "", "0"),
        *(NO_TYPE, "", "0", "", "", "", NO_RIGHT, "0", "0", ""),
        *("0", "0", *NO_TRAIL, "", "", *_legs(), *_scale(), NO_HEDGE),
        *("0", "", "IB", "0", "0", NO_ALGO, "0", flag(terms.what_if), *_state(order), "0", "0", "0"),
        *(NO_TYPE, UNSET_FLOAT, UNSET_FLOAT, *(UNSET_FLOAT,) * 4, "0"),
        *("", "", "", "0", "1", "0", "0", "0", "", "", "0", *_pegs()),
    )


def open_order_end() -> Fields:
    """The end of the working orders (53)."""
    return "53", "1"


def completed_order(order: OrderFields, completion: CompletionFields) -> Fields:
    """An order that ended (101), without its id and client: 100 fields."""
    terms = order.terms
    return (
        *("101", *order_contract(order.contract, NO_RIGHT), *_terms(_listed_terms(terms, completion))),
        *(str(order.perm_id), *_times(terms), *_advisor(terms), "0", "", "", "0", "", "-1", *_box()),
        *(UNSET_INTEGER, "0", "0", "", REDUCED, "0", "", "0"),
        *(NO_TYPE, "", "0", "0", "0", ""),
        *("0", "0", *NO_TRAIL, *_legs(), *_scale(), NO_HEDGE),
        *("", "IB", "0", "0", NO_ALGO, "0", order.status, "0", "0", "0"),
        *(UNSET_FLOAT, UNSET_FLOAT, "0", "1", "0"),
        *("", number(completion.filled), UNSET_INTEGER, "0", SHAREHOLDER, "0", "0", "0"),
        *(venue_time(completion.at), completion.text, *_pegs()),
    )


def completed_orders_end() -> Fields:
    """The end of the completed orders (102)."""
    return ("102",)


def _terms(terms: OrderTerms) -> Fields:
    prices = number(terms.limit_price or ZERO), number(terms.aux_price or ZERO)
    return (
        *(terms.action, number(terms.quantity), terms.order_type, *prices, terms.tif, ""),
        *(terms.account, terms.open_close, str(terms.origin), terms.order_ref),
    )


def _times(terms: OrderTerms) -> Fields:
    """Outside regular hours, hidden, discretionary amount, good after."""
    return flag(terms.outside_rth), "0", "0", ""


def _advisor(terms: OrderTerms) -> Fields:
    """An adviser's group, method and percentage; model, good till."""
    return "", "", "", terms.model_code, ""


def _short_sale() -> Fields:
    """Rule 80A, percent offset, settling firm; slot, location, exempt code."""
    return "", "", "", "0", "", "-1"


def _box() -> Fields:
    """Starting price, reference price, delta, and the range of the stock."""
    return ("",) * 5


def _legs() -> Fields:
    """The description of a combo, and no legs, no prices of legs, no routing."""
    return "", "0", "0", "0"


def _scale() -> Fields:
    return UNSET_INTEGER, UNSET_INTEGER, ""


def _cleared(order: OrderFields) -> str:
    """For whom the order is cleared: a field that no client reads."""
    return f"{order.perm_id}.0/{order.terms.account}/100" if order.perm_id else ""


def _listed_terms(terms: OrderTerms, completion: CompletionFields) -> OrderTerms:
    """The terms as listed: of an order that has filled the quantity is sent as 0."""
    return replace(terms, quantity=ZERO) if completion.is_filled else terms


def _pegs() -> Fields:
    """Minimum quantities and offsets of pegged orders."""
    return ("",) * 5


def _state(order: OrderFields) -> Fields:
    """Status, nine margins, commission with its bounds and currency, and a warning."""
    effect = order.effect
    if effect is None:
        costs = number(order.commission), "", "", order.commission_currency, ""
        return (order.status, *(UNSET_FLOAT,) * 9, *costs)
    figures = effect.initial_margin, effect.maintenance_margin, effect.equity_with_loan
    return (
        *(order.status, *(number(figure.before) for figure in figures)),
        *(number(figure.change) for figure in figures),
        *(number(figure.after) for figure in figures),
        *(number_or_unset(effect.commission), UNSET_FLOAT, UNSET_FLOAT),
        *(effect.commission_currency or "", ""),
    )
