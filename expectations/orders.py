"""Suite of the orders table: what is about to be sent is what was approved, at a price inside the market, and paid for.

It runs before the first order of a stage, and for each order that is priced while the stage is under way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from expectations.gate import library, suite_of
from expectations.rules import CENT, CLOSE, Limits, rule, signs, tolerance

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

BPS = 10_000.0


@dataclass(frozen=True, slots=True)
class OrderChecks:
    """What the orders of a stage are held to.

    `usd` and `cad` are what may be spent now, `usd` with what the target borrows and less what earlier buys of the run
    took or may still take. `max_offset_bps` is how far beyond the mid a limit may lie where the far touch does not
    bound it (`is_capped`), `slippage_bps` how far beyond the ask a conversion may, and `max_move_bps` how much worse
    than approved a price may be. `market_orders` and `fx_at_market` are whether the settings let shares go at the
    market, and a conversion; `fx_route` is the route of that.
    """

    account_id: str
    run_id: str
    market_orders: bool
    fx_at_market: bool
    fx_route: str
    outside_rth: bool
    is_capped: bool
    max_offset_bps: float
    slippage_bps: float
    max_move_bps: float
    fractions: bool
    commission: float
    usd: float
    cad: float


def orders_suite(checks: OrderChecks) -> ExpectationSuite:
    """Each order is the approved line at a valid price, and all of them together can be paid."""
    gx = library()
    limits = {
        "market_orders": float(checks.market_orders),
        "fx_at_market": float(checks.fx_at_market),
        "outside_rth": float(checks.outside_rth),
        "capped": float(checks.is_capped),
        "offset": checks.max_offset_bps / BPS,
        "slippage": checks.slippage_bps / BPS,
        "move": checks.max_move_bps / BPS,
        "fractions": float(checks.fractions),
        "commission": checks.commission,
        "usd": checks.usd,
        "cad": checks.cad,
    }
    return suite_of("orders", [*_names(gx, checks, limits), *_quantities(gx, limits), *_prices(gx, limits)])


def _names(gx: Any, checks: OrderChecks, limits: dict[str, float]) -> list[Expectation]:
    """Whose order it is, of what, and which way."""
    ref = rf"RB-{re.escape(checks.run_id)}-[FSB][1-9][0-9]*-[1-9][0-9]*\Z"
    return [
        *gx.filled(["symbol", "ref", "side", "order_type", "quantity"]),
        gx.ExpectInSet(
            column="account",
            value_set=[checks.account_id],
            description="order for another account",
            notes="the plan was made for this one",
        ),
        gx.ExpectMatch(
            column="ref",
            regex=ref,
            description="not an order reference of this run",
            notes="by it the order is found again",
        ),
        gx.ExpectUnique(column="ref", description="order reference used twice", notes="the broker takes both"),
        gx.ExpectUnique(column="symbol", description="two orders in one symbol", notes="a line is one order at a time"),
        gx.ExpectInSet(
            column="route",
            value_set=[checks.fx_route],
            row_condition=gx.Column("stage") == "FX",
            description="not the route of the settings",
            notes="on another venue the pair has other terms",
        ),
        gx.rows(type_is_set, ("stage", "order_type"), "not an order type of the settings", limits=limits),
        gx.rows(hours_are_set, ("symbol", "outside_rth"), "not the trading hours of the settings", limits=limits),
        gx.rows(ref_is_new, ("ref", "is_new"), "order reference of an earlier order"),
        gx.rows(contract_is_approved, ("symbol", "is_approved"), "not the contract that was approved"),
        gx.rows(currency_is_the_stages, ("stage", "currency"), "in the wrong currency"),
        gx.rows(side_is_the_stages, ("symbol", "stage", "side"), "side does not fit the stage"),
        gx.rows(side_is_approved, ("side", "approved_side"), "side is not the approved one"),
    ]


def _quantities(gx: Any, limits: dict[str, float]) -> list[Expectation]:
    """How much, by each order and by all of them."""
    planned = ("quantity", "earlier", "approved_quantity")
    return [
        gx.ExpectWithin(column="quantity", min_value=0, strict_min=True, description="quantity not above 0"),
        gx.rows(order_is_whole, ("quantity", "takes_fractions"), "not a whole number of shares", limits=limits),
        gx.rows(quantity_is_approved, planned, "more than was approved"),
        gx.rows(sale_is_whole, ("stage", *planned), "less sold than was approved"),
        gx.rows(
            conversion_is_whole,
            ("stage", "ask", *planned),
            "less converted than was approved",
            limits=limits,
            optional=["ask"],
        ),
        gx.rows(sale_is_held, ("stage", "quantity", "earlier", "held"), "more sold than held"),
        gx.rows(
            buys_have_cash,
            ("stage", "quantity", "limit_price", "ask"),
            "buys cost more than the cash there is",
            limits=limits,
            optional=["limit_price", "ask"],
        ),
        gx.rows(
            conversion_has_cash,
            ("stage", "quantity", "limit_price", "ask"),
            "more CAD converted than there is",
            limits=limits,
            optional=["limit_price", "ask"],
        ),
    ]


def _prices(gx: Any, limits: dict[str, float]) -> list[Expectation]:
    """At what price, where there is a limit."""
    is_limited = gx.Column("order_type") == "LMT"
    market = ("stage", "side", "under_way", "limit_price", "bid", "ask", "tick")
    return [
        *gx.filled(["limit_price", "bid", "ask"], row_condition=is_limited),
        gx.rows(
            limit_fits_the_type, ("order_type", "limit_price"), "market order with a limit", optional=["limit_price"]
        ),
        gx.ExpectWithin(column="limit_price", min_value=0, strict_min=True, description="limit not above 0"),
        gx.rows(order_is_on_a_tick, ("limit_price", "tick"), "limit between two ticks", row_condition=is_limited),
        gx.rows(limit_is_inside_the_market, market, "limit beyond the market", limits=limits, row_condition=is_limited),
        gx.rows(limit_is_at_the_mid_or_beyond, market, "limit on the wrong side of the mid", row_condition=is_limited),
        gx.rows(
            price_is_approved,
            ("side", "under_way", "limit_price", "approved_worst", "bid", "ask"),
            "price worse than was approved",
            limits=limits,
            optional=["limit_price", "bid", "ask"],
        ),
    ]


@rule
def type_is_set(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """Shares go at the market only where the settings let them, a conversion by the type that is set for it."""
    is_fx, is_market, is_limited = frame["stage"] == "FX", frame["order_type"] == "MKT", frame["order_type"] == "LMT"
    of_shares = is_limited | (is_market & bool(limits["market_orders"]))
    return of_shares.where(~is_fx, is_market if limits["fx_at_market"] else is_limited)


@rule
def hours_are_set(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """An order works outside regular hours only where the settings want that."""
    return frame["outside_rth"].astype(bool) == bool(limits["outside_rth"])


@rule
def ref_is_new(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001 - rules look alike
    """No order of the run has this reference yet: the broker would take a second one all the same."""
    return frame["is_new"].astype(bool)


@rule
def contract_is_approved(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """The contract is that of the approved plan, conId and all: the same ticker elsewhere is another fund."""
    return frame["is_approved"].astype(bool)


@rule
def currency_is_the_stages(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """Shares are traded in USD, and the pair is priced in CAD: the same number in another currency is another price."""
    return frame["currency"] == frame["stage"].map({"FX": "CAD", "SELL": "USD", "BUY": "USD"})


@rule
def side_is_the_stages(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """Only the sell stage sells, and only the currency stage trades the pair."""
    sides = frame["stage"].map({"FX": "BUY", "SELL": "SELL", "BUY": "BUY"})
    return (frame["side"] == sides) & ((frame["stage"] == "FX") == (frame["symbol"] == "USD.CAD"))


@rule
def side_is_approved(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """The order trades the way that a person approved for its symbol."""
    return frame["side"] == frame["approved_side"]


@rule
def order_is_whole(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """Whole shares and whole dollars, or 4 decimals where setting and contract both allow fractions."""
    in_fractions = frame["takes_fractions"].astype(bool) & bool(limits["fractions"])
    steps = frame["quantity"] * in_fractions.map({True: 10_000.0, False: 1.0})
    return (steps - steps.round()).abs() <= 1e-6


@rule
def quantity_is_approved(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """With what earlier orders at the line filled or may still fill it is at most the approved quantity."""
    return frame["earlier"] + frame["quantity"] <= frame["approved_quantity"] + CLOSE


@rule
def sale_is_whole(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """A sell is all that was approved and is not sold yet: nothing but a person's answer makes it smaller."""
    return (frame["stage"] != "SELL") | (frame["earlier"] + frame["quantity"] >= frame["approved_quantity"] - CLOSE)


@rule
def conversion_is_whole(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """A conversion is the approved USD, or all that the CAD there is pays for at the worst rate of the moment."""
    payable = (max(0.0, limits["cad"]) / (frame["ask"] * (1 + limits["slippage"]))).clip(
        upper=frame["approved_quantity"]
    )
    # floats may be a dollar off at a whole number
    return (frame["stage"] != "FX") | ~(frame["earlier"] + frame["quantity"] < payable.floordiv(1) - 1)


@rule
def sale_is_held(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """Long only: all sales of a symbol together are at most what was held."""
    return (frame["stage"] != "SELL") | (frame["earlier"] + frame["quantity"] <= frame["held"] + CLOSE)


@rule
def buys_have_cash(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """The buys at their limits, with commissions, cost at most the USD that there is; a market order at the ask."""
    is_buy = frame["stage"] == "BUY"
    price = frame["limit_price"].fillna(frame["ask"] * (1 + limits["offset"]))
    cost = (frame["quantity"] * price)[is_buy].sum(skipna=False) + is_buy.sum() * limits["commission"]
    return ~is_buy | bool(cost <= limits["usd"] + tolerance(limits["usd"]))


@rule
def conversion_has_cash(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """The USD bought cost at most the CAD cash, at the limit or a little beyond the ask."""
    price = frame["limit_price"].fillna(frame["ask"] * (1 + limits["slippage"]))
    return (frame["stage"] != "FX") | (frame["quantity"] * price <= limits["cad"] + CENT)


@rule
def limit_fits_the_type(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """A market order has no limit: with one the broker would take it for another type."""
    return (frame["order_type"] != "MKT") | frame["limit_price"].isna()


@rule
def order_is_on_a_tick(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """The limit is a multiple of the price step that is valid at it."""
    steps = frame["limit_price"] / frame["tick"]
    return (steps - steps.round()).abs() <= 1e-6


@rule
def limit_is_inside_the_market(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """A buy's limit is at most the ask, a sell's at least the bid.

    Where `use_ask_bid_cap` is off it may also lie `max_offset_bps` beyond the mid, and a conversion's `slippage` beyond
    the ask.
    """
    sign, is_fx = signs(frame["side"]), frame["stage"] == "FX"
    far = frame["ask"].where(frame["side"] == "BUY", frame["bid"])
    most = far * (1 + is_fx * limits["slippage"])
    if not limits["capped"]:
        middle = (frame["bid"] + frame["ask"]) / 2
        beyond = middle * (1 + sign * limits["offset"])
        most = most.where((most - beyond) * sign >= 0, beyond)
    return (frame["limit_price"] - most) * sign <= most.abs() * CLOSE


@rule
def limit_is_at_the_mid_or_beyond(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """A first limit is never more than a tick on the passive side of the mid, where it would hardly fill.

    One that is priced while its stage is under way may be: the market has moved, and the price that the money was
    counted at still holds.
    """
    behind = ((frame["bid"] + frame["ask"]) / 2 - frame["limit_price"]) * signs(frame["side"])
    return frame["under_way"] | (behind <= frame["tick"] * (1 + CLOSE) + CLOSE)


@rule
def price_is_approved(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """The limit, or the far touch of a market order, is not worse than the approved worst price by more than allowed.

    One that is priced while its stage is under way is held to the price that it had then, so that it may be that much
    worse again.
    """
    sign = signs(frame["side"])
    far = frame["ask"].where(frame["side"] == "BUY", frame["bid"])
    price = frame["limit_price"].fillna(far)
    allowed = limits["move"] * (1 + frame["under_way"])
    return (price - frame["approved_worst"]) * sign <= frame["approved_worst"] * (allowed + CLOSE)
