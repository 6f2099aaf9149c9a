"""Suite of the account table: positions, cash and figures are numbers, and add up in one currency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.frames import FIGURE, NET_LIQ, POSITION
from expectations.gate import library, suite_of
from expectations.rules import CENT, Limits, rule, tolerance

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

WARN_GAP_PCT = 1.0
MARK_GAP_PCT = 1.0
MOST = 1e13  # no account has as much, in any currency; an infinity or a sentinel like 1.8e308 is not an amount


@dataclass(frozen=True, slots=True)
class AccountChecks:
    """The broker's NetLiq may be this many percent away from the sum of what it lists."""

    max_gap_pct: float


def account_suite(checks: AccountChecks) -> ExpectationSuite:
    """Every amount is a number with a rate, no ETF is short, and the parts are the broker's NetLiq."""
    gx = library()
    return suite_of("account", [*_amounts(gx), *_sums(gx, checks)])


def _amounts(gx: Any) -> list[Expectation]:
    """Checks of single columns."""
    is_position, is_etf = gx.Column("kind") == POSITION, gx.Column("security_type") == "ETF"
    return [
        *gx.filled(["symbol", "kind", "currency"]),
        *gx.filled(["value", "base_value"], row_condition=gx.Column("kind") != POSITION),
        *gx.filled(["rate"], row_condition=gx.Column("value") != 0),
        *gx.filled(["quantity"], row_condition=is_position),
        # after its nightly reset the broker gives no mark for a while; planning has prices of its own
        *gx.filled(["price", "value"], row_condition=is_position, severity="warning"),
        gx.ExpectWithin(
            column="rate",
            min_value=0,
            strict_min=True,
            description="exchange rate not above 0",
            notes="amounts are converted by it",
        ),
        gx.ExpectWithin(
            column="base_value",
            min_value=-MOST,
            max_value=MOST,
            description="not an amount of money",
            notes="the gateway sends such numbers for none",
        ),
        gx.ExpectWithin(
            column="base_value",
            min_value=0,
            strict_min=True,
            row_condition=gx.Column("symbol") == NET_LIQ,
            description="net liquidation value not above 0",
            notes="there is nothing to invest",
        ),
        gx.ExpectWithin(
            column="quantity",
            min_value=0,
            row_condition=is_etf,
            description="short position in an ETF",
            notes="long only: selling would make it larger",
        ),
    ]


def _sums(gx: Any, checks: AccountChecks) -> list[Expectation]:
    """Checks across columns: what the broker lists must be what the broker says it is worth."""
    gaps = ((checks.max_gap_pct, "critical"), (WARN_GAP_PCT, "warning"))
    return [
        *(
            gx.rows(
                net_liq_adds_up,
                ("symbol", "kind", "base_value"),
                f"positions and cash are more than {gap:g} % from the broker's NetLiq",
                limits={"most_pct": gap},
                optional=["base_value"],
                severity=severity,
            )
            for gap, severity in gaps
        ),
        gx.rows(
            value_is_quantity_times_price,
            ("quantity", "price", "value"),
            f"value more than {MARK_GAP_PCT:g} % from quantity × price",
            limits={"most_pct": MARK_GAP_PCT},
            optional=["price", "value"],
            row_condition=gx.Column("kind") == POSITION,
            severity="warning",
        ),
    ]


@rule
def net_liq_adds_up(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """The broker's NetLiq is the sum of positions and cash; the row of NetLiq is the one at fault.

    It passes where the broker gives no value for a position, since there is no sum then.
    """
    if frame["base_value"].isna().any():
        return pd.Series(True, index=frame.index)  # noqa: FBT003 - pandas' own
    total = frame["base_value"].where(frame["kind"] != FIGURE, 0).sum()
    gap = (frame["base_value"] - total).abs()
    allowed = frame["base_value"].abs() * limits["most_pct"] / 100 + tolerance(total)
    return (frame["symbol"] != NET_LIQ) | (gap <= allowed)


@rule
def value_is_quantity_times_price(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """The broker's market value is quantity × its mark, where it gives both."""
    gap = (frame["value"] - frame["quantity"] * frame["price"]).abs()
    return gap.isna() | (gap <= frame["value"].abs() * limits["most_pct"] / 100 + CENT)
