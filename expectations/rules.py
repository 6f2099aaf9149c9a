"""Rules over rows of a table, by name: what a data gate checks beyond single columns.

A rule takes the table and its limits and returns a truth value per row. It computes from the columns alone, in
floats, and shares no code with the domain: a second pair of eyes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

Limits = Mapping[str, float]
Rule = Callable[[pd.DataFrame, Limits], pd.Series]

RULES: dict[str, Rule] = {}

CENT = 0.01
# 28-digit decimals against 53-bit floats: a relative error of 1e-9 is far above the one and far below a cent
CLOSE = 1e-9


def rule(check: Rule) -> Rule:
    """Register the function under its name, by which an expectation refers to it."""
    RULES[check.__name__] = check
    return check


def tolerance(amount: float) -> float:
    """How far two sums of about this amount may differ and still be the same: a cent and the error of floats."""
    return abs(amount) * CLOSE + CENT


def everywhere(frame: pd.DataFrame, *, holds: bool) -> pd.Series:
    """The verdict on the whole table, given to each of its rows."""
    return pd.Series(data=holds, index=frame.index)


def signs(side: pd.Series) -> pd.Series:
    """1 for a buy and −1 for a sell, so that one rule holds for both; nothing for any other side."""
    return side.map({"BUY": 1.0, "SELL": -1.0})
