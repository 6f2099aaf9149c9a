"""report.html: one page about a run, that needs no network and can be read by everybody."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from datetime import timedelta
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from builders import NOW, fill, order_record, outcome, plan, still_line, trade_line
from goldens import assert_golden
from report_samples import sample_outcome, sample_plan

from core.errors import MarketClosed, OrderIncomplete
from core.model import LimitedBy, Mode, OrderState, Symbol
from core.money import D
from core.report import report_html
from core.report.charts import OrderMark, orders_chart, weights_chart
from core.report.costs import cost_sum, order_costs

SETTINGS = {"ibkr": {"account_id": "******567"}, "rebalance": {"per_holding_band_bps": "50"}}
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Outline(HTMLParser):
    """What a page consists of: its tags with attributes, its headings, and whether every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.headings, self._open, self._in = [], [], [], None
        self.feed(text)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] in ("h1", "h2") and data.strip():
            self.headings.append((int(self._open[-1][1]), data.strip()))


def text_of(page):
    """What a person reads on the page."""
    body = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


@cache
def rich_page():
    """The page of a run in which nearly everything happened."""
    return report_html(replace(sample_outcome(), settings=SETTINGS))


def section_of(page, name):
    return re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL).group()


def section(page, name):
    return text_of(section_of(page, name))


def test_the_page_of_a_rich_run_is_as_its_golden():
    assert_golden("report/report.html", rich_page())


def test_nothing_on_the_page_is_fetched_or_run():
    page = rich_page()
    tags = Outline(page).tags
    assert not {tag for tag, _ in tags} & {"script", "iframe", "object", "embed", "img", "image"}
    addresses = [value for _, names in tags for name, value in names.items() if name in ("href", "src", "xlink:href")]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "default-src 'none'" in page
    assert not re.search(r"url\((?!#)|@import", page)
    assert set(re.findall(r"https?://[\w.]+", page)) <= {"http://www.w3.org"}  # the names of SVG, not addresses


def test_the_headings_go_down_step_by_step_and_every_link_leads_somewhere():
    outline = Outline(rich_page())
    levels = [level for level, _ in outline.headings]
    assert levels[0] == 1
    assert all(lower - upper <= 1 for upper, lower in pairwise(levels))
    names = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    links = [attributes["href"][1:] for tag, attributes in outline.tags if tag == "a"]
    assert set(links) <= set(names)


def test_the_summary_comes_first_and_the_settings_last():
    headings = [text for _, text in Outline(rich_page()).headings]
    assert headings[:4] == [
        "Rebalance ABCDEFGHIJ23: failed",
        "What happened?",
        "Did it work?",
        "What is left?",
    ]
    assert headings[-1] == "Settings"


def test_every_chart_has_its_numbers_as_text():
    page = rich_page()
    told = re.findall(r'<div role="img" aria-label="([^"]*)"', page)
    assert len(told) == page.count("<svg") == 3
    assert "VTI target 60.00, before 44.94, after 58.11" in told[0]
    assert "VTI before -1506.02, after -188.82" in told[1]
    assert "SELL SPY sent 20:30:00, limit 600.10, mid 600.125, filled 3 of 3 at 600.13333" in told[2]


def test_a_symbol_outside_its_band_is_named_as_such():
    drift = section(rich_page(), "drift")
    assert "The band of a holding is 50 bps" in drift
    assert "VTI -1,506.02 -2.86 -188.82 outside the band" in drift
    assert "QQQ -27.83 -27.83 -27.83 inside the band" in drift


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (["BAND"], "Nothing needed trading: every one of 1 symbol is inside the band."),
        (["BAND", "BAND"], "Nothing needed trading: every one of 2 symbols is inside the band."),
        (
            ["BAND", "BAND", "MINIMUM"],
            "Nothing was traded: of 3 symbols, 2 are inside the band and 1 is below the minimum order.",
        ),
    ],
)
def test_a_run_without_trades_says_why_in_one_sentence(limits, sentence):
    lines = [still_line(f"S{at}", limited_by=LimitedBy[name]) for at, name in enumerate(limits)]
    page = report_html(outcome(plan=plan(*lines)))
    assert sentence in text_of(page)
    assert 'id="orders"' not in page


def test_a_dry_run_shows_what_is_planned_and_calls_nothing_done():
    page = report_html(outcome(plan=sample_plan(), mode=Mode.DRY_RUN))
    assert "Nothing was traded: 2 sells and 1 buy were planned, and this mode sends no orders." in text_of(page)
    assert "planned %" in section(page, "holdings")
    assert 'id="costs"' not in page


def test_the_sum_of_all_drifts_is_the_band_where_it_decides():
    settings = {"rebalance": {"trigger_mode": "total_drift", "per_holding_band_bps": "50"}}
    settings["rebalance"]["portfolio_total_band_bps"] = "100"
    drift = section(report_html(outcome(plan=sample_plan(), settings=settings)), "drift")
    assert "The absolute drifts may sum to 100 bps before anything is traded." in drift
    assert "50 bps" not in drift


def test_a_fill_in_the_second_of_its_order_is_not_drawn_before_it():
    """IBKR gives the times of fills in whole seconds."""

    def timeline(at):
        record = order_record("VTI", fill(at=at), sent_at=NOW + timedelta(milliseconds=700))
        return section_of(report_html(outcome(plan=plan(), orders=(record,))), "orders")

    assert timeline(NOW).partition("<svg")[2] == timeline(NOW + timedelta(milliseconds=700)).partition("<svg")[2]
    assert timeline(NOW) != timeline(NOW + timedelta(seconds=5))


def test_the_answers_stay_short_whatever_went_wrong():
    errors = tuple(OrderIncomplete(f"order {number} is not filled", next_step="x" * 1000) for number in range(9))
    page = report_html(outcome(plan=plan(), errors=errors))
    summary = text_of(page.partition("<nav")[0])
    assert "Also: order 1 is not filled" in summary
    assert "And 7 more failures, listed below." in summary
    assert len(summary) < 1500
    assert "order 8 is not filled" in section(page, "what-went-wrong")


def test_a_run_without_a_plan_has_a_page_that_says_what_to_do():
    page = report_html(outcome(errors=(MarketClosed("the market is closed", next_step="run again at 09:30"),)))
    assert "No: the market is closed (exit 25). What to do next: run again at 09:30." in text_of(page)
    assert "<svg" not in page


def test_a_figure_that_nobody_knows_is_called_unknown():
    run = outcome(plan=plan(), orders=(order_record("VTI", fill(commission=None), mid=None),))
    costs = section(report_html(run), "costs")
    assert "slippage against the mid when sent unknown" in costs
    assert "commissions unknown" in costs
    assert "unknown" in section(report_html(run), "holdings")


def test_costs_are_counted_against_the_mid_and_half_the_spread_when_sent():
    buy = order_record("VTI", fill("10", "100.02"), mid=D("100.00"), spread=D("0.04"))
    (cost,) = order_costs(outcome(orders=(buy,)))
    assert (cost.slippage_bps, cost.slippage_usd) == (D(2), D("0.20"))
    assert (cost.half_spread_bps, cost.half_spread_usd) == (D(2), D("0.20"))


def test_the_cost_of_a_conversion_is_in_usd():
    conversion = sample_outcome().orders[0]
    (cost,) = order_costs(outcome(orders=(conversion,)))
    assert cost.notional_usd == D(4912)
    assert round(cost.slippage_usd, 2) == D("0.18")  # 0.00005 CAD for each of 4,912 USD, at 1.365


def test_a_sum_says_for_how_many_orders_it_is_not_known():
    known = order_record("VTI", fill("10", "100.02"), mid=D("100.00"))
    costs = order_costs(outcome(orders=(known, order_record("BND", fill(), mid=None))))
    total = cost_sum([cost.slippage_usd for cost in costs], costs)
    assert (total.usd, total.unknown) == (D("0.20"), 1)
    assert round(total.bps, 3) == D("2.000")


def test_texts_of_the_broker_and_of_people_stay_texts():
    hostile = "<script>alert(1)</script>"
    record = order_record("VTI", state=OrderState.REJECTED, reason=hostile)
    page = report_html(outcome(plan=plan(trade_line(rule=hostile)), orders=(record,), warnings=(hostile,)))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3


def test_a_symbol_that_looks_like_a_formula_or_markup_is_drawn_as_it_is():
    chart = orders_chart([OrderMark("BUY $A_1$<b>", 0.0, (1.0,), 1.0, (0.5,))])
    assert "BUY $A_1$&lt;b&gt;" in chart


def test_no_account_id_stands_on_the_page():
    assert "DU1234567" not in rich_page()


def test_a_thousand_symbols_are_all_in_the_tables_and_the_largest_in_the_charts():
    lines = [trade_line(f"S{number}", number=number, drift_bps=D(number), target=D("0.001")) for number in range(1000)]
    residual = {Symbol(line.symbol): D(1) for line in lines}
    page = report_html(outcome(plan=plan(*lines), residual_drift_bps=residual, settings=SETTINGS))
    assert "The 30 largest of 1000; the table has all." in text_of(page)
    assert all(f">{line.symbol}</th>" in page for line in lines)
    assert len(page) < 2_000_000


def test_a_report_is_written_with_its_numbers_also_where_no_chart_can_be_drawn(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # importing it fails
    weights_chart.cache_clear()  # another test may have drawn the same one
    page = report_html(replace(sample_outcome(), settings=SETTINGS))
    assert "<svg" not in page
    assert "could not be drawn on this computer" in page
    assert "VTI before -1506.02, after -188.82" in section(page, "drift")
