"""The Data Docs of a run's gates in a real browser: every page opens, and none asks another computer for anything."""

from __future__ import annotations

import pytest
from gate_cases import gate_cases
from prefect_pages import PHONE, chromium
from programs import needs

from core.model import AccountId, RunId
from core.report import write_texts
from expectations.data_docs import CheckedTable, data_docs
from expectations.gate import run_gate

pytestmark = [pytest.mark.slow, needs("chromium"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The index of the pages on all gates of a paper run."""
    cases = gate_cases(5)
    gates = [CheckedTable(each.frame, each.suite, run_gate(table, *_both(each))) for table, each in cases.items()]
    folder = tmp_path_factory.mktemp("run") / "data_docs"
    write_texts(data_docs(RunId("NMNTJMMMH35Z"), AccountId("DU1234567"), gates), folder)
    return folder / "index.html"


def _both(case):
    return case.frame, case.suite()


def test_every_page_opens_from_the_index_and_nothing_is_fetched_from_elsewhere(site):
    asked, faults = [], []
    with chromium() as browser:
        page = browser.new_page(viewport=dict(zip(("width", "height"), PHONE, strict=True)))
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: faults.append(message.text))
        page.goto(site.as_uri())
        links = page.locator("a").evaluate_all("links => links.map(link => link.href)")
        for link in links:
            page.goto(link)
            page.wait_for_load_state("networkidle")
            assert page.get_by_text("Successful Expectations", exact=True).is_visible()
            assert page.get_by_text("Failed Only").is_hidden()
            page.get_by_role("link", name="Home").click()
    assert len(links) == 7
    assert {*asked} == {site.as_uri(), *links}
    assert faults == []
