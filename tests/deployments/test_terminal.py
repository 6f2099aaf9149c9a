"""What plans and results look like on screens of different widths."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from builders import fill, order_record, outcome, plan, trade_line
from loguru import logger
from report_samples import sample_outcome, sample_plan
from rich.console import Console

from core.model import Side, Symbol
from core.money import D
from core.report import post_trade_csv, pre_trade_csv
from deployments.terminal import Progress, console, show_plan, show_result


def shown(width, show, *what):
    """The lines that are shown on a screen of this width."""
    to = Console(file=io.StringIO(), width=width, highlight=False)
    show(*what, to)
    return to.file.getvalue().splitlines()


def pieces(lines):
    """The texts between blanks, without the commas of long numbers."""
    return {piece.replace(",", "") for line in lines for piece in line.split()}


@pytest.mark.parametrize("width", [80, 120, 160])
def test_the_plan_fits_the_screen_with_the_numbers_of_its_files_and_every_word_of_its_reasons(width):
    lines = shown(width, show_plan, sample_plan())
    *rows, total = csv.DictReader(io.StringIO(pre_trade_csv(sample_plan())))
    numbers = {row[name] for row in rows for name in ("symbol", "target_pct", "current_pct", "drift_bps", "price")}
    traded = {
        row[name] for row in rows if row["side"] for name in ("side", "share_delta", "limit_price", "est_notional")
    }
    words = {word.replace(",", "") for row in rows for word in row["reason"].split()}
    words |= {f"{line.limit.worst_price:.2f}" for line in sample_plan().lines if line.side}
    assert max(map(len, lines)) <= width
    assert (numbers | traded | words | {total["est_notional"]}) - {""} <= pieces(lines)


@pytest.mark.parametrize("width", [80, 120, 160])
def test_the_symbols_of_a_plan_stand_in_the_order_of_its_files(width):
    rows = [line.replace("│", " ").split() for line in shown(width, show_plan, sample_plan())]
    *symbols, total = (row["symbol"] for row in csv.DictReader(io.StringIO(pre_trade_csv(sample_plan()))))
    assert [row[0] for row in rows if len(row) > 1 and row[1][0].isdigit() and row[0] in (*symbols, total)] == [
        *symbols,
        total,
    ]


@pytest.mark.parametrize("width", [80, 120, 160])
def test_the_result_fits_the_screen_with_the_numbers_of_its_files(width):
    outcome = sample_outcome()
    lines = shown(width, show_result, outcome, ())
    names = ("symbol", "side", "filled_shares", "ordered_shares", "avg_price", "notional", "status", "slippage_bps")
    rows = csv.DictReader(io.StringIO(post_trade_csv(outcome)))
    wanted = {row[name] for row in rows for name in (*names, "residual_drift_bps")} - {""}
    assert wanted <= pieces(lines)
    assert max(len(line) for line in lines if "failed" not in line) <= width


def test_cash_and_drift_after_trading_stand_below_the_result():
    text = "\n".join(shown(160, show_result, sample_outcome(), ()))
    assert "cash after  1,292.62 CAD, 1,208.00 USD" in text
    assert "sum 2,161.23 bps before, 332.58 bps left" in text


def test_the_columns_of_numbers_are_right_aligned_however_long_they_are():
    long = [trade_line(f"S{count}", number=count, quantity=D(10) ** count) for count in range(1, 6)]
    lines = shown(120, show_plan, plan(*long))
    ends = {line.rstrip("│ ").rfind(",000.00") for line in lines if line.startswith("│ S")}
    assert len(ends) == 1


def test_the_account_stands_above_the_plan_and_its_sums_below():
    text = "\n".join(shown(160, show_plan, sample_plan()))
    above, below = text.split("symbol", 1)[0], text.split("TOTAL", 1)[1]
    for fact in ("******567", "orders go to the paper account", "65,818.92 USD", "8,000.00 CAD, 1,500.00 USD"):
        assert fact in above
    for fact in (
        "BUY 4,912 USD.CAD at 1.36565",
        "19.75 % of NetLiq: sells 3,300.38 USD, buys 9,700.00 USD",
        "1,295.37 CAD, 12.38 USD",
        "2,161.23 bps now, 146.63 bps after",
        "SELL 30 ARKK, 1,500.00 USD",
        "3 AAPL, 630.00 USD (a share, not an ETF)",
    ):
        assert fact in below
    assert "DU1234567" not in text


def test_the_total_has_only_what_adds_up():
    (total,) = (line for line in shown(160, show_plan, sample_plan()) if "TOTAL" in line)
    assert [cell.strip() for cell in total.split("│") if cell.strip()] == ["TOTAL", "100.00", "89.61", "13,000.38"]


def test_a_line_that_does_not_trade_has_no_shares_and_no_dollars():
    (line,) = (line for line in shown(160, show_plan, sample_plan()) if line.startswith("│ GLD"))
    assert [cell.strip() for cell in line.split("│")[6:11]] == ["", "", "", "", ""]


def test_sells_and_buys_have_colours_of_their_own_and_the_word_as_well():
    to = Console(file=io.StringIO(), width=160, force_terminal=True, color_system="standard", highlight=False)
    show_plan(sample_plan(), to)
    lines = to.file.getvalue().splitlines()
    sell, buy, still = (next(line for line in lines if symbol in line) for symbol in ("SPY", "VTI", "QQQ"))
    assert ("\x1b[35m" in sell, "SELL" in sell) == (True, True)
    assert ("\x1b[32m" in buy, "BUY" in buy) == (True, True)
    assert not any(colour in still for colour in ("\x1b[35m", "\x1b[32m"))


def test_what_was_never_sent_is_in_the_result_with_the_reason():
    made = plan(trade_line("SPY", side=Side.SELL, quantity=D(3)), trade_line())
    run = outcome(plan=made, not_sent={Symbol("SPY"): "the kill switch is on", Symbol("VTI"): "the kill switch is on"})
    lines = shown(80, show_result, run, ())
    assert [line.split()[:2] for line in lines if "not sent" in line and not line.startswith("  ")] == [
        ["SPY", "SELL"],
        ["VTI", "BUY"],
    ]
    assert "  not sent (the kill switch is on): SELL 3 SPY, BUY 10 VTI" in lines


def test_a_commission_that_nobody_knows_is_not_called_0():
    run = outcome(orders=(order_record("VTI", fill(commission=None)),))
    assert "commissions of 1 of 1 fills are unknown" in "\n".join(shown(160, show_result, run, ()))


@pytest.mark.parametrize(("columns", "width"), [("90", 90), ("", 160), ("wide", 160), ("0", 160)])
def test_a_pipe_is_as_wide_as_columns_says(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert console().width == width


def test_no_line_of_progress_is_repeated(capsys):
    lines = logger.add(Progress(), format="{message}")
    for step in ("quotes: 11 symbols", "sell: 2 of 2 orders filled", "quotes: 11 symbols"):
        logger.info(step)
    logger.remove(lines)
    assert [line[10:] for line in capsys.readouterr().err.splitlines()] == [
        "quotes: 11 symbols",
        "sell: 2 of 2 orders filled",
    ]


def bars(lines):
    """The symbols that have a bar, each with its bar and the figures beside it."""
    rows = [line.split() for line in lines]
    return {row[0]: row[1:] for row in rows if len(row) == 4 and set(row[1]) <= set("█░#.")}


@pytest.mark.parametrize("width", [80, 120])
def test_bars_show_the_drift_now_and_after_the_orders(width):
    found = bars(shown(width, show_plan, sample_plan()))
    assert list(found) == ["VTI", "SPY", "ARKK", "GLD", "QQQ"]
    assert found["VTI"] == ["░" * 40, "-1,506.02", "-2.86"]
    assert found["SPY"] == ["█" + "░" * 8, "324.96", "45.96"]
    assert found["GLD"] == ["██", "-66.10", "-66.10"]


@pytest.mark.parametrize("width", [80, 120])
def test_bars_show_what_is_left_of_the_drift_after_trading(width):
    found = bars(shown(width, show_result, sample_outcome(), ()))
    assert found["VTI"] == ["█" * 5 + "░" * 35, "-1,506.02", "-188.82"]


def test_a_drift_that_nobody_knows_after_trading_is_not_drawn_as_done():
    run = replace(sample_outcome(), residual_drift_bps=None)
    assert bars(shown(80, show_result, run, ()))["VTI"][1:] == ["-1,506.02", "unknown"]


def test_of_many_symbols_the_largest_drifts_have_bars():
    lines = [trade_line(f"S{count:03}", number=count, drift_bps=D(1000 - count)) for count in range(1, 101)]
    text = shown(80, show_plan, plan(*lines))
    assert len(bars(text)) == 20
    assert "and 80 smaller ones" in text


def test_a_terminal_that_knows_no_blocks_gets_plain_marks():
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    show_plan(sample_plan(), Console(file=out, width=80, highlight=False))
    out.flush()
    assert bars(out.buffer.getvalue().decode("ascii").splitlines())["SPY"][0] == "#" + "." * 8


@pytest.mark.parametrize("width", [20, 30])
def test_a_screen_that_is_too_narrow_for_bars_has_none(width):
    assert not any("░" in line for line in shown(width, show_plan, sample_plan()))
