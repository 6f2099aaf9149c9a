"""A run that traded nothing says whether nothing was needed, or what kept the trades that were."""

from __future__ import annotations

import pytest
from builders import outcome, plan, still_line
from planning_builders import account, at, case, held, lines, planned

from core.model import USD, LimitedBy, TradeDirection
from core.money import D
from core.report.report_html import no_trades_text


@pytest.mark.parametrize(
    ("kept_by", "reason", "opening"),
    [
        ([None, LimitedBy.BAND, LimitedBy.ROUNDING], "nothing needed trading", "Nothing needed trading: "),
        (
            [LimitedBy.BAND, LimitedBy.MINIMUM],
            "nothing was traded: 1 symbol outside its band is held back by minimum",
            "Nothing was traded: ",
        ),
        (
            [LimitedBy.MONEY, LimitedBy.MINIMUM, LimitedBy.MONEY],
            "nothing was traded: 3 symbols outside their band are held back by minimum, money",
            "Nothing was traded: ",
        ),
    ],
)
def test_the_reason_tells_an_account_in_balance_from_one_without_money(kept_by, reason, opening):
    still = [still_line(f"S{number}", limited_by=each) for number, each in enumerate(kept_by)]
    run = outcome(plan=plan(*still))
    assert (run.reason, run.status) == (reason, "no_trades")
    assert no_trades_text(tuple(still)).startswith(opening)


def test_a_line_that_the_scaling_made_too_small_names_the_money():
    inputs = case({"A": "0.5", "B": "0.5"}, account(held("A", "40"), cash={USD: "700"}), at("A"), at("B"))
    found = lines(planned(inputs, min_order_usd=D(800), direction=TradeDirection.BUY_ONLY))["B"]
    assert found.quantity == 0
    assert found.rule.endswith("; not traded: the money allows less than min_order_usd 800")
