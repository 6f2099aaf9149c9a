"""What the tests of the data gates share."""

from __future__ import annotations

from core.money import D
from core.settings import RebalanceSection
from expectations.gate import suite_of

SIZING = RebalanceSection(
    min_order_usd=D(500),
    max_order_usd=D(10_000),
    max_turnover_pct=None,
    allow_fractional=False,
    allow_margin=False,
    max_leverage=D("1.5"),
    maintenance_buffer_pct=D(10),
    maintenance_margin_pct=D(25),
    commission_per_order_usd=D(1),
)


def only(suite, *messages):
    """The suite with just the checks that say one of the messages: a wrong cell breaks several, each must see it."""
    checks = [check for check in suite.expectations if check.description in messages]
    assert {check.description for check in checks} == set(messages)
    return suite_of(suite.name, checks)
