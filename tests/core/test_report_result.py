import json
from dataclasses import replace
from decimal import Decimal

from builders import contract, outcome, plan, position, snapshot, still_line, trade_line
from report_samples import LINES, sample_outcome

from core.errors import DataRefused, OrderStateUnknown
from core.model import LimitedBy, SecurityType
from core.money import D
from core.report import plan_json, result, result_json


def test_a_run_that_sent_nothing_has_the_positions_it_read():
    run = outcome(
        plan=plan(), before=snapshot(position(quantity="1.5"), position("BND", "0.25"), position("BND", "0.75"))
    )
    assert result(run)["positions_after"] == {"BND": 1, "VTI": 1.5}
    assert result(run)["cash_after"] == {"USD": 2500.0}


def test_the_result_has_every_key_before_there_is_a_plan():
    early = result(outcome(errors=(DataRefused("no account"),), broker=None))
    assert early == {
        "name": "rebalance", "run_id": "ABCDEFGHIJ23", "status": "aborted", "state": "Refused",
        "exit_code": 12, "reason": "no account",
        "targets": {}, "gross": 0.0, "net_liq": 0.0, "investable": 0.0, "plan": [], "approvals": [],
        "orders": [], "cancelled": [],
        "skipped": [], "positions_after": {}, "cash_after": {}, "residual_drift_bps": {}, "events": [], "warnings": [],
        "notes": [],
    }  # fmt: skip
    assert list(early) == list(result(sample_outcome()))


def test_the_result_lists_the_failures_that_did_not_give_the_exit_code():
    run = outcome(errors=(DataRefused("first", next_step="look"), OrderStateUnknown("second")))
    assert (result(run)["exit_code"], result(run)["warnings"]) == (41, ["also failed (12): first - look"])


def test_numbers_in_the_result_are_written_as_they_were_meant():
    text = result_json(sample_outcome())
    written = json.loads(text, parse_float=Decimal)
    assert [order["limit_price"] for order in written["orders"]] == [
        D("1.36565"), D("600.1"), None, D("100.01"), D("100.01"),
    ]  # fmt: skip
    assert written["plan"][0] | {"drift_bps": 0, "reason": ""} == {
        "symbol": "SPY", "side": "SELL", "quantity": 3, "price": D("600.125"), "drift_bps": 0, "reason": "",
    }  # fmt: skip
    assert '"quantity": 3,' in text
    assert result(outcome(plan=plan(trade_line(drift_bps=D(-100) / 3))))["plan"][0]["drift_bps"] == -33.33333333


def test_every_line_that_something_kept_from_trading_is_skipped_and_none_that_is_on_target():
    skipped = {line["symbol"]: line["reason"] for line in result(sample_outcome())["skipped"]}
    assert skipped == {line.symbol: line.reason for line in LINES if not line.side}
    assert {line.limited_by for line in LINES if not line.side} == {LimitedBy.BAND, LimitedBy.MINIMUM}
    assert result(outcome(plan=plan(still_line(limited_by=None))))["skipped"] == []


def test_where_nothing_was_sent_the_drift_that_is_left_is_the_plans():
    made = plan(trade_line(drift_bps=D(-100)), still_line(drift_bps=D(20)))
    assert result(outcome(plan=made))["residual_drift_bps"] == {
        line.symbol: float(line.drift_bps) for line in made.lines
    }
    assert result(outcome(plan=made, residual_drift_bps={}))["residual_drift_bps"] == {}


def test_where_orders_went_out_and_nobody_read_the_account_again_the_drift_is_unknown():
    run = sample_outcome()
    assert any(record.sent_at for record in run.orders)
    assert result(replace(run, after=None, residual_drift_bps=None))["residual_drift_bps"] == {}


def test_events_count_seconds_from_the_start_of_the_run():
    assert [event["t"] for event in result(sample_outcome())["events"]] == [60.0, 300.0]


def test_a_balance_that_shows_up_as_a_position_is_cash_and_no_holding():
    balance = position("USD", "5000", "1", contract=contract("USD", security_type=SecurityType.CASH))
    assert result(outcome(before=snapshot(balance, position())))["positions_after"] == {"VTI": 100}


def test_a_plan_shows_the_same_notes_as_its_result():
    run = sample_outcome()
    alone, whole = json.loads(plan_json(run.plan)), result(run)
    for key in ("targets", "gross", "net_liq", "investable", "plan", "skipped"):
        assert alone[key] == whole[key]
    assert set(alone["warnings"]) < set(whole["warnings"])
    assert "DU1234567" not in plan_json(plan(warnings=("DU1234567",)))
