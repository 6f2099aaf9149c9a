"""An order as a client sends it: more than a hundred fields, some of them only with certain kinds of order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from core.money import ZERO
from core.sim.wire.contracts import ContractFields, read_contract
from core.sim.wire.fields import INFINITY, Cursor, FieldMalformed

BAG = "BAG"
LEG_FIELDS = 8
DELTA_NEUTRAL_FIELDS = 8
SCALE_FIELDS = 7
PEG_BENCH_FIELDS = 5
PEG_BENCH = ("PEG BENCH", "PEGBENCH")
PEG_BEST = ("PEG BEST", "PEGBEST")
PEG_MID = ("PEG MID", "PEGMID")
IBKRATS = "IBKRATS"
CONDITION_FIELDS = {1: 6, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5}
"""Fields after the type of a condition: price, time, margin, execution, volume, change in percent."""

Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """The terms of an order, as sent and as shown in lists; None is a price or size that was not set."""

    action: str
    quantity: Decimal
    order_type: str
    limit_price: Decimal | None = None
    aux_price: Decimal | None = None
    tif: str = "DAY"
    oca_group: str = ""
    account: str = ""
    open_close: str = ""
    origin: int = 0
    order_ref: str = ""
    transmit: bool = True
    parent_id: int = 0
    display_size: int = 0
    outside_rth: bool = False
    hidden: bool = False
    good_after: str = ""
    good_till: str = ""
    model_code: str = ""
    all_or_none: bool = False
    min_quantity: int | None = None
    trail_stop_price: Decimal | None = None
    trailing_percent: Decimal | None = None
    hedge_type: str = ""
    algo_strategy: str = ""
    algo_params: Params = ()
    what_if: bool = False
    cash_quantity: Decimal | None = None
    leg_count: int = 0
    condition_count: int = 0
    is_delta_neutral: bool = False
    is_scaled: bool = False

    @property
    def unsupported(self) -> tuple[str, ...]:
        """The names of what it requests beyond buying or selling a quantity at a limit or at the market."""
        asked = {
            "combo legs": self.leg_count,
            "conditions": self.condition_count,
            "delta neutral": self.is_delta_neutral,
            "scale": self.is_scaled,
            "hedge": self.hedge_type,
            "algo": self.algo_strategy,
            "trailing": self.trail_stop_price or self.trailing_percent,
            "cash quantity": self.cash_quantity,
            "one cancels all": self.oca_group,
            "parent": self.parent_id,
            "iceberg": self.display_size,
            "hidden": self.hidden,
            "all or none": self.all_or_none,
            "minimum quantity": self.min_quantity,
            "good after": self.good_after,
            "good till": self.good_till,
        }
        return tuple(name for name, value in asked.items() if value)


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A new order, or with an id that works already the order as it shall be from now on."""

    order_id: int
    contract: ContractFields
    terms: OrderTerms


def read_place_order(cursor: Cursor) -> PlaceOrder:
    """The order of a request."""
    order_id = cursor.identifier()
    contract = read_contract(cursor)
    cursor.skip(2)  # the security's id in another scheme
    terms = _main(cursor)
    if contract.security_type == BAG:
        terms = replace(terms, leg_count=_legs(cursor))
    terms = _allocation(cursor, terms)
    terms = _auction(cursor, terms)
    terms = _scale(cursor, terms)
    terms = _hedge(cursor, terms)
    terms = _algo(cursor, terms)
    terms = replace(terms, condition_count=_conditions(cursor, terms))
    terms = _adjustments(cursor, terms)
    _pegs(cursor, contract, terms)
    cursor.finish()
    return PlaceOrder(order_id, contract, terms)


def _main(cursor: Cursor) -> OrderTerms:
    terms = OrderTerms(
        action=cursor.text(),
        quantity=cursor.decimal() or ZERO,
        order_type=cursor.text(),
        limit_price=cursor.decimal(),
        aux_price=cursor.decimal(),
        tif=cursor.text(),
        oca_group=cursor.text(),
        account=cursor.text(),
        open_close=cursor.text(),
        origin=cursor.integer() or 0,
        order_ref=cursor.text(),
        transmit=cursor.flag(),
        parent_id=cursor.integer() or 0,
    )
    cursor.skip(2)  # block order, sweep to fill
    display_size = cursor.integer() or 0
    cursor.skip()  # trigger method
    return replace(terms, display_size=display_size, outside_rth=cursor.flag(), hidden=cursor.flag())


def _legs(cursor: Cursor) -> int:
    count = cursor.count()
    cursor.skip(count * LEG_FIELDS)
    cursor.skip(cursor.count())  # a price per leg
    _params(cursor)  # routing
    return count


def _params(cursor: Cursor) -> Params:
    return tuple((cursor.text(), cursor.text()) for _ in range(cursor.count()))


def _allocation(cursor: Cursor, terms: OrderTerms) -> OrderTerms:
    cursor.skip(2)  # shares allocation, discretionary amount
    good_after, good_till = cursor.text(), cursor.text()
    cursor.skip(3)  # an advisor's group, method, percentage
    model_code = cursor.text()
    cursor.skip(6)  # three of a short sale, OCA type, rule 80A, settling firm
    return replace(
        terms,
        good_after=good_after,
        good_till=good_till,
        model_code=model_code,
        all_or_none=cursor.flag(),
        min_quantity=cursor.integer(),
    )


def _auction(cursor: Cursor, terms: OrderTerms) -> OrderTerms:
    cursor.skip(13)  # percent offset, two flags and a cap of old, auction, box and volatility
    is_delta_neutral = bool(cursor.text())
    cursor.skip()  # its auxiliary price
    if is_delta_neutral:
        cursor.skip(DELTA_NEUTRAL_FIELDS)
    cursor.skip(2)  # continuous update, reference price type
    return replace(
        terms,
        is_delta_neutral=is_delta_neutral,
        trail_stop_price=cursor.decimal(),
        trailing_percent=cursor.decimal(),
    )


def _scale(cursor: Cursor, terms: OrderTerms) -> OrderTerms:
    is_scaled = cursor.integer() is not None
    cursor.skip()  # size of the further levels
    increment = cursor.decimal()
    if increment is not None and increment > 0:
        cursor.skip(SCALE_FIELDS)
        is_scaled = True
    cursor.skip(3)  # scale table, start and end of its time
    return replace(terms, is_scaled=is_scaled)


def _hedge(cursor: Cursor, terms: OrderTerms) -> OrderTerms:
    hedge_type = cursor.text()
    if hedge_type:
        cursor.skip()
    cursor.skip(4)  # opt out of smart routing, clearing account and intent, not held
    has_contract = cursor.flag()
    if has_contract:
        cursor.skip(3)
    return replace(terms, hedge_type=hedge_type, is_delta_neutral=terms.is_delta_neutral or has_contract)


def _algo(cursor: Cursor, terms: OrderTerms) -> OrderTerms:
    strategy = cursor.text()
    params = _params(cursor) if strategy else ()
    cursor.skip()  # algo id
    what_if = cursor.flag()
    cursor.skip(4)  # misc options, solicited, randomize size and price
    return replace(terms, algo_strategy=strategy, algo_params=params, what_if=what_if)


def _conditions(cursor: Cursor, terms: OrderTerms) -> int:
    if terms.order_type in PEG_BENCH:
        cursor.skip(PEG_BENCH_FIELDS)
    count = cursor.count()
    for _ in range(count):
        kind = cursor.identifier()
        if kind not in CONDITION_FIELDS:
            raise FieldMalformed(f"no condition is of kind {kind}")
        cursor.skip(CONDITION_FIELDS[kind])
    if count:
        cursor.skip(2)  # ignore regular hours, cancel the order
    return count


def _adjustments(cursor: Cursor, terms: OrderTerms) -> OrderTerms:
    cursor.skip(10)  # adjusted order, operator, soft dollars
    cash_quantity = cursor.decimal()
    cursor.skip(4)  # who decided and executed
    cursor.skip(9)  # flags, price management, duration, ATS, parent, overrides, manual time
    return replace(terms, cash_quantity=cash_quantity)


def _pegs(cursor: Cursor, contract: ContractFields, terms: OrderTerms) -> None:
    if contract.exchange == IBKRATS:
        cursor.skip()  # minimum trade quantity
    has_offsets = terms.order_type in PEG_MID
    if terms.order_type in PEG_BEST:
        cursor.skip()  # minimum size to compete
        # an infinite offset to the best means "up to the midpoint", and only then two offsets follow
        has_offsets = cursor.offset() == INFINITY
    if has_offsets:
        cursor.skip(2)
