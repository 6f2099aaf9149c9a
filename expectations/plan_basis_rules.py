"""The rules that hold a plan to what it was made from. All money is USD, `fx_*` rates are CAD per USD."""

from __future__ import annotations

import pandas as pd

from expectations.rules import CLOSE, Limits, everywhere, rule, signs, tolerance


@rule
def account_is_as_shown(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """NetLiq, cash, buffer and investable value are what cash, positions and rates add up to."""
    return everywhere(frame, holds=not limits["unlike"])


@rule
def held_is_in_the_account(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001 - rules look alike
    """The shares are those of the very contract (by conId) in the account."""
    return (frame["held"] - frame["in_account"]).abs() <= 1e-6


@rule
def price_is_quoted(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """The price is the last trade, a side of the market, or its middle."""
    price, middle = frame["price"], (frame["bid"] + frame["ask"]) / 2
    known = [frame["last"], frame["bid"], frame["ask"], middle]
    return pd.concat([(price - each).abs() <= price * CLOSE for each in known], axis=1).any(axis=1)


@rule
def target_is_blended(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """The target is the sum of mix × weight over the models."""
    return (frame["target_pct"] - frame["blended_pct"]).abs() <= 1e-4


@rule
def drift_is_counted(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """Drift is what the holding is worth beyond its target, in bps of the investable value."""
    drift = -_wanted(frame, limits) / limits["investable"] * 10_000
    return (drift - frame["drift_bps"]).abs() <= 0.01 + drift.abs() * CLOSE


@rule
def trades_are_outside_the_band(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """Inside its band nothing trades, but a row of the models with target 0, and buys for idle cash."""
    drift = frame["drift_bps"].abs()
    measured = pd.Series(drift.sum(), index=frame.index) if limits["by_total"] else drift
    is_exit = (frame["target_pct"] == 0) & ~frame["untargeted"].astype(bool)
    is_idle = (frame["side"] == "BUY") & bool(limits["buys_inside"])
    return (frame["side"] == "NONE") | is_exit | is_idle | (measured >= limits["band"] * (1 - CLOSE) - CLOSE)


@rule
def direction_is_allowed(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """`direction` leaves only one side where it is set."""
    is_barred = (frame["side"] == "BUY") & (not limits["may_buy"])
    return ~(is_barred | ((frame["side"] == "SELL") & (not limits["may_sell"])))


@rule
def trades_stop_at_the_target(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """Nothing is traded beyond the nearest share to the target.

    A sell may be one share more where it pays back a debit that may not stay, and an exit sells all that is held.
    """
    step = _step(frame, limits)
    wanted = (_wanted(frame, limits) * signs(frame["side"])).fillna(0) / frame["price"]
    pays = step * 0.5 * bool(limits["pays_debit"] and limits["usd"] < 0) * (frame["side"] == "SELL")
    is_exit = (frame["side"] == "SELL") & (frame["target_pct"] == 0)
    return is_exit | (frame["quantity"] <= wanted + step * 0.5 + pays + 1e-6)


@rule
def sells_reach_the_target(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """A sell goes to the nearest share of its target, an exit to the last one; only max_order_usd cuts it."""
    step = _step(frame, limits)
    all_of_it = (frame["held"] / step + 1e-9).floordiv(1) * step
    nearest = -_wanted(frame, limits) / frame["price"] - step * 0.5
    least = all_of_it.where(frame["target_pct"] == 0, nearest.clip(upper=all_of_it))
    is_cut = frame["dollars"] + step * frame["price"] >= limits["most"]
    return (frame["side"] != "SELL") | is_cut | (frame["quantity"] >= least - 1e-6)


@rule
def price_stays_in_the_market(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """Limit and worst price of a limit order lie inside the far touch, or `max_offset_bps` of the mid without that cap.

    The worst price of a market order lies at the far touch or beyond, so that its money is not counted too low.
    """
    sign, is_market = signs(frame["side"]), frame["order_type"] == "MKT"
    far = frame["ask"].where(frame["side"] == "BUY", frame["bid"])
    most = far
    if not limits["capped"]:
        beyond = (frame["bid"] + frame["ask"]) / 2 * (1 + sign * limits["offset"])
        most = most.where((most - beyond) * sign >= 0, beyond)
    slack, counted = most.abs() * CLOSE, frame["worst_price"]
    is_inside = ((frame["limit_price"] - most) * sign <= slack) & ((counted - most) * sign <= slack)
    is_unknown = ~(frame["bid"] <= frame["ask"])
    return is_unknown | (frame["side"] == "NONE") | is_inside.where(~is_market, (counted - far) * sign >= -slack)


@rule
def price_is_not_behind_the_mid(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """A limit is at most a tick on the passive side of the mid, where it would hardly fill."""
    behind = ((frame["bid"] + frame["ask"]) / 2 - frame["limit_price"]) * signs(frame["side"])
    return ~(frame["bid"] <= frame["ask"]) | (behind <= frame["tick"] * (1 + CLOSE) + CLOSE)


@rule
def turnover_is_allowed(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """All trades together are at most max_turnover_pct of NetLiq."""
    traded = frame["dollars"][frame["side"] != "NONE"].sum()
    return everywhere(frame, holds=traded <= limits["turnover"] * limits["net_liq"] + tolerance(limits["net_liq"]))


@rule
def rates_are_quoted(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """The conversion is planned inside the market, and counted at least at the ask."""
    bid, ask = limits["fx_bid"], limits["fx_ask"]
    if not limits["fx_usd"] or not ask:
        return everywhere(frame, holds=True)
    is_planned = bid * (1 - CLOSE) <= limits["fx_planned"] <= ask * (1 + CLOSE)
    worst = ask * (1 + limits["slippage"])
    return everywhere(frame, holds=is_planned and abs(limits["fx_worst"] - worst) <= worst * CLOSE)


@rule
def conversion_is_needed(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """The conversion is in whole dollars, within its bounds, and not more than the buys lack.

    What they lack is counted generously, for the price of a line that does not trade is not known: a conversion in
    the wrong currency or of the wrong sign is far beyond it.
    """
    usd = limits["fx_usd"]
    if not usd:
        return everywhere(frame, holds=True)
    price = frame[["price", "ask", "worst_price"]].max(axis=1) * (1 + limits["offset"])
    wanted = _wanted(frame, limits)
    bought = ((wanted / frame["price"] + 1) * price)[(wanted > 0) & (frame["side"] != "SELL")].sum()
    sold = (frame["quantity"] * frame["worst_price"])[frame["side"] == "SELL"].sum()
    lacking = bought - sold - limits["usd"] + limits["buffer"] * limits["tops_up"]
    most = min(lacking * (1 + limits["fx_buffer"]) + 1, limits["fx_most"])
    return everywhere(frame, holds=usd == int(usd) and limits["fx_least"] <= usd <= most + 1e-6)


def _wanted(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """USD up to the target, negative where there is too much."""
    return frame["target_pct"] / 100 * limits["investable"] - frame["held"] * frame["price"]


def _step(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """One share, or a ten-thousandth where setting and contract both allow fractions."""
    in_fractions = frame["takes_fractions"].astype(bool) & bool(limits["fractions"])
    return in_fractions.map({True: 0.0001, False: 1.0})
