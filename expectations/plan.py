"""Suite of the plan table: what a plan promises, computed again from its lines before a person is asked.

Sells are held, buys are paid for at their worst prices, limits are on the tick grid, and no line is smaller or
larger than allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.model import FUNDING, USD, FxLeg, Plan
from core.settings import RebalanceSection
from expectations.gate import library, suite_of
from expectations.plan_basis import Basis
from expectations.plan_basis_rules import (
    account_is_as_shown,
    conversion_is_needed,
    direction_is_allowed,
    drift_is_counted,
    held_is_in_the_account,
    price_is_not_behind_the_mid,
    price_is_quoted,
    price_stays_in_the_market,
    rates_are_quoted,
    sells_reach_the_target,
    target_is_blended,
    trades_are_outside_the_band,
    trades_stop_at_the_target,
    turnover_is_allowed,
)
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


def plan_suite(made: Plan, rebalance: RebalanceSection, basis: Basis | None = None) -> ExpectationSuite:
    """The checks of this plan; account figures and settings are its limits, everything else is in the table.

    With its `basis`, whose columns the table then needs, the figures are those of the account, not the plan's own, and
    the plan must follow from them.
    """
    gx = library()
    limits = _limits(made, rebalance) | (basis.limits if basis else {})
    own = [*_columns(gx), *_lines(gx, limits), *_whole(gx, limits)]
    if basis is None:
        return suite_of("plan", own)
    unlike = {"unlike": float(len(basis.unlike))}
    message = f"not as the account shows it: {', '.join(basis.unlike)}" if basis.unlike else "not as the account shows"
    shown = gx.rows(account_is_as_shown, SIDED, message, limits=unlike)
    return suite_of("plan", [*own, shown, *_followed(gx, limits), *_priced(gx, limits)])


def _followed(gx: Any, limits: dict[str, float]) -> list[Expectation]:
    """Checks of what follows from the account and the models: targets, drift, and how much of what trades."""
    wanted = ("side", "quantity", "held", "price", "dollars", "target_pct", "takes_fractions")
    return [
        gx.rows(held_is_in_the_account, ("held", "in_account"), "held is not what the account shows"),
        gx.rows(target_is_blended, ("target_pct", "blended_pct"), "target is not the blend of the models"),
        gx.rows(
            drift_is_counted,
            ("target_pct", "held", "price", "drift_bps"),
            "drift is not value less target",
            limits=limits,
        ),
        gx.rows(
            trades_are_outside_the_band,
            (*SIDED, "target_pct", "untargeted", "drift_bps"),
            "trades inside its band",
            limits=limits,
        ),
        gx.rows(direction_is_allowed, SIDED, "side that direction does not allow", limits=limits),
        gx.rows(trades_stop_at_the_target, wanted, "trades beyond its target", limits=limits),
        gx.rows(sells_reach_the_target, wanted, "sells less than to its target", limits=limits),
        gx.rows(turnover_is_allowed, ("side", "dollars"), "turnover above max_turnover_pct", limits=limits),
    ]


def _priced(gx: Any, limits: dict[str, float]) -> list[Expectation]:
    """Checks of what follows from the quotes: prices, limits and the conversion."""
    market, paid = ["bid", "ask"], ("side", "quantity", "held", "price", "target_pct", "worst_price", "ask")
    return [
        gx.rows(price_is_quoted, ("price", "last", *market), "price that was not quoted", optional=["last", *market]),
        gx.rows(
            price_stays_in_the_market,
            ("side", "order_type", "limit_price", "worst_price", *market),
            "price beyond the market",
            limits=limits,
            optional=["limit_price", "worst_price", *market],
        ),
        gx.rows(
            price_is_not_behind_the_mid,
            ("side", "limit_price", "tick", *market),
            "limit on the wrong side of the mid",
            optional=market,
            row_condition=gx.Column("order_type") == "LMT",
        ),
        gx.rows(rates_are_quoted, SIDED, "rate of the conversion that was not quoted", limits=limits),
        gx.rows(
            conversion_is_needed,
            paid,
            "conversion is not what the buys lack",
            limits=limits,
            optional=["worst_price", "ask"],
        ),
    ]


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
