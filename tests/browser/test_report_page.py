"""Our pages in a real browser: nothing is fetched, nothing is cut off on a phone, and everybody can read them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOW, outcome, plan, trade_line
from household_samples import sample_household
from prefect_pages import DESKTOP, PHONE, chromium
from programs import find_script, needs, needs_script
from report_samples import sample_outcome

from core.household.report import household_html
from core.model import Mode, RunId, RunRecord, Symbol
from core.money import D
from core.report import report_html
from core.report.history import past_run
from core.report.history_html import history_html

SETTINGS = {"ibkr": {"account_id": "******567"}, "rebalance": {"per_holding_band_bps": "50"}}
NARROW = (320, 568)
LAPTOP = (1280, 900)
PAGES = ["report", "history", "household"]
# tables of which a part can be reached only by scrolling sideways
CUT_OFF = """() => [...document.querySelectorAll(".wide")]
  .filter(each => each.scrollWidth > each.clientWidth).map(each => each.getAttribute("aria-label"))"""
TALLEST_ROW = "() => Math.max(...[...document.querySelectorAll('tr')].map(each => each.offsetHeight))"

pytestmark = [pytest.mark.slow, needs("chromium"), pytest.mark.timeout(600)]


def sample_report() -> str:
    return report_html(replace(sample_outcome(), settings=SETTINGS))


def sample_history() -> str:
    def run_of(days: int):
        at = NOW - timedelta(days=days)
        result = sample_outcome()
        record = RunRecord(RunId(f"ABCDEFGHIJ{days}3"), "flow", result.account_id, Mode.PAPER, at, at)
        return past_run(record, result)

    return history_html(map(run_of, range(2, 7)))


def large_report() -> str:
    """A report of 1 000 symbols, of which each has an order in the plan."""
    why = "under its target by more than the band of 50 bps"
    lines = [trade_line(f"S{at}", number=at, drift_bps=D(at), target=D("0.001"), rule=why) for at in range(1000)]
    residual = {Symbol(line.symbol): D(1) for line in lines}
    return report_html(outcome(plan=plan(*lines), residual_drift_bps=residual, settings=SETTINGS))


SAMPLES = {
    "report": sample_report,
    "history": sample_history,
    "household": lambda: household_html(sample_household()),
    "large": large_report,
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pages")
    for name, write in SAMPLES.items():
        (path / f"{name}.html").write_text(write())
    return path


@pytest.fixture
def opened(browser, folder):
    """Opens a page in a window of its own; what it asked for is in `asked`, and its faults in `faults`."""
    windows = []

    def open_page(name, size=DESKTOP, scheme="light", **more):
        viewport = dict(zip(("width", "height"), size, strict=True))
        window = browser.new_context(viewport=viewport, color_scheme=scheme, **more)
        windows.append(window)
        page = window.new_page()
        page.asked, page.faults = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.faults.append(message.text))
        page.goto((folder / f"{name}.html").as_uri())
        page.wait_for_load_state("networkidle")
        return page

    yield open_page
    for window in windows:
        window.close()


@pytest.mark.parametrize("name", PAGES)
def test_opening_the_page_fetches_nothing_else_and_breaks_no_rule_of_its_own(opened, folder, name):
    page = opened(name)
    assert page.asked == [(folder / f"{name}.html").as_uri()]
    assert page.faults == []


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("size", [NARROW, PHONE, DESKTOP])
def test_the_page_does_not_scroll_sideways(opened, name, size):
    page = opened(name, size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("name", SAMPLES)
def test_at_a_desk_no_column_of_a_table_is_cut_off(opened, name):
    assert opened(name, LAPTOP).evaluate(CUT_OFF) == []


def test_on_a_phone_no_row_takes_a_quarter_of_the_screen(opened):
    assert opened("report", PHONE).evaluate(TALLEST_ROW) < PHONE[1] / 4


@pytest.mark.parametrize("name", ["report", "household"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_the_answers_are_in_the_first_screen(opened, name, size):
    summary = opened(name, size).locator(".summary").bounding_box()
    assert summary["y"] + summary["height"] <= size[1]


def test_of_a_thousand_symbols_the_sections_are_a_few_screens_apart(opened):
    page = opened("large", LAPTOP)
    heights = page.evaluate("[...document.querySelectorAll('section')].map(each => each.offsetHeight)")
    assert max(heights) < 4 * LAPTOP[1]
    assert page.locator("tbody tr").count() > 3000


@needs_script("axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_fault_of_contrast_labels_or_structure(opened, name, size, scheme):
    # the page runs no script, so that axe needs its rule to be set aside
    page = opened(name, size, scheme, bypass_csp=True)
    page.evaluate(find_script("axe-core").read_text())
    found = page.evaluate("axe.run()")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    assert {"color-contrast", "document-title", "svg-img-alt"} & {each["id"] for each in found["passes"]}


def test_ink_is_light_in_the_dark_in_charts_too(opened):
    ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
    light, dark = opened("report", scheme="light").evaluate(ink), opened("report", scheme="dark").evaluate(ink)
    assert light == "rgb(27, 31, 36)"
    assert dark == "rgb(230, 233, 237)"
