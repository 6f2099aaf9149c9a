"""report.html in a real browser: nothing is fetched, nothing is cut off on a phone, and everybody can read it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prefect_pages import DESKTOP, PHONE, chromium
from programs import find_script, needs, needs_script
from report_samples import sample_outcome

from core.report import report_html

SETTINGS = {"ibkr": {"account_id": "******567"}, "rebalance": {"per_holding_band_bps": "50"}}

pytestmark = [pytest.mark.slow, needs("chromium"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_html(replace(sample_outcome(), settings=SETTINGS)))
    return path


@pytest.fixture
def opened(browser, report):
    """Opens the page in a window of its own; what it asked for is in `asked`, and its faults in `faults`."""
    windows = []

    def open_page(size=DESKTOP, scheme="light", **more):
        window = browser.new_context(
            viewport=dict(zip(("width", "height"), size, strict=True)), color_scheme=scheme, **more
        )
        windows.append(window)
        page = window.new_page()
        page.asked, page.faults = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.faults.append(message.text))
        page.goto(report.as_uri())
        page.wait_for_load_state("networkidle")
        return page

    yield open_page
    for window in windows:
        window.close()


def test_opening_the_page_fetches_nothing_else_and_breaks_no_rule_of_its_own(opened, report):
    page = opened()
    assert page.asked == [report.as_uri()]
    assert page.faults == []


@pytest.mark.parametrize("size", [PHONE, (320, 568), DESKTOP])
def test_the_page_does_not_scroll_sideways(opened, size):
    page = opened(size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_the_answers_are_in_the_first_screen(opened, size):
    summary = opened(size).locator(".summary").bounding_box()
    assert summary["y"] + summary["height"] <= size[1]


@needs_script("axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_axe_finds_no_fault_of_contrast_labels_or_structure(opened, size, scheme):
    # the page runs no script, so that axe needs its rule to be set aside
    page = opened(size, scheme, bypass_csp=True)
    page.evaluate(find_script("axe-core").read_text())
    found = page.evaluate("axe.run()")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    assert {"color-contrast", "document-title", "svg-img-alt"} & {each["id"] for each in found["passes"]}


def test_ink_is_light_in_the_dark_in_charts_too(opened):
    ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
    light, dark = opened(scheme="light").evaluate(ink), opened(scheme="dark").evaluate(ink)
    assert light == "rgb(27, 31, 36)"
    assert dark == "rgb(230, 233, 237)"
