"""Every trade of a plan is accounted for: sent, or listed as not sent with the reason."""

from __future__ import annotations

from scenario_runs import rehearse

NO_FAULT = "behaviour: {fills: {VTI: {delay_seconds: 2, fill_fraction: 0.5}}}"


def unsent(rehearsal):
    """Symbol and status of what was not sent, from post_trade.csv."""
    rows = rehearsal.rows("post_trade.csv")
    return {row["symbol"]: row["status"] for row in rows if row["status"].startswith("not sent")}


def rehearsed(folder, behaviour, *changes):
    """A plan that sells 74 VTI and buys BND, in a world that behaves so."""
    return rehearse("exit_28_partly_filled", folder, (NO_FAULT, f"behaviour: {behaviour}"), *changes)


def test_a_buy_for_which_no_money_is_left_is_not_sent_and_says_so(tmp_path):
    run = rehearsed(tmp_path, "{changes: [{at: before_buys, cash: {USD: 0}}]}")
    assert [order["symbol"] for order in run.result["orders"]] == ["VTI"]
    assert unsent(run).keys() == {"BND"}
    assert "the money allows 0 of" in unsent(run)["BND"]


def test_the_kill_switch_between_the_stages_is_why_the_buys_were_not_sent(tmp_path):
    run = rehearsed(tmp_path, "{faults: [{at: before_buys, kind: kill_switch}]}")
    assert unsent(run).keys() == {"BND"}
    assert "kill switch is on" in unsent(run)["BND"]
    assert {"BND", "VTI"} == {row["symbol"] for row in run.rows("post_trade.csv")}


def test_a_rejected_plan_lists_every_trade_with_the_no(tmp_path):
    run = rehearsed(tmp_path, "{}", ("confirm: yes", "confirm: no"))
    assert unsent(run) == dict.fromkeys(("VTI", "BND"), "not sent: script said no")


def test_a_dry_run_calls_nothing_not_sent(tmp_path):
    run = rehearsed(tmp_path, "{}", ("mode: paper", "mode: dry_run"))
    assert run.rows("post_trade.csv") == []


def test_a_symbol_sold_out_is_held_no_more_and_has_no_drift_left(tmp_path):
    run = rehearsed(tmp_path, "{}", ("targets: {VTI: 0.6, BND: 0.4}", "targets: {BND: 1.0}"))
    assert run.result["positions_after"]["VTI"] == 0
    assert run.result["residual_drift_bps"]["VTI"] == 0
    assert {row["symbol"]: row["residual_drift_bps"] for row in run.rows("post_trade.csv")}["VTI"] == "0.00"
