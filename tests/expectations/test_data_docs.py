"""Data Docs of a run's gates: the library's own pages, with what they say, and nothing that a browser would fetch."""

import re

import pytest
from gate_cases import gate_cases

from core.model import AccountId, RunId
from expectations.data_docs import CheckedTable, data_docs
from expectations.gate import run_gate

RUN, ACCOUNT = RunId("NMNTJMMMH35Z"), AccountId("DU1234567")


@pytest.fixture(scope="module")
def pages():
    """Of a price below 0, of orders that pass, and of a table that is empty."""
    cases = gate_cases(5)
    quotes = cases["quotes"].frame.copy()
    quotes.loc[quotes.index[0], "price"] = -1.0
    frames = {"quotes": quotes, "BUY orders": cases["BUY orders"].frame, "fills": cases["fills"].frame.head(0)}
    gates = [
        CheckedTable(frame, cases[table].suite, run_gate(table, frame, cases[table].suite()))
        for table, frame in frames.items()
    ]
    return data_docs(RUN, ACCOUNT, gates)


def test_the_index_leads_to_a_page_of_each_gate(pages):
    links = re.findall(r'href="([^"]+)"', pages["index.html"])
    assert links == ["quotes.html", "buy-orders.html", "fills.html"]
    assert pages.keys() == {*links, "index.html"}


def test_the_index_has_the_verdicts_that_the_run_went_by(pages):
    rows = re.findall(r"<tr>(.*?)</tr>", pages["index.html"])
    texts = [re.sub(r"(<[^>]+>)+", "|", row) for row in rows]
    assert texts[1].startswith("|quotes|6|17|refuses: price not above 0; ")
    assert texts[2].endswith("|passes|")
    assert texts[3].endswith("|refuses: the table is empty|")


def test_a_page_is_the_librarys_own_with_the_rows_at_fault(pages):
    page = pages["quotes.html"]
    assert f"Validations / quotes / {RUN}" in page
    assert "price not above 0" in page
    assert "S0000" in page


@pytest.mark.parametrize("fetched", ["<script", "<link", "<img", "url(", "@import", "onclick=", "//unpkg"])
def test_no_page_has_anything_that_is_fetched(pages, fetched):
    assert not [name for name, text in pages.items() if fetched in text]


def test_no_page_shows_an_account(pages):
    assert not [name for name, text in pages.items() if ACCOUNT in text]
