"""The rules of the plan table. All money is USD; prices are USD per share, `fx_*` rates CAD per USD."""

from __future__ import annotations

import pandas as pd

from expectations.rules import CENT, CLOSE, Limits, everywhere, rule, tolerance

FAR_PCT = 5.0


@rule
def quantity_fits_the_side(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001 - rules look alike
    """A line that trades has a quantity above 0, one that does not has 0."""
    return (frame["side"] != "NONE") == (frame["quantity"] > 0)


@rule
def sells_are_held(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """Long only: nothing is sold that is not held."""
    return (frame["side"] != "SELL") | (frame["quantity"] <= frame["held"] + CLOSE)


@rule
def shares_are_whole(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """Whole shares, or 4 decimals where setting and contract both allow fractions."""
    in_fractions = frame["takes_fractions"].astype(bool) & bool(limits["fractions"])
    steps = frame["quantity"] * in_fractions.map({True: 10_000.0, False: 1.0})
    return (steps - steps.round()).abs() <= 1e-6


@rule
def dollars_are_quantity_times_price(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """`dollars` is what the quantity is worth at the valuation price."""
    return (frame["dollars"] - frame["quantity"] * frame["price"]).abs() <= CENT


@rule
def above_the_minimum(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """No order below the minimum, except one that sells all that can be sold of a holding with target 0."""
    is_exit = (frame["side"] == "SELL") & (frame["target_pct"] == 0) & (frame["quantity"] > frame["held"] - 1)
    return (frame["side"] == "NONE") | is_exit | (frame["dollars"] >= limits["least"] - CENT)


@rule
def below_the_maximum(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """No order above the maximum, exits included."""
    return frame["dollars"] <= limits["most"] + CENT


@rule
def limit_is_not_past_worst(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """A buy's limit is at most, a sell's at least, the price its money was counted at."""
    slack = (frame["worst_price"] - frame["limit_price"]) * frame["side"].map({"BUY": 1.0, "SELL": -1.0})
    return slack >= -CLOSE


@rule
def limit_is_on_a_tick(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """The limit is a multiple of the price step that is valid at it."""
    steps = frame["limit_price"] / frame["tick"]
    return (steps - steps.round()).abs() <= 1e-6


@rule
def limit_is_near_the_price(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """A limit far from the valuation price was made from another market than the value."""
    return (frame["limit_price"] / frame["price"] - 1).abs() * 100 <= FAR_PCT


@rule
def trade_goes_to_the_target(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """Overweight is sold, underweight is bought."""
    buys, sells = frame["side"] == "BUY", frame["side"] == "SELL"
    return ~(buys & (frame["drift_bps"] >= 0)) & ~(sells & (frame["drift_bps"] <= 0))


@rule
def targets_are_gross(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """The target weights of the universe sum to the gross exposure, within 1e-6 of NetLiq."""
    return everywhere(frame, holds=abs(frame["target_pct"].sum() - limits["gross_pct"]) <= 1e-4)


@rule
def buys_are_paid(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """Buys at their worst prices, with commissions, cost at most the money there is if every order fills at its worst.

    That money is USD cash + sells + converted USD − commissions − that part of the buffer which the remaining CAD does
    not cover. A target that borrows adds |CASH weight| × investable, and keeps no buffer.
    """
    is_buy, is_traded = frame["side"] == "BUY", frame["side"] != "NONE"
    converted = _converted(limits)
    orders = is_traded.sum() + bool(limits["fx_usd"])
    usd = limits["usd"] + _worth(frame, "SELL", "worst_price") + converted - orders * limits["commission"]
    borrowed, kept = limits["debit"] * limits["investable"], limits["buffer"] - _cad_left(limits, converted)
    there_is = usd + borrowed if borrowed else usd - max(0.0, kept)
    cost = _worth(frame, "BUY", "worst_price")
    return ~is_buy | bool(cost <= there_is + tolerance(limits["net_liq"]))


@rule
def leverage_holds(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """Position value after the plan is at most max_leverage × NetLiq; an account above it may only sell."""
    after = limits["position_value"] - _worth(frame, "SELL", "price") + _worth(frame, "BUY", "worst_price")
    holds = after <= limits["max_leverage"] * limits["net_liq"] + tolerance(limits["net_liq"])
    return (frame["side"] != "BUY") | bool(holds)


@rule
def margin_holds(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """With margin: excess liquidity − margin_pct × (buys − sells) at worst prices keeps its buffer of NetLiq."""
    change = _worth(frame, "BUY", "worst_price") - _worth(frame, "SELL", "worst_price")
    after = limits["excess"] - limits["margin_pct"] / 100 * change
    holds = after >= limits["margin_buffer_pct"] / 100 * limits["net_liq"] - tolerance(limits["net_liq"])
    return (frame["side"] != "BUY") | bool(holds) | (not limits["margin_counts"])


@rule
def conversion_is_covered(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """The USD bought cost at most the CAD cash at the planning rate."""
    cost = limits["fx_usd"] * limits["fx_planned"]
    return everywhere(frame, holds=cost <= max(0.0, limits["cad"]) + CENT)


def _worth(frame: pd.DataFrame, side: str, price: str) -> float:
    lines = frame[frame["side"] == side]
    return float((lines["quantity"] * lines[price]).sum())


def _converted(limits: Limits) -> float:
    """USD that the conversion brings even at its worst rate, whole dollars."""
    if not limits["fx_worst"]:
        return 0.0
    return min(limits["fx_usd"], max(0.0, limits["cad"]) / limits["fx_worst"] // 1)


def _cad_left(limits: Limits, converted: float) -> float:
    """What the remaining CAD is worth in USD, at the worst rate, or at the account's own where there is none."""
    if limits["fx_worst"]:
        return limits["cad"] / limits["fx_worst"] - converted
    return limits["cad"] * limits["usd_per_cad"]
