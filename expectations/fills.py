"""Suite of the fills table: what was traded is what was ordered, and it explains what the account has now.

Nothing can be stopped any more, so that what another cause may explain as well (a dividend, a trade by hand, a figure
that the broker updates late) is a warning; what no cause explains (more filled than ordered) fails the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from core.frames import CASH_ROW, FILL, POSITION
from expectations.gate import library, suite_of
from expectations.rules import CLOSE, Limits, rule, signs, tolerance

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

PAID = ("kind", "symbol", "side", "currency", "commission_currency", "shares", "price", "commission", "before", "after")


def fills_suite() -> ExpectationSuite:
    """Every fill belongs to its order and is counted once, and positions and cash follow from the fills."""
    gx = library()
    return suite_of("fills", [*_fills(gx), *_account(gx)])


def _fills(gx: Any) -> list[Expectation]:
    """Checks of each fill, and of all fills of an order."""
    is_fill = gx.Column("kind") == FILL
    ordered = ("shares", "ordered", "approved_quantity")
    return [
        *gx.filled(["symbol", "kind"]),
        *gx.filled(["execution", "ref", "side", "shares", "price", "ordered"], row_condition=is_fill),
        gx.ExpectUnique(column="execution", row_condition=is_fill, description="execution counted twice"),
        gx.ExpectWithin(
            column="shares", min_value=0, strict_min=True, row_condition=is_fill, description="shares not above 0"
        ),
        gx.ExpectWithin(
            column="price", min_value=0, strict_min=True, row_condition=is_fill, description="price not above 0"
        ),
        gx.rows(
            fill_is_of_its_order,
            ("symbol", "order_symbol", "side", "order_side"),
            "not what its order trades",
            row_condition=is_fill,
        ),
        gx.rows(filled_as_ordered, ("ref", *ordered), "more filled than ordered", row_condition=is_fill),
        gx.rows(filled_as_approved, ("symbol", *ordered), "more filled than approved", row_condition=is_fill),
        gx.rows(
            fill_is_within_its_limit,
            ("side", "price", "limit_price"),
            "filled at a worse price than its limit",
            optional=["limit_price"],
            row_condition=is_fill,
            severity="warning",
        ),
        *gx.filled(["commission"], row_condition=is_fill, severity="warning"),
    ]


def _account(gx: Any) -> list[Expectation]:
    """Checks of what the account shows afterwards."""
    rest = ["shares", "price", "commission", "before", "after"]
    moved = ("kind", "symbol", "side", "shares", "before", "after")
    return [
        gx.rows(
            positions_are_explained,
            moved,
            "position changed by something else than our fills",
            optional=["shares", "before", "after"],
            severity="warning",
        ),
        gx.rows(
            cash_is_explained,
            PAID,
            "cash changed by something else than our fills and commissions",
            optional=rest,
            severity="warning",
        ),
    ]


@rule
def fill_is_of_its_order(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001 - rules look alike
    """Symbol and side of the execution are those of the order it is booked under."""
    return (frame["symbol"] == frame["order_symbol"]) & (frame["side"] == frame["order_side"])


@rule
def filled_as_ordered(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """The fills of an order together are at most its quantity."""
    return frame.groupby("ref")["shares"].transform("sum") <= frame["ordered"] + CLOSE


@rule
def filled_as_approved(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """The fills of a symbol over all attempts are at most the approved quantity."""
    return frame.groupby("symbol")["shares"].transform("sum") <= frame["approved_quantity"] + CLOSE


@rule
def fill_is_within_its_limit(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """A buy is filled at most, a sell at least at its limit; a market order at any price."""
    beyond = (frame["price"] - frame["limit_price"]) * signs(frame["side"])
    return beyond.isna() | (beyond <= frame["price"] * CLOSE)


@rule
def positions_are_explained(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """Each position is what it was, with what our fills bought and without what they sold."""
    is_fill = frame["kind"] == FILL
    traded = (frame["shares"] * signs(frame["side"]))[is_fill].groupby(frame["symbol"]).sum()
    expected = frame["before"] + frame["symbol"].map(traded).fillna(0)
    return (frame["kind"] != POSITION) | ((frame["after"] - expected).abs() <= 1e-6)


@rule
def cash_is_explained(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001
    """Each currency's cash is what it was, with sells and without buys and commissions, to the cent.

    A conversion pays in CAD and brings USD. With an unknown commission there is no sum to compare.
    """
    trades = frame[frame["kind"] == FILL]
    if trades["commission"].isna().any():
        return pd.Series(True, index=frame.index)  # noqa: FBT003 - pandas' own
    sign, is_pair = signs(trades["side"]), trades["symbol"] == "USD.CAD"
    paid = pd.concat(
        [
            _by_currency(trades["currency"], -sign * trades["shares"] * trades["price"]),
            _by_currency(trades["commission_currency"], -trades["commission"]),
            _by_currency(trades["currency"].where(~is_pair, "USD")[is_pair], (sign * trades["shares"])[is_pair]),
        ]
    )
    moved = frame["currency"].map(paid.groupby(level=0).sum()).fillna(0)
    gap = (frame["after"] - frame["before"] - moved).abs()
    return (frame["kind"] != CASH_ROW) | (gap <= frame["before"].abs().map(tolerance))


def _by_currency(currency: pd.Series, amount: pd.Series) -> pd.Series:
    return pd.Series(amount.to_numpy(), index=currency.to_numpy())
