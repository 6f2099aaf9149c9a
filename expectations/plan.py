"""Suite of the plan table: what a plan promises, computed again from its lines before a person is asked.

Sells are held, buys are paid for at their worst prices, limits are on the tick grid, and no line is smaller or
larger than allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.model import FUNDING, USD, FxLeg, Plan
from core.settings import RebalanceSection
from expectations.gate import library, suite_of
from expectations.plan_rules import (
    FAR_PCT,
    above_the_minimum,
    below_the_maximum,
    buys_are_paid,
    conversion_is_covered,
    dollars_are_quantity_times_price,
    leverage_holds,
    limit_is_near_the_price,
    limit_is_not_past_worst,
    limit_is_on_a_tick,
    margin_holds,
    quantity_fits_the_side,
    sells_are_held,
    shares_are_whole,
    targets_are_gross,
    trade_goes_to_the_target,
)

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

SIDED = ("symbol", "side")


def plan_suite(made: Plan, rebalance: RebalanceSection) -> ExpectationSuite:
    """The checks of this plan; account figures and settings are its limits, everything else is in the table."""
    gx = library()
    limits = _limits(made, rebalance)
    return suite_of("plan", [*_columns(gx), *_lines(gx, limits), *_whole(gx, limits)])


def _columns(gx: Any) -> list[Expectation]:
    """Checks of single columns."""
    is_traded = gx.Column("side") != "NONE"
    return [
        *gx.filled(["symbol", "side", "quantity", "held", "price", "dollars", "target_pct", "drift_bps"]),
        *gx.filled(["worst_price", "order_type"], row_condition=is_traded),
        gx.ExpectUnique(column="symbol", description="symbol planned twice"),
        gx.ExpectInSet(column="side", value_set=["BUY", "SELL", "NONE"], description="unknown side"),
        gx.ExpectInSet(
            column="order_type", value_set=["LMT", "MKT"], row_condition=is_traded, description="unknown order type"
        ),
        *(
            gx.ExpectWithin(column=column, min_value=0, strict_min=True, description=f"{column} not above 0")
            for column in ("price", "worst_price", "limit_price")
        ),
        *(
            gx.ExpectWithin(column=column, min_value=0, description=f"{column} below 0")
            for column in ("held", "target_pct")
        ),
    ]


def _lines(gx: Any, limits: dict[str, float]) -> list[Expectation]:
    """Checks of each line on its own."""
    is_limited = gx.Column("order_type") == "LMT"
    sized = ("quantity", "price", "dollars")
    return [
        gx.rows(quantity_fits_the_side, (*SIDED, "quantity"), "quantity does not fit the side"),
        gx.rows(sells_are_held, (*SIDED, "quantity", "held"), "more sold than held"),
        gx.rows(shares_are_whole, ("quantity", "takes_fractions"), "not a whole number of shares", limits=limits),
        gx.rows(dollars_are_quantity_times_price, sized, "dollars are not quantity × price"),
        gx.rows(
            above_the_minimum,
            (*SIDED, "quantity", "held", "dollars", "target_pct"),
            "below the minimum order",
            limits=limits,
        ),
        gx.rows(below_the_maximum, ("symbol", "dollars"), "above the maximum order", limits=limits),
        gx.rows(
            limit_is_not_past_worst,
            ("side", "limit_price", "worst_price"),
            "limit worse than the worst price counted",
            row_condition=is_limited,
        ),
        gx.rows(limit_is_on_a_tick, ("limit_price", "tick"), "limit between two ticks", row_condition=is_limited),
        gx.rows(
            limit_is_near_the_price,
            ("limit_price", "price"),
            f"limit more than {FAR_PCT:g} % from the price",
            row_condition=is_limited,
            severity="warning",
        ),
        gx.rows(trade_goes_to_the_target, (*SIDED, "drift_bps"), "trades away from its target", severity="warning"),
    ]


def _whole(gx: Any, limits: dict[str, float]) -> list[Expectation]:
    """Checks of all lines together; the buys are the rows at fault where money or margin does not hold."""
    paid = (*SIDED, "quantity", "price", "worst_price")
    return [
        gx.rows(targets_are_gross, ("symbol", "target_pct"), "targets do not sum to the gross exposure", limits=limits),
        gx.rows(buys_are_paid, paid, "buys cost more than there is", limits=limits, optional=["worst_price"]),
        gx.rows(leverage_holds, paid, "gross above max_leverage", limits=limits, optional=["worst_price"]),
        gx.rows(margin_holds, paid, "excess liquidity below its buffer", limits=limits, optional=["worst_price"]),
        gx.rows(conversion_is_covered, SIDED, "more CAD converted than there is", limits=limits),
    ]


def _limits(made: Plan, rebalance: RebalanceSection) -> dict[str, float]:
    """Account, conversion and settings as floats; infinity where there is no limit."""
    account = made.valuation
    return {
        "usd": float(account.cash.get(USD, 0)),
        "cad": float(account.cash.get(FUNDING.currency, 0)),
        "usd_per_cad": float(account.usd_per_funding or 0),
        "buffer": float(account.buffer),
        "net_liq": float(account.net_liq),
        "investable": float(account.investable),
        "position_value": float(account.gross_position_value),
        "excess": float(account.excess_liquidity),
        "gross_pct": float(made.targets.gross) * 100,
        "debit": -float(made.targets.cash) if rebalance.allow_margin else 0.0,
        "margin_counts": float(rebalance.allow_margin),
        "max_leverage": float(rebalance.max_leverage),
        "margin_pct": float(rebalance.maintenance_margin_pct),
        "margin_buffer_pct": float(rebalance.maintenance_buffer_pct),
        "commission": float(rebalance.commission_per_order_usd),
        "least": float(rebalance.min_order_usd),
        "most": float("inf") if rebalance.max_order_usd is None else float(rebalance.max_order_usd),
        "fractions": float(rebalance.allow_fractional),
        **_conversion(made.fx),
    }


def _conversion(leg: FxLeg | None) -> dict[str, float]:
    if leg is None:
        return {"fx_usd": 0.0, "fx_worst": 0.0, "fx_planned": 0.0}
    return {
        "fx_usd": float(leg.quantity),
        "fx_worst": float(leg.worst_rate or 0),
        "fx_planned": float(leg.planning_rate or 0),
    }
