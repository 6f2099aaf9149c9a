"""What Prefect's pages show beside tables: the chart of the weights as a picture, and where the files are."""

from __future__ import annotations

import base64
import re
import sys
from xml.etree import ElementTree

import pytest
from builders import outcome, plan, trade_line
from report_samples import sample_outcome, sample_plan

from core.report import approval_markdown, chart_page, files_page, formats, planned_weights, weights


def test_the_approval_shows_the_weights_below_the_orders_as_a_picture():
    charts = planned_weights(sample_plan())
    text = approval_markdown(sample_plan(), (), "plan", charts)
    assert text.partition("</pre>")[0] == approval_markdown(sample_plan(), ()).partition("</pre>")[0]
    above, _, below = text.partition("![")
    assert above.rstrip().endswith(
        "Weights in % of the investable value: line = target, circle = before, bar = planned<br>"
    )
    assert "</pre>" in above
    assert below.startswith("Weights in % of the investable value. VTI target 60.00, before 44.94, planned 59.97;")
    assert "<details>" in below


def test_a_terminal_gets_the_approval_without_its_picture():
    charts = planned_weights(sample_plan())
    with_picture, without = (approval_markdown(sample_plan(), (), "plan", each) for each in (charts, ()))
    assert formats.unfolded(with_picture) == formats.unfolded(without)


def test_the_picture_of_a_chart_is_an_image_of_its_own_on_white():
    [text] = re.findall(r"\(data:image/svg\+xml;base64,(.*)\)", chart_page("ABCDEFGHIJ23", weights(sample_outcome())))
    image = ElementTree.fromstring(base64.b64decode(text))  # noqa: S314 - our own text
    width, height = float(image.get("width")), float(image.get("height"))
    left, top, right, bottom = map(float, image.get("viewBox").split())
    assert (left, top) == (0, 0)
    assert width / height == pytest.approx(right / bottom, rel=0.01)
    assert image[0].attrib == {"width": "100%", "height": "100%", "fill": "#ffffff"}
    assert {"VTI", "SPY", "QQQ", "GLD", "ARKK"} <= {each.text for each in image.iter() if each.tag.endswith("text")}


def test_the_same_figures_are_drawn_once():
    [planned], [reported] = planned_weights(sample_plan()), weights(outcome(plan=sample_plan()))
    assert reported.svg is planned.svg


def test_a_chart_that_cannot_be_drawn_is_left_out_of_the_pages(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # importing it fails
    charts = planned_weights(plan(trade_line("ONLYHERE")))
    assert approval_markdown(sample_plan(), (), "plan", charts) == approval_markdown(sample_plan(), ())
    assert chart_page("ABCDEFGHIJ23", charts) == ""


def test_the_page_of_the_files_says_where_they_are_and_what_is_in_each(tmp_path):
    folder = tmp_path / "DU1234567" / "ABCDEFGHIJ23"
    text = files_page("ABCDEFGHIJ23", [folder / "pre_trade.csv", folder / "report.html"], "trader|1")
    assert "on the computer trader\\|1" in text
    assert str(tmp_path / "******567" / "ABCDEFGHIJ23") in text
    assert (tmp_path / "******567" / "ABCDEFGHIJ23" / "report.html").as_uri().replace("%2A", "*") in text
    assert "| report.html   | all of it on one page, with charts, for a browser and for paper |" in text
    assert "DU1234567" not in text
