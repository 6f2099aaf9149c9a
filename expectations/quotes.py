"""Suite of the quotes table: what would give a wrong price refuses the run; what may refuse it later is a warning.

Whether a missing, one-sided, crossed or old quote matters depends on whether the symbol trades, so planning
decides that with its own exit code. It is shown here all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from expectations.gate import library, suite_of
from expectations.rules import CLOSE, Limits, rule

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

FAR_PCT = 5.0
CLOCK_SKEW_SECONDS = 5.0
SIDES = ("bid", "ask", "last")
SOURCES = ("last", "midpoint", "bidask", "snapshot")


@dataclass(frozen=True, slots=True)
class QuoteChecks:
    """A quote older than `stale_seconds` is a warning."""

    stale_seconds: float


def quotes_suite(checks: QuoteChecks) -> ExpectationSuite:
    """One row per symbol, every price above 0 and what its source says; nulls, age and oddities as warnings."""
    gx = library()
    return suite_of("quotes", [*_prices(gx), *_sides(gx), *_oddities(gx, checks)])


def _prices(gx: Any) -> list[Expectation]:
    """Critical checks: what must hold of every price there is."""
    has_price = gx.Column("price").is_not_null()
    return [
        *gx.filled(["symbol", "is_valued"]),
        gx.ExpectUnique(column="symbol", description="symbol quoted twice"),
        gx.ExpectWithin(
            column="price",
            min_value=0,
            strict_min=True,
            description="price not above 0",
            notes="quantities are amounts divided by it",
        ),
        gx.ExpectInSet(
            column="price_source",
            value_set=list(SOURCES),
            row_condition=has_price,
            description="unknown source",
            notes="nobody could say what the price is",
        ),
        gx.rows(
            price_is_what_its_source_says,
            ("symbol", "price", "price_source", *SIDES),
            "price is not what its source says",
            optional=list(SIDES),
            row_condition=has_price,
        ),
    ]


def _sides(gx: Any) -> list[Expectation]:
    """Warnings: what a quote lacks, or cannot be, while planning decides what it means."""
    is_valued = gx.Column("is_valued") == True  # noqa: E712 - builds a condition
    as_warning = {"severity": "warning"}
    return [
        *gx.filled(["price", "bid", "ask", "age_seconds"], row_condition=is_valued, **as_warning),
        *(
            gx.ExpectWithin(
                column=side,
                min_value=0,
                strict_min=True,
                description=f"{side} not above 0",
                notes="the gateway sends such numbers for none",
                **as_warning,
            )
            for side in SIDES
        ),
        gx.ExpectNotLess(
            column_A="ask",
            column_B="bid",
            or_equal=True,
            ignore_row_if="either_value_is_missing",  # a missing side is a fault of its own above
            description="bid above ask",
            **as_warning,
        ),
    ]


def _oddities(gx: Any, checks: QuoteChecks) -> list[Expectation]:
    """Warnings: prices that may be of another time or another market."""
    as_warning = {"severity": "warning"}
    return [
        gx.ExpectWithin(
            column="age_seconds",
            min_value=-CLOCK_SKEW_SECONDS,
            max_value=checks.stale_seconds,
            description=f"quote older than {checks.stale_seconds:g} s, or from the future",
            notes="the market has moved since, or a clock is wrong",
            **as_warning,
        ),
        gx.ExpectInSet(
            column="data_type",
            value_set=["live"],
            row_condition=gx.Column("is_valued") == True,  # noqa: E712 - builds a condition
            description="not live data",
            notes="an order would meet other prices",
            **as_warning,
        ),
        gx.rows(
            price_is_near_the_mid,
            ("price", "bid", "ask"),
            f"price more than {FAR_PCT:g} % from the middle of bid and ask",
            optional=["bid", "ask"],
            limits={"most_pct": FAR_PCT},
            row_condition=gx.Column("price").is_not_null(),
            **as_warning,
        ),
    ]


@rule
def price_is_what_its_source_says(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001 - rules look alike
    """last is the last trade, midpoint the middle, bidask one side; a snapshot may be any of these."""
    price, source = frame["price"], frame["price_source"]
    is_last = _same(price, frame["last"])
    is_middle = _same(price, (frame["bid"] + frame["ask"]) / 2)
    is_side = _same(price, frame["bid"]) | _same(price, frame["ask"])
    return (
        ((source == "last") & is_last)
        | ((source == "midpoint") & is_middle)
        | ((source == "bidask") & is_side)
        | ((source == "snapshot") & (is_last | is_middle | is_side))
    )


@rule
def price_is_near_the_mid(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """A last trade far from the market is old or wrong; without both sides there is nothing to compare."""
    middle = (frame["bid"] + frame["ask"]) / 2
    return ~((frame["price"] / middle - 1).abs() * 100 > limits["most_pct"])


def _same(one: pd.Series, other: pd.Series) -> pd.Series:
    return (one - other).abs() <= one.abs() * CLOSE
