"""Drift and triggers: what trades at a band, and the reason it gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_builders import account, at, case, held, plan_settings

from core.model import USD, LimitedBy, TradeDirection, TriggerMode
from core.money import BPS, D
from core.planning.drift import measure
from core.planning.valuation import value_account


def lines(weights, snapshot, *quotes, **changes):
    inputs = case(weights, snapshot, *quotes)
    valuation = value_account(
        snapshot, inputs.targets, inputs.contracts, inputs.judge(plan_settings()), plan_settings()
    )
    return {line.symbol: line for line in measure(inputs.targets, valuation, plan_settings(**changes).rebalance)}


def account_with(shares_of_a):
    """100 000 USD, the rest of it in B; one share is 10 bps."""
    return account(held("A", str(shares_of_a)), held("B", str(1000 - shares_of_a)))


def test_drift_is_current_weight_less_target_weight_in_bps():
    found = lines({"A": "0.60", "B": "0.40"}, account_with(610))["A"]
    assert (found.value, found.wanted, found.drift_bps) == (D(61000), D(-1000), D(100))
    assert (found.held, found.target, found.price.value) == (D(610), D("0.60"), D(100))


@pytest.mark.parametrize(
    ("shares", "band", "trades"),
    [(605, "50", False), (595, "50", False), (606, "50", True), (594, "50", True), (605, "49.9999", True)],
)
def test_a_drift_of_exactly_the_band_does_not_trade(shares, band, trades):
    found = lines({"A": "0.60", "B": "0.40"}, account_with(shares), per_holding_band_bps=D(band))["A"]
    assert found.triggered is trades
    assert found.limited_by is (None if trades else LimitedBy.BAND)


@given(st.integers(1, 10**9), st.integers(1, 9999), st.integers(1, 3000))
def test_exactly_the_band_does_not_trade_whatever_the_numbers(cents, target_bps, band):
    total = D(cents) / 100
    value = total * (target_bps + band) / BPS
    own = account(held("A", "1", str(value)), cash={USD: str(total - value)})
    found = lines({"A": str(D(target_bps) / BPS)}, own, at("A", str(value)), per_holding_band_bps=D(band))["A"]
    assert not found.triggered
    assert found.drift_bps == band


def test_a_band_of_zero_trades_any_drift_but_nothing_on_target():
    found = lines({"A": "0.6", "B": "0.39", "C": "0"}, account_with(600), per_holding_band_bps=D(0))
    assert not found["A"].triggered
    assert found["B"].triggered
    assert (found["C"].triggered, found["C"].limited_by, found["C"].reason) == (False, None, "on target")


@pytest.mark.parametrize(("band", "trades"), [("200", False), ("199.99", True)])
def test_total_drift_of_exactly_the_band_trades_nothing_and_above_it_everything(band, trades):
    weights = {"A": "0.60", "B": "0.39", "C": "0.01"}
    found = lines(weights, account_with(600), trigger_mode=TriggerMode.TOTAL_DRIFT, portfolio_total_band_bps=D(band))
    # B is 100 bps over, C 100 bps under: 200 in all
    assert [found[symbol].triggered for symbol in "ABC"] == [False, trades, trades]
    assert found["A"].limited_by is None


def test_under_total_drift_nothing_trades_inside_the_total_even_outside_its_own_band():
    found = lines(
        {"A": "0.60", "B": "0.40"},
        account_with(620),
        trigger_mode=TriggerMode.TOTAL_DRIFT,
        per_holding_band_bps=D(50),
        portfolio_total_band_bps=D(400),
    )
    assert [line.triggered for line in found.values()] == [False, False]
    assert found["A"].reason == "overweight by 200.00 bps, but total drift 400.00 bps is inside its band of 400 bps"


def test_under_total_drift_a_symbol_inside_its_own_band_trades_too():
    weights = {"A": "0.599", "B": "0.301", "C": "0.1"}
    own = account(held("A", "600"), held("B", "400"))
    found = lines(weights, own, trigger_mode=TriggerMode.TOTAL_DRIFT)
    assert found["A"].drift_bps == 10
    assert found["A"].triggered


@pytest.mark.parametrize(
    ("direction", "sells", "buys"),
    [
        (TradeDirection.BOTH, True, True),
        (TradeDirection.BUY_ONLY, False, True),
        (TradeDirection.SELL_ONLY, True, False),
    ],
)
def test_direction_removes_the_other_side(direction, sells, buys):
    found = lines({"A": "0.60", "B": "0.40"}, account_with(700), direction=direction)
    assert (found["A"].triggered, found["B"].triggered) == (sells, buys)
    removed = [line for line in found.values() if not line.triggered]
    assert all(line.limited_by is LimitedBy.DIRECTION and f"direction = {direction}" in line.reason for line in removed)


def test_a_symbol_inside_its_band_is_not_blamed_on_the_direction():
    found = lines({"A": "0.60", "B": "0.40"}, account_with(602), direction=TradeDirection.BUY_ONLY)
    assert found["A"].limited_by is LimitedBy.BAND


@pytest.mark.parametrize(
    ("shares", "symbol", "reason"),
    [
        (612, "A", "overweight by 120.00 bps, band 50 bps: sell down to the target"),
        (612, "B", "underweight by 120.00 bps, band 50 bps: buy up to the target"),
        (604, "A", "overweight by 40.00 bps, inside the band of 50 bps"),
        (600, "A", "on target"),
    ],
)
def test_the_reason_gives_the_numbers(shares, symbol, reason):
    assert lines({"A": "0.60", "B": "0.40"}, account_with(shares))[symbol].reason == reason


def test_the_reason_under_total_drift_gives_the_total():
    found = lines({"A": "0.60", "B": "0.40"}, account_with(612), trigger_mode=TriggerMode.TOTAL_DRIFT)
    assert found["A"].reason == (
        "overweight by 120.00 bps, total drift 240.00 bps, band 100 bps: sell down to the target"
    )


def test_a_holding_without_target_is_measured_against_zero():
    found = lines({"A": "1"}, account(held("A", "99"), held("X", "1")))
    assert (found["X"].target, found["X"].drift_bps, found["X"].triggered) == (D(0), D(100), True)
    assert list(found) == ["A", "X"]


def test_a_target_written_as_0_is_sold_whatever_the_band():
    found = lines({"A": "0.998", "B": "0", "C": "0.002"}, account(held("A", "998"), held("B", "1"), held("C", "1")))
    assert (found["A"].triggered, found["C"].triggered) == (False, False)
    assert (found["B"].triggered, found["B"].limited_by) == (True, None)
    assert found["B"].reason == "overweight by 10.00 bps, target 0: sell all, whatever the band"


def test_a_target_written_as_0_is_sold_inside_the_total_band_too_but_not_when_only_buys_are_allowed():
    own = account(held("A", "999"), held("B", "1"))
    assert lines({"A": "1", "B": "0"}, own, trigger_mode=TriggerMode.TOTAL_DRIFT)["B"].triggered
    found = lines({"A": "1", "B": "0"}, own, direction=TradeDirection.BUY_ONLY)["B"]
    assert (found.triggered, found.limited_by) == (False, LimitedBy.DIRECTION)


def test_a_holding_without_a_row_keeps_its_band():
    found = lines({"A": "1"}, account(held("A", "999"), held("B", "1")))["B"]
    assert (found.triggered, found.limited_by) == (False, LimitedBy.BAND)
