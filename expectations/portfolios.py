"""Suite of the portfolios table: the rules of portfolios.csv, checked again on the parsed rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from expectations.gate import library, suite_of
from expectations.rules import CENT, Limits, rule

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation


@dataclass(frozen=True, slots=True)
class PortfolioChecks:
    """`models` by their mix weight, of which those above 0 must have rows; CASH rows need `allow_margin`."""

    models: Mapping[str, float]
    allow_margin: bool
    max_leverage: float


def portfolios_suite(checks: PortfolioChecks) -> ExpectationSuite:
    """Known models and symbols once each, assets ≥ 0, CASH < 0 and only with margin, each model 100 %."""
    gx = library()
    return suite_of("portfolios", [*_names(gx, checks), *_weights(gx, checks)])


def _names(gx: Any, checks: PortfolioChecks) -> list[Expectation]:
    """Checks of models and symbols."""
    return [
        *gx.filled(["line", "portfolio", "symbol", "target_pct"]),
        gx.ExpectInSet(
            column="portfolio",
            value_set=list(checks.models),
            description="unknown model",
            notes="it has no weight in the mix",
        ),
        gx.ExpectColumnDistinctValuesToContainSet(
            column="portfolio",
            value_set=sorted(model for model, weight in checks.models.items() if weight),
            description="a model of the mix has no rows",
        ),
        gx.ExpectMatch(column="symbol", regex=r"\A[A-Z0-9.\- ]{1,12}\Z", description="not a symbol"),
        gx.ExpectUniqueTogether(column_list=["portfolio", "symbol"], description="symbol twice in one model"),
    ]


def _weights(gx: Any, checks: PortfolioChecks) -> list[Expectation]:
    """Checks of each weight, and of those of a model together."""
    weighed, most = ("portfolio", "symbol", "target_pct"), checks.max_leverage * 100
    return [
        gx.ExpectWithin(
            column="target_pct",
            min_value=0,
            row_condition=gx.Column("symbol") != "CASH",
            description="target below 0",
            notes="long only",
        ),
        gx.ExpectWithin(
            column="target_pct",
            max_value=0,
            strict_max=True,
            row_condition=gx.Column("symbol") == "CASH",
            description="CASH not below 0",
            notes="it says what is borrowed; to keep cash, assets get less",
        ),
        gx.rows(cash_is_allowed, weighed, "CASH without margin", limits={"allowed": checks.allow_margin}),
        gx.rows(model_is_whole, weighed, "the model is not 100 %"),
        gx.rows(model_is_affordable, weighed, f"assets above {most:g} %", limits={"most": most}),
    ]


@rule
def cash_is_allowed(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """No CASH row unless margin is enabled."""
    return (frame["symbol"] != "CASH") | bool(limits["allowed"])


@rule
def model_is_whole(frame: pd.DataFrame, limits: Limits) -> pd.Series:  # noqa: ARG001 - rules look alike
    """Assets and CASH of each model sum to 100, within 0.01."""
    sums = frame.groupby("portfolio")["target_pct"].transform("sum")
    return (sums - 100).abs() <= CENT + 1e-9


@rule
def model_is_affordable(frame: pd.DataFrame, limits: Limits) -> pd.Series:
    """The assets of each model sum to `most` at most, within 0.01."""
    assets = frame["target_pct"].where(frame["symbol"] != "CASH", 0)
    return assets.groupby(frame["portfolio"]).transform("sum") <= limits["most"] + CENT
