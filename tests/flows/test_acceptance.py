"""The acceptance points that need no gateway, each seen in what a run leaves behind."""

from __future__ import annotations

from decimal import Decimal

import pytest
from scenario_runs import SCENARIOS, rehearse

from core.scenario import read_scenario
from core.settings.loading import load_settings
from core.targets import blend, read_portfolios


def orders_of(run, stage):
    return [order for order in run.result["orders"] if order["stage"] == stage]


@pytest.mark.parametrize(
    ("name", "code", "named"),
    [
        (
            "exit_10_settings_invalid",
            10,
            ("min_order_usdd", "min_order_usd", "cash_buffer_pct", "150", "style", "wild"),
        ),
        ("exit_11_portfolios_invalid", 11, ("line 3", "VTI", "line 4", "=CMD()", "90")),
    ],
)
def test_1_invalid_settings_and_models_are_refused_with_every_fault_named(tmp_path, name, code, named):
    run = rehearse(name, tmp_path)
    assert run.result["exit_code"] == code
    assert not run.result["orders"]
    for text in named:
        assert text in run.result["reason"]


def test_2_the_sample_blend_is_the_weighted_sum_and_totals_one_hundred_percent(demo):
    from builders import NOW  # noqa: PLC0415 - only this test has no scenario's clock

    settings = load_settings(demo / "settings.ini", environ={}, overrides={})
    mix, rebalance = settings.models, settings.rebalance
    rows = read_portfolios(demo / "portfolios.csv", mix, rebalance, max_age=None, now=NOW)
    targets = blend(rows, mix, rebalance)
    by_hand: dict[str, Decimal] = {}
    for row in rows:
        by_hand[row.symbol] = by_hand.get(row.symbol, Decimal(0)) + settings.models[row.model] * row.weight
    assert targets.weights.keys() == by_hand.keys()
    for symbol, weight in by_hand.items():
        assert abs(targets.weights[symbol] - weight) <= Decimal("1e-6")
    assert abs(sum(targets.weights.values()) - 1) <= Decimal("1e-6")


def test_3_the_snapshot_has_net_liq_both_cash_balances_and_every_position(tmp_path):
    run = rehearse("e2e_fx_first", tmp_path, ("positions: []", POSITIONS))
    before = run.outcome.before
    assert before.cash == {"USD": 0, "CAD": 100000}
    assert before.net_liq.currency == "CAD"
    assert {position.contract.symbol: position.quantity for position in before.positions} == {"BND": 10, "VTI": 3}


POSITIONS = """positions:
    - {symbol: VTI, quantity: 3, average_cost: 200, security_type: ETF, currency: USD}
    - {symbol: BND, quantity: 10, average_cost: 70, security_type: ETF, currency: USD}"""


def test_4_only_holdings_over_the_band_are_in_the_plan(tmp_path):
    run = rehearse("e2e_one_overweight_sells_only", tmp_path)
    assert [(line["symbol"], line["side"]) for line in run.result["plan"]] == [("VTI", "SELL")]
    in_the_plan = {line["symbol"]: abs(line["drift_bps"]) for line in run.result["plan"]}
    assert all(drift > 100 for drift in in_the_plan.values())
    drift = {row["symbol"]: abs(Decimal(row["drift_bps"])) for row in run.rows("pre_trade.csv")[:-1]}
    assert all(drift[symbol] <= 100 for symbol in ("BND", "GLD"))


def test_5_sizing_respects_minimum_maximum_buffer_and_money(tmp_path):
    run = rehearse("e2e_underweights_scaled", tmp_path)
    dollars = [line["quantity"] * line["price"] for line in run.result["plan"]]
    assert all(1000 <= each <= 12000 for each in dollars)
    assert run.result["cash_after"]["USD"] >= 0.20 * run.result["net_liq"] - 0.01
    assert all(float(line["quantity"]).is_integer() for line in run.result["plan"])
    assert "TIP" in {line["symbol"] for line in run.result["skipped"]}


def test_6_paper_sends_orders_and_a_dry_run_of_the_same_account_sends_none(tmp_path):
    (tmp_path / "dry").mkdir()
    paper = rehearse("e2e_fx_first", tmp_path)
    dry = rehearse("e2e_fx_first", tmp_path / "dry", ("mode: paper", "mode: dry_run"))
    assert len(paper.result["orders"]) == 3
    assert dry.result["orders"] == []
    assert dry.result["plan"] == paper.result["plan"]
    assert dry.result["cash_after"] == {"USD": 0.0, "CAD": 100000.0}


def test_7_paper_only_blocks_live(tmp_path):
    run = rehearse("exit_30_paper_only", tmp_path)
    assert (run.result["exit_code"], run.result["orders"]) == (30, [])
    assert "paper_only" in run.result["reason"]


def test_8_the_reports_show_target_current_and_residual_drift(tmp_path):
    run = rehearse("e2e_whole_shares_large_account", tmp_path)
    before = {row["symbol"]: row for row in run.rows("pre_trade.csv")}
    after = {row["symbol"]: row for row in run.rows("post_trade.csv")}
    assert before["VTI"]["target_pct"] == "35.00"
    assert before["VTI"]["current_pct"] != before["VTI"]["target_pct"]
    assert abs(Decimal(after["VTI"]["residual_drift_bps"])) < abs(Decimal(before["VTI"]["drift_bps"]))


def test_10_an_account_that_is_already_right_ends_with_code_0_and_no_orders(tmp_path):
    run = rehearse("e2e_no_trade_within_band", tmp_path)
    assert (run.result["exit_code"], run.result["status"], run.result["orders"]) == (0, "no_trades", [])


def test_11_cash_minus_fifty_needs_allow_margin_and_a_leverage_of_one_and_a_half(tmp_path):
    for folder in ("allowed", "refused", "too_low"):
        (tmp_path / folder).mkdir()
    allowed = rehearse("e2e_margin_cash_minus_50", tmp_path / "allowed")
    totals = allowed.outcome.plan.totals
    assert allowed.result["exit_code"] == 0
    assert allowed.result["gross"] == 1.5
    assert abs(totals.gross_after - Decimal("1.5")) < Decimal("0.01")
    assert abs(totals.net_after - 1) < Decimal("0.001")
    refused = rehearse("e2e_margin_refused_without_allow_margin", tmp_path / "refused")
    assert (refused.result["exit_code"], refused.result["orders"]) == (11, [])
    assert "CSV contains CASH but margin is disabled" in refused.result["reason"]
    too_low = rehearse("e2e_margin_cash_minus_50", tmp_path / "too_low", ("max_leverage: 1.5", "max_leverage: 1.49"))
    assert (too_low.result["exit_code"], too_low.result["orders"]) == (11, [])


def test_12_cad_alone_fund_the_buys_by_a_conversion_with_its_buffer_before_any_etf(tmp_path):
    run = rehearse("e2e_fx_first", tmp_path)
    first, *rest = run.result["orders"]
    assert (first["stage"], first["symbol"], first["side"]) == ("FX", "USD.CAD", "BUY")
    assert [order["stage"] for order in rest] == ["BUY", "BUY"]
    cost = sum(order["quantity"] * order["limit_price"] for order in rest)
    assert first["quantity"] == -(-cost * 1.002 // 1)
    assert run.result["cash_after"]["USD"] >= 0


def test_13_limits_lie_between_mid_and_touch_and_escalate_when_wide_or_stale(tmp_path):
    run = rehearse("e2e_spread_aware_wide_and_stale", tmp_path)
    limits = {order["symbol"]: order["limit_price"] for order in run.result["orders"]}
    assert limits["VTI"] == 250.07  # 250.05 + 0.25 × 0.10 = 250.075, the tie goes to the passive side
    assert limits["BND"] == 72.50  # wide: crossed to the ask
    assert limits["GLD"] == 300.02  # stale: treated as wide
    assert any("GLD" in warning and "stale" in warning for warning in run.result["warnings"])


def test_whole_shares_leave_at_most_ten_bps_on_a_large_account(tmp_path):
    run = rehearse("e2e_whole_shares_large_account", tmp_path)
    assert all(abs(drift) <= 10 for drift in run.result["residual_drift_bps"].values())


def test_a_dry_run_on_a_sunday_with_old_quotes_gives_a_plan_with_warnings(tmp_path):
    run = rehearse("dry_run_on_a_sunday", tmp_path)
    assert run.result["exit_code"] == 0
    assert len(run.result["plan"]) == 2
    warnings = " ".join(run.result["warnings"])
    for text in ("stale", "closed", "no usable market", "working order"):
        assert text in warnings


def test_market_data_that_is_asked_for_delayed_is_a_warning(tmp_path):
    asked = ("targets:", "settings: {ibkr: {market_data_type: delayed}}\ntargets:")
    run = rehearse("dry_run_on_a_sunday", tmp_path, asked)
    assert run.result["exit_code"] == 0
    assert "quotes are not live but delayed: BND, VTI" in run.result["warnings"]


def test_a_run_that_ends_without_a_plan_still_says_what_the_account_holds(tmp_path):
    run = rehearse("exit_26_leverage_still_broken", tmp_path)
    assert (run.result["exit_code"], run.result["plan"]) == (26, [])
    world = read_scenario(SCENARIOS / "exit_26_leverage_still_broken.yaml").world
    assert run.result["positions_after"] == {held.symbol: held.quantity for held in world.account.positions}
    assert run.result["cash_after"]["USD"] == world.account.cash["USD"]
