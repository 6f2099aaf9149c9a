"""What plans and results look like on screens of different widths."""

from __future__ import annotations

import io

import pytest
from report_samples import sample_outcome, sample_plan
from rich.console import Console

from core.report import post_trade_rows, pre_trade_rows
from deployments.terminal import show_outcome, show_plan


def shown(width, show, *what):
    """The lines that are shown on a screen of this width."""
    to = Console(file=io.StringIO(), width=width, highlight=False)
    show(*what, to)
    return to.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_plan_fits_the_screen_with_every_number_and_every_word_of_its_reasons_whole(width):
    lines = shown(width, show_plan, sample_plan())
    pieces = {piece for line in lines for piece in line.split()}
    wanted = {word for row in pre_trade_rows(sample_plan()) for word in (*row.reason.split(), row.est_notional)}
    assert max(map(len, lines)) <= width
    assert wanted - {""} <= pieces


@pytest.mark.parametrize("width", [80, 160])
def test_the_result_shows_every_number_whole(width):
    outcome = sample_outcome()
    pieces = {piece for line in shown(width, show_outcome, outcome, ()) for piece in line.split()}
    rows = post_trade_rows(outcome.orders, outcome.residual_drift_bps or {})
    assert {cell for row in rows for cell in (row.notional, row.filled_shares, row.avg_price)} - {""} <= pieces
