"""The page of past runs: drift, turnover and cost over time, account by account."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from builders import NOW, fill, order_record, outcome, plan
from goldens import assert_golden
from rich.console import Console

from core.model import AccountId, Mode, RunId, RunRecord, Symbol
from core.money import D
from core.report.history import COMMISSIONS, past_run
from core.report.history_html import history_html
from deployments.terminal import show_runs


def run_of(account="DU1234567", *, days=0, mid="100.00", residual="20"):
    """A past run, so many days ago, that bought 10 VTI at 100.01."""
    started = NOW - timedelta(days=days)
    record = RunRecord(
        RunId(f"RUN{'ABCDEFGH'[days]}{account[-1]}AAAAAAA"), "flow", AccountId(account), Mode.PAPER, started, started
    )
    order = order_record("VTI", fill(), mid=D(mid) if mid else None)
    return past_run(record, outcome(plan=plan(), orders=(order,), residual_drift_bps={Symbol("VTI"): D(residual)}))


def test_the_page_of_two_accounts_is_as_its_golden():
    runs = [run_of(days=days, residual=str(10 * days)) for days in (0, 3, 5)]
    assert_golden("report/history.html", history_html([*runs, run_of("DU7654567", days=1, mid=None)]))


def test_accounts_that_look_the_same_when_masked_are_not_mixed_up():
    page = history_html([run_of("DU1111567"), run_of("DU2222567", days=1)])
    assert 'id="account-1-567"' in page
    assert 'id="account-2-567"' in page
    assert not any(account in page for account in ("DU1111567", "DU2222567"))


def test_a_cost_that_nobody_knows_is_a_gap_and_called_unknown():
    page = history_html([run_of(mid=None)])
    assert "slippage unknown, commissions 1.00" in page


@pytest.mark.parametrize(
    ("orders", "paid"),
    [
        ((order_record("VTI", fill(commission=None)),), "unknown"),
        ((order_record("VTI", fill()),), "1.00 USD"),
        ((), "0.00 USD"),
    ],
)
def test_commissions_that_nobody_knows_are_not_those_of_a_run_without_fills(orders, paid):
    record = RunRecord(RunId("ABCDEFGHIJ23"), "flow", AccountId("DU1234567"), Mode.PAPER, NOW, NOW)
    run = past_run(record, outcome(plan=plan(), orders=orders))
    assert COMMISSIONS.reading(run) == paid
    assert f">{paid}</td>" in history_html([run])
    narrow = Console(file=io.StringIO(), width=80)
    show_runs([run], narrow)
    assert f"commissions {paid};" in narrow.file.getvalue()


def test_the_page_of_an_empty_journal_says_so():
    page = history_html([])
    assert "No run is on record." in page
    assert "<svg" not in page
