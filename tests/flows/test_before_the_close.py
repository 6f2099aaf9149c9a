"""No run starts whose stages may outlast the session: the sells would fill, and the buys expire at the close."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import plan, trade_line
from scenario_runs import rehearse
from trading import execution_settings

from core.execution import longest_trading
from core.model import FxLeg, OrderType, Side
from core.money import D

AT_1530 = "as_of: 2026-03-02T15:30:00-05:00"


def rehearsed(folder, clock, *changes):
    """A plan that sells VTI and buys BND; each stage may take three minutes by default."""
    return rehearse(
        "orphaned_order_is_cancelled_first", folder, (AT_1530, f"as_of: 2026-03-02T{clock}-05:00"), *changes
    )


def test_minutes_before_the_close_nothing_is_sent_and_the_reason_has_both_times(tmp_path):
    run = rehearsed(tmp_path, "15:58:50")
    assert (run.result["exit_code"], run.result["orders"]) == (25, [])
    assert "the session ends at 16:00 New York, in 1 min, for VTI, BND" in run.result["reason"]
    assert "the stages may take 6 min, and [execution] close_margin_minutes keeps 5 min free" in run.result["reason"]


@pytest.mark.parametrize(("clock", "code"), [("15:49:00", 0), ("15:49:01", 25)])
def test_the_last_start_is_all_time_outs_and_the_margin_before_the_end(tmp_path, clock, code):
    assert rehearsed(tmp_path, clock).result["exit_code"] == code


def test_the_margin_is_a_setting(tmp_path):
    without = ("mode: paper", "mode: paper\nsettings: {execution: {close_margin_minutes: 0}}")
    assert rehearsed(tmp_path, "15:53:59", without).result["exit_code"] == 0


def test_where_nothing_is_sent_it_is_a_warning(tmp_path):
    run = rehearsed(tmp_path, "15:58:50", ("mode: paper", "mode: dry_run"))
    assert run.result["exit_code"] == 0
    assert any("the session ends at 16:00 New York" in warning for warning in run.result["warnings"])


def test_the_time_is_that_of_every_attempt_at_every_order():
    sells = [trade_line(f"S{number}", side=Side.SELL, number=number) for number in range(1, 8)]
    fx = FxLeg(D(3000), OrderType.MKT, None, D("1.37"), D("1.36"), D(4080), D(3000), "needed")
    times = execution_settings(order_timeout_seconds=60.0, reprice_attempts=2, wait_for_fill_seconds=5.0)
    assert longest_trading(plan(*sells), times) == timedelta(minutes=6)
    assert longest_trading(plan(*sells, trade_line(), fx=fx), times) == timedelta(minutes=9, seconds=5)
