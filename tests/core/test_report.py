import csv
import io
import json
import re
from decimal import Decimal
from types import SimpleNamespace

import pytest
from builders import NOW, fill, order_record, outcome, plan, position, snapshot, still_line, trade_line, valuation
from goldens import assert_golden
from hypothesis import given
from hypothesis import strategies as st
from report_samples import GATES, sample_outcome, sample_plan

from core.errors import OrderIncomplete
from core.model import (
    Finding,
    FxLeg,
    GateFault,
    GateVerdict,
    Limit,
    Mode,
    Nbbo,
    OrderState,
    OrderType,
    Price,
    PriceSource,
    RunEnding,
    Side,
    Stage,
    Symbol,
)
from core.money import D
from core.planning.funding import NO_CONVERSION
from core.report import (
    PreTrade,
    approval_markdown,
    columns,
    formats,
    plan_json,
    plan_page,
    post_trade_csv,
    post_trade_markdown,
    pre_trade_csv,
    pre_trade_markdown,
    result,
    result_json,
    result_page,
    trade_rows,
    verdict_table,
)
from core.report.facts import plan_facts


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def lines_of(*lines):
    """The rows of pre_trade.csv of a plan of these lines."""
    return [SimpleNamespace(**row) for row in read(pre_trade_csv(plan(*lines)))]


def rows_of(*orders, **changes):
    """The rows of post_trade.csv of a run with these orders."""
    return [SimpleNamespace(**row) for row in read(post_trade_csv(outcome(orders=orders, **changes)))]


def test_the_reports_of_a_rich_run_are_as_their_goldens():
    run, made = sample_outcome(), sample_plan()
    assert_golden("report/pre_trade.csv", pre_trade_csv(made))
    assert_golden("report/pre_trade.md", pre_trade_markdown(PreTrade(plan=made, gates=GATES, approvals=run.approvals)))
    assert_golden("report/approval.md", approval_markdown(made, ["SPY: the quote is 12 s old"]))
    assert_golden("report/plan_page.md", plan_page(PreTrade(plan=made, gates=GATES)))
    assert_golden("report/result_page.md", result_page(run))
    assert_golden("report/post_trade.csv", post_trade_csv(run))
    assert_golden("report/post_trade.md", post_trade_markdown(run))
    assert_golden("report/result.json", result_json(run))


def test_the_columns_of_both_tables_stand_in_the_promised_order():
    assert pre_trade_csv(sample_plan()).splitlines()[0] == (
        "symbol,target_pct,current_pct,drift_bps,price,dollar_delta,share_delta,side,est_notional,"
        "price_source,limit_price,reason"
    )
    assert post_trade_csv(sample_outcome()).splitlines()[0] == (
        "symbol,side,filled_shares,avg_price,notional,ordered_shares,status,commission,slippage_bps,residual_drift_bps"
    )


def test_a_price_says_in_every_report_where_it_came_from_and_what_was_passed_over():
    passed = "midpoint (last 108.00 outside 100.00–100.01)"
    price = Price(D("100.005"), PriceSource.MIDPOINT, "last 108.00 outside 100.00–100.01")
    made = plan(trade_line(price=price))
    assert read(pre_trade_csv(made))[0]["price_source"] == passed
    assert passed in pre_trade_markdown(PreTrade(plan=made))
    assert json.loads(plan_json(made))["lines"][0]["price_source"] == passed


def test_the_first_limit_and_the_worst_price_of_a_line_stand_wherever_it_is_approved():
    limit = Limit(
        OrderType.LMT, D("100.02"), D("100.04"), Nbbo(D("99.96"), D("100.04")), "mid 100 + 0.25 × spread 0.08"
    )
    made = plan(trade_line(limit=limit))
    line = json.loads(plan_json(made))["lines"][0]
    assert (line["limit_price"], line["worst_price"]) == (100.02, 100.04)
    for text in (approval_markdown(made, ()), plan_page(PreTrade(plan=made))):
        (order,) = (row for row in text.splitlines() if row.startswith("BUY  VTI"))
        assert order.split() == ["BUY", "VTI", "10", "100.02", "100.04", "1,000"]


def test_the_largest_drift_stands_first_ties_by_symbol_and_the_totals_last():
    lines = [
        trade_line("C", drift_bps=D(-50)),
        trade_line("B", drift_bps=D(50)),
        trade_line("A", drift_bps=D(-70)),
        still_line("D", drift_bps=D("0.1")),
    ]
    assert [row.symbol for row in lines_of(*lines)] == ["A", "B", "C", "D", "TOTAL"]


def test_a_line_that_does_not_trade_still_says_how_far_it_is_from_its_target():
    row = lines_of(still_line(wanted=D("-12.345"), drift_bps=D("2.469")))[0]
    assert (row.dollar_delta, row.share_delta, row.side, row.est_notional, row.limit_price) == (
        "-12.34", "0", "", "0.00", "",
    )  # fmt: skip


def test_a_sell_has_negative_shares_and_a_positive_notional():
    row = lines_of(trade_line(side=Side.SELL, quantity=D("1.2500")))[0]
    assert (row.share_delta, row.est_notional) == ("-1.25", "125.00")


def test_the_totals_add_up_what_stands_above_them():
    *rows, total = read(pre_trade_csv(sample_plan()))
    for column in ("target_pct", "current_pct", "est_notional"):
        assert abs(Decimal(total[column]) - sum(Decimal(row[column]) for row in rows)) <= D("0.03"), column


def test_what_has_two_signs_is_not_summed():
    *_, total = read(pre_trade_csv(sample_plan()))
    assert {total[column] for column in ("drift_bps", "dollar_delta", "share_delta", "price", "limit_price")} == {""}


def test_a_market_order_has_an_empty_limit_in_the_csv_and_is_called_mkt_for_a_reader():
    bought = plan(trade_line(limit=Limit(OrderType.MKT, None, D("100.11"), None, "market")))
    assert read(pre_trade_csv(bought))[0]["limit_price"] == ""
    assert "MKT" in pre_trade_markdown(PreTrade(plan=bought))
    assert "MKT" in approval_markdown(bought, ())


def test_fx_rows_come_first_in_usd_and_cad_and_have_no_drift():
    row = rows_of(*sample_outcome().orders[::-1], residual_drift_bps={Symbol("USD.CAD"): D(1)})[0]
    assert (row.symbol, row.filled_shares, row.avg_price, row.notional) == ("USD.CAD", "4912", "1.365", "6704.88")
    assert (row.commission, row.residual_drift_bps) == ("2.50 CAD", "")


def test_every_attempt_of_a_line_has_its_own_row():
    rows = rows_of(*sample_outcome().orders, residual_drift_bps={Symbol("VTI"): D(-300)})
    assert [(row.filled_shares, row.avg_price, row.notional, row.residual_drift_bps) for row in rows[-2:]] == [
        ("0", "", "0.00", "-300.00"),
        ("85", "100.01", "8500.85", "-300.00"),
    ]


@pytest.mark.parametrize(
    ("commissions", "shown"),
    [
        ([], ""),
        (["1.005"], "1.00"),
        (["1.00", "0.35"], "1.35"),
        ([None], ""),
        (["1.00", None], ""),
        (["0"], "0.00"),
    ],
)
def test_a_commission_is_shown_only_when_all_of_it_is_known(commissions, shown):
    fills = [fill(commission=None if amount is None else D(amount)) for amount in commissions]
    assert rows_of(order_record("VTI", *fills))[0].commission == shown


def test_commissions_in_two_currencies_are_not_added():
    fills = (fill(), fill(commission=D(2), commission_currency="CAD"))
    assert rows_of(order_record("VTI", *fills))[0].commission == "2.00 CAD + 1.00"


def test_an_unknown_commission_is_called_so_for_a_reader():
    text = post_trade_markdown(outcome(orders=(order_record("VTI", fill(commission=None)),)))
    assert "unknown" in next(line for line in text.splitlines() if line.startswith("| VTI"))
    assert "commissions of 1 of 1 fills are unknown" in text


@pytest.mark.parametrize(
    ("side", "paid", "mid", "shown"),
    [
        (Side.BUY, "100.02", "100.00", "2.00"),
        (Side.BUY, "99.99", "100.00", "-1.00"),
        (Side.SELL, "99.98", "100.00", "2.00"),
        (Side.SELL, "100.01", "100.00", "-1.00"),
        (Side.BUY, "100.02", None, ""),
    ],
)
def test_slippage_is_positive_when_it_cost_money(side, paid, mid, shown):
    record = order_record("VTI", fill("10", paid), side=side, mid=mid and D(mid))
    assert rows_of(record)[0].slippage_bps == shown


@pytest.mark.parametrize(
    ("write", "value", "shown"),
    [
        (formats.money, "0.125", "0.12"),
        (formats.money, "0.135", "0.14"),
        (formats.money, "-0.004", "0.00"),
        (formats.money, "1E+12", "1000000000000.00"),
        (formats.percent, "0.33335", "33.34"),
        (formats.percent, "0.333350000001", "33.34"),
        (formats.bps, "-12.345", "-12.34"),
        (formats.shares, "100", "100"),
        (formats.shares, "1E+3", "1000"),
        (formats.shares, "0.00010", "0.0001"),
        (formats.shares, "12.34567", "12.3457"),
        (formats.price, "250.1", "250.10"),
        (formats.price, "250.125", "250.125"),
        (formats.price, "1.36505", "1.36505"),
        (formats.price, "66.66666666666666666666666667", "66.66667"),
    ],
)
def test_each_kind_of_number_has_its_decimals(write, value, shown):
    assert write(D(value)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("12345.60", "12,345.60"),
        ("-1789.20", "-1,789.20"),
        ("999", "999"),
        ("2500.00 CAD", "2,500.00 CAD"),
        ("0.0001", "0.0001"),
        ("", ""),
        ("MKT", "MKT"),
        ("-", "-"),
    ],
)
def test_a_reader_gets_numbers_with_commas_and_other_texts_as_they_are(text, shown):
    assert formats.with_commas(text) == shown


def test_an_absent_number_is_an_empty_cell():
    assert {write(None) for write in (formats.money, formats.percent, formats.bps, formats.shares, formats.price)} == {
        ""
    }
    assert formats.utc(None) == ""


def test_a_moment_is_utc_to_the_second():
    assert formats.utc(NOW) == "2026-03-02T20:30:00Z"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_that_a_spreadsheet_would_run_is_text(start):
    text = pre_trade_csv(plan(trade_line(rule=f"{start}HYPERLINK(1)")))
    assert read(text)[0]["reason"] == f"'{start.strip()}HYPERLINK(1)"


def test_a_carriage_return_in_a_cell_does_not_start_a_row_with_a_formula():
    text = pre_trade_csv(plan(trade_line(rule="sold\r=HYPERLINK(1)")))
    assert "\r" not in text
    assert read(text)[0]["reason"] == "sold =HYPERLINK(1)"


def test_a_negative_number_stays_a_number():
    assert read(pre_trade_csv(plan(trade_line(drift_bps=D(-1200)))))[0]["drift_bps"] == "-1200.00"


@given(st.text(max_size=30))
def test_no_text_breaks_out_of_its_cell(text):
    [_, _, row] = formats.table(("a", "b"), [(text, "end")]).split("\n")
    unescaped = row.replace("\\\\", "").replace("\\|", "")
    assert unescaped.count("|") == 3
    assert "<" not in row
    [_, [cell]] = csv.reader(io.StringIO(formats.csv_text(("a",), [(f"{text}x",)]), newline=""))
    assert cell.isprintable()
    assert not cell.startswith(("=", "+", "-", "@", " "))


def test_the_raw_text_of_a_table_is_aligned():
    text = pre_trade_markdown(PreTrade(plan=sample_plan(), gates=GATES))
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({len(line) for line in block.splitlines()}) == 1, block


def test_no_report_shows_the_account_whoever_wrote_it_down():
    run = sample_outcome()
    made = plan(trade_line(rule="for DU1234567 and U7654321"))
    texts = (
        post_trade_markdown(run),
        result_json(run),
        str(result(run)),
        pre_trade_markdown(PreTrade(plan=made, warnings=("DU1234567",))),
        approval_markdown(made, ["DU1234567"]),
    )
    assert all("******567" in text for text in texts)
    assert not any("DU1234567" in text or "U7654321" in text for text in texts)


def order_lines(text):
    """The lines of the orders that are in sight above the form."""
    return text.split("<pre>\n")[1].split("\n</pre>")[0].splitlines()


def test_the_approval_shows_warnings_then_the_summary_then_every_order():
    text = approval_markdown(sample_plan(), ["quotes are old"])
    warning, summary, orders = (
        text.index("quotes are old"),
        text.index("<b>PAPER</b> · account …567"),
        text.index("<pre>"),
    )
    assert warning < summary < orders < text.index("<details><summary>Why each order")
    assert "<b>sell 2 (1 without a target), buy 1, convert 4,912 USD</b>" in text
    assert "turnover 20 %, cost under 1 USD, cash after 12 USD, 1,295 CAD" in text
    assert "limit: mid - 0.25 spread" in text
    assert "0.5 of a share stays" in text


def test_sales_of_holdings_without_a_target_stand_apart_from_the_other_orders():
    assert [line.split()[:2] for line in order_lines(approval_markdown(sample_plan(), ()))] == [
        ["shares", "limit"],
        ["FX", "USD"],
        ["SELL", "SPY"],
        ["BUY", "VTI"],
        ["WITHOUT", "A"],
        ["SELL", "ARKK"],
    ]


@given(st.lists(st.sampled_from((Side.BUY, Side.SELL)), min_size=1, max_size=30))
def test_no_order_is_lost_however_many_there_are(sides):
    lines = [trade_line(f"E{number}", side=side, quantity=D(number * 10)) for number, side in enumerate(sides, start=1)]
    text = approval_markdown(plan(*lines), ())
    seen = order_lines(text)[1:]
    assert [line.split()[0] for line in seen] == sorted((line.split()[0] for line in seen), reverse=True)
    assert all(f"{line.side:4} {line.symbol} " in text for line in lines)
    if len(lines) <= 10:
        assert len(seen) == len(lines)
    else:
        assert {line.split()[1] for line in seen} == {line.symbol for line in lines[-8:]}
        assert f"**and {len(lines) - 8} more**" in text
        assert len(text.split("<pre>\n")[2].split("\n</pre>")[0].splitlines()) == len(lines) + 1


def test_the_orders_fit_a_phone():
    assert max(map(len, order_lines(approval_markdown(sample_plan(), ())))) <= 38


def test_few_warnings_stand_above_the_orders_and_all_of_them_behind_a_line():
    warnings = [f"warning {number}: {'too long ' * number}" for number in range(1, 20)]
    above, below = approval_markdown(plan(), warnings).split("<b>PAPER</b>")
    assert re.findall("warning [0-9]+", above) == ["warning 1", "warning 2"]
    assert "and 17 more, below the orders" in above
    folded = below.split("All warnings (19)")[1].split("</details>")[0]
    assert folded.count("warning ") == 19


def test_a_question_about_one_stage_shows_its_orders_alone():
    text = approval_markdown(sample_plan(), (), "sells")
    assert "<b>only the sells: sell 2 (1 without a target)</b>" in text
    assert not any("VTI" in line or "FX" in line for line in order_lines(text))


def test_a_terminal_gets_everything_that_a_page_folds_away():
    text = formats.unfolded(approval_markdown(sample_plan(), ["<b> & c", "second", "third"]))
    assert not re.search("</?(details|summary|small|ul|li|pre|p|br)>", text)
    assert "- <b> & c" in text
    assert "- third" in text
    assert "0.5 of a share stays" in text
    assert "- plan hash 9f2c9f2c9f2c9f2c" in text


def test_the_page_of_a_plan_shows_every_order_and_symbol_and_fits_a_phone():
    text = plan_page(PreTrade(plan=sample_plan()))
    orders, weights = (text.split("```\n")[at].splitlines() for at in (1, 3))
    assert orders == order_lines(approval_markdown(sample_plan(), ()))
    assert [line.split()[0] for line in weights[1:]] == ["VTI", "SPY", "ARKK", "GLD", "QQQ"]
    assert max(map(len, (*orders, *weights))) <= 38
    assert "GLD: below the minimum order of 500.00 USD" in text


def test_every_warning_stands_once_in_the_order_it_came_up():
    run = sample_outcome()
    text = post_trade_markdown(run)
    listed = text.split("## Warnings\n\n")[1].split("\n\n")[0].splitlines()
    assert [line[2:24] for line in listed] == [
        "AAPL: 3 shares more th",
        "gate quotes: quote old",
        "the broker's NetLiq is",
        "ARKK: wide spread of 8",
        "below 25000 USD the ve",
    ]


def test_a_live_plan_says_that_it_trades_real_money():
    assert "<b>LIVE: REAL MONEY IS TRADED</b>" in approval_markdown(plan(mode=Mode.LIVE), ())
    assert "live: ORDERS TRADE REAL MONEY" in pre_trade_markdown(PreTrade(plan=plan(mode=Mode.LIVE)))


def test_no_conversion_says_why():
    none = FxLeg(D(0), OrderType.MKT, None, None, None, D(0), D(400), "400.00 USD is below the minimum of 1000")
    assert "None: 400.00 USD is below the minimum of 1000" in pre_trade_markdown(PreTrade(plan=plan(fx=none)))


def test_no_conversion_is_said_once():
    none = FxLeg(D(0), OrderType.MKT, None, None, None, D(0), D(0), f"{NO_CONVERSION}cash covers everything")
    assert "None: cash covers everything" in pre_trade_markdown(PreTrade(plan=plan(fx=none)))
    assert dict(plan_facts(plan(fx=none)))["currency"] == "nothing converted: cash covers everything"


def test_a_market_conversion_is_called_mkt():
    leg = FxLeg(D(2000), OrderType.MKT, None, D("1.37"), None, D(2740), D(1990), "short")
    _, row, *_ = order_lines(approval_markdown(plan(fx=leg), ()))
    assert row.split() == ["FX", "USD", "2,000", "MKT", "1.37", "2,000"]


def test_a_plan_that_trades_nothing_can_still_be_read():
    assert "<b>nothing to trade</b>" in approval_markdown(plan(still_line()), ())


def test_the_failure_that_gives_the_exit_code_stands_first_with_its_next_step():
    table = post_trade_markdown(sample_outcome()).split("## What went wrong\n\n")[1]
    lines = table.splitlines()
    assert lines[2].startswith("|   50 | cannot write report.html")
    assert "free that place" in lines[2]
    assert lines[3].startswith("|   28 | VTI: 85 of 97 bought")
    assert lines[5] == "- RB-ABCDEFGHIJ23-B1-2: timed out"


def test_a_broker_that_counts_more_than_has_arrived_is_quoted():
    assert "the broker counts 86 filled, fills of 85 have arrived" in post_trade_markdown(sample_outcome())


def test_an_account_that_was_not_read_again_is_not_called_flat():
    run = outcome(plan=plan(), before=snapshot(position()), orders=(order_record("VTI", fill()),))
    text = post_trade_markdown(run)
    assert "The account was not read again." in text
    assert "| USD      | 2,500.00 | 1,500.00 | unknown | unknown |" in text
    assert result(run)["positions_after"] == {}
    assert result(run)["cash_after"] == {}


def test_the_gates_table_says_passed_warned_or_stopped():
    rows = tuple(f"row {number}" for number in range(13))
    stopped = GateVerdict("plan", 3, 2, (GateFault("x", False, rows, "cannot be checked", could_not_run=True),))
    lines = verdict_table((*GATES, stopped)).splitlines()
    assert [line.split("|")[4].strip() for line in lines[2:]] == ["passed", "warning", "STOPPED"]
    assert "row 9 and 3 more" in lines[4]
    assert verdict_table(()) == ""


def test_a_symbol_sold_out_shows_0_shares_and_what_is_left_of_its_drift():
    sold = trade_line("IWM", side=Side.SELL, held=D(25), quantity=D(25), target=D(0), untargeted=True)
    run = outcome(
        plan=plan(sold, still_line()),
        before=snapshot(position("IWM", "25")),
        after=snapshot(position("BND")),
        valuation_after=valuation([still_line()]),
        residual_drift_bps={Symbol("IWM"): D(0), Symbol("BND"): D(3)},
        orders=(order_record("IWM", fill("25"), side=Side.SELL, stage=Stage.SELL),),
    )
    row = next(line for line in section_of(post_trade_markdown(run), "Residual drift") if line.startswith("| IWM"))
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert (cells[:4], cells[-1]) == (["IWM", "0", "0.00", "0.00"], "0.00")
    assert result(run)["positions_after"] == {"BND": 100, "IWM": 0}


def unsent_outcome(**changes):
    """A paper run whose conversion filled and which then stopped: a sell and a buy of its plan were never sent."""
    values = {
        "plan": plan(trade_line("SPY", side=Side.SELL, quantity=D(3)), trade_line("VTI", quantity=D(1200))),
        "not_sent": {Symbol("SPY"): "the kill switch is on", Symbol("VTI"): ""},
    }
    return outcome(**(values | changes))


def test_every_trade_of_the_plan_that_was_not_sent_is_listed_with_the_reason():
    run = unsent_outcome()
    rows = [(row["symbol"], row["side"], row["ordered_shares"], row["status"]) for row in read(post_trade_csv(run))]
    assert rows == [
        ("SPY", "SELL", "3", "not sent: the kill switch is on"),
        ("VTI", "BUY", "1200", "not sent"),
    ]
    text = post_trade_markdown(run)
    assert "- not sent (the kill switch is on): SELL 3 SPY\n- not sent: BUY 1,200 VTI\n" in text
    cells = [[cell.strip() for cell in line.split("|")] for line in section_of(text, "Orders") if line.startswith("|")]
    assert [row[7] for row in cells[2:]] == ["not sent", "not sent"]
    assert result(run)["skipped"] == [
        {"symbol": "SPY", "reason": "SELL 3 SPY not sent: the kill switch is on"},
        {"symbol": "VTI", "reason": "BUY 1,200 VTI not sent"},
    ]


def test_trades_kept_back_for_one_reason_share_a_line():
    run = unsent_outcome(not_sent={Symbol("SPY"): "closed", Symbol("VTI"): "closed"})
    assert "- not sent (closed): SELL 3 SPY, BUY 1,200 VTI\n" in post_trade_markdown(run)


def test_an_order_of_unknown_fate_is_not_called_unfilled():
    run = outcome(orders=(order_record("VTI", state=OrderState.UNKNOWN),))
    assert "bought at least 0.00 USD; what became of 1 order is unknown" in post_trade_markdown(run)


def test_a_conversion_that_was_not_sent_stands_before_the_orders_that_were():
    fx = FxLeg(D(2000), OrderType.MKT, None, D("1.37"), None, D(2740), D(1990), "short")
    sent = order_record("VTI", fill())
    run = outcome(plan=plan(trade_line(), fx=fx), orders=(sent,), not_sent={Symbol("USD.CAD"): "closed"})
    rows = [(row["symbol"], row["status"]) for row in read(post_trade_csv(run))]
    assert rows == [("USD.CAD", "not sent: closed"), ("VTI", "Filled")]


def section_of(text, title):
    """The lines of one section."""
    return text.split(f"## {title}\n\n")[1].split("\n\n## ")[0].splitlines()


def titles(text):
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


def test_a_dry_run_leaves_out_what_did_not_happen_and_ends_with_its_settings():
    run = outcome(mode=Mode.DRY_RUN, plan=sample_plan(), before=snapshot(position()), gates=GATES)
    text = post_trade_markdown(run)
    assert titles(text) == ["Warnings", "Data gates", "Settings"]
    assert "unknown" not in text
    assert titles(post_trade_markdown(sample_outcome()))[-1] == "Settings"


def test_an_order_not_sent_costs_nothing_and_sold_nothing():
    record = order_record("VTI", stage=Stage.SELL, side=Side.SELL)
    assert "sold 0.00 USD, bought 0.00 USD, no commissions" in post_trade_markdown(outcome(orders=(record,)))


def test_a_line_that_has_no_limit_yet_shows_none():
    [_, row] = order_lines(approval_markdown(plan(trade_line(limit=None)), ()))
    assert row.split() == ["BUY", "VTI", "10", "1,000"]


def test_the_page_of_a_result_says_how_it_ended_first_and_has_no_wide_table():
    text = result_page(sample_outcome())
    assert text.startswith("**Failed**, exit 50<br>account …567")
    assert text.index("exit 50: cannot write report.html") < text.index("exit 28: VTI: 85 of 97 bought")
    in_sight = text.split("<details>")[0]
    assert {line.count("|") for line in in_sight.splitlines() if line.startswith("|")} == {5}
    assert "DU1234567" not in text


def test_the_page_of_a_run_without_a_plan_says_why():
    text = result_page(outcome(errors=(OrderIncomplete("no quotes came", next_step="run again"),)))
    assert "exit 28: no quotes came" in text
    assert "|" not in text.split("<details>")[0]


@pytest.mark.parametrize(
    "text", [approval_markdown(sample_plan(), ["<b>", "a & b", "c"]), result_page(sample_outcome())]
)
def test_what_is_folded_away_is_one_block_of_harmless_html(text):
    blocks = [block for block in text.split("\n\n") if "<details>" in block]
    assert len(blocks) >= 3
    for block in blocks:
        assert block.startswith("<details><summary>")
        assert block.rstrip().endswith("</details>")
        assert "<b>" not in block.replace("<p><b>", "")


def test_a_number_reads_alike_in_every_table_that_has_its_column():
    made, run = sample_plan(), sample_outcome()
    line, order = made.buys[0], trade_rows(run)[1]
    for row, choices in (
        (line, (columns.PLAN_FILE, columns.PLAN_TABLE, columns.PLAN_RECORDS, columns.UNTARGETED_TABLE)),
        (order, (columns.ORDERS_FILE, columns.ORDERS_SCREEN, columns.ORDERS_RECORDS, columns.PAGE_ORDERS)),
    ):
        cells = {}
        for column in (each for choice in choices for each in choice if each.is_number and each.title != "filled"):
            assert cells.setdefault(column.title, column.cell(row)) == column.cell(row), column
            assert column.reading(row).replace(",", "") == column.cell(row), column


def test_a_record_has_plain_numbers_and_a_table_for_people_has_commas():
    long = trade_line(quantity=D(12345))
    (record,) = columns.records_of(columns.PLAN_RECORDS, [long])
    assert (record["shares"], record["USD"], record["status"]) == ("12345", "1234500.00", "planned")
    assert columns.readings((columns.SHARES, columns.NOTIONAL), [long]) == [("12,345", "1,234,500.00")]


def test_what_a_person_found_of_an_unknown_order_stands_beside_it():
    found = Finding("Ann", NOW, "cancelled, filled 4 at 100.02", D(4), D("100.02"))
    unknown = order_record("VTI", state=OrderState.UNKNOWN, reason="nothing was reported", finding=found)
    text = post_trade_markdown(outcome(orders=(unknown,)))
    assert "RB-ABCDEFGHIJ23-B1-1: Unknown, nothing was reported" in text
    assert "RB-ABCDEFGHIJ23-B1-1: Ann found: cancelled, filled 4 at 100.02" in text


def test_a_recovered_run_without_a_failure_says_what_recovery_found():
    run = outcome(plan=None, orders=(order_record("VTI", fill()),), recovered="all had filled")
    assert (run.reason, run.status, run.ending) == ("all had filled", "completed", RunEnding.COMPLETED)
    assert "all had filled" in post_trade_markdown(run)
    assert result(run)["exit_code"] == 0
