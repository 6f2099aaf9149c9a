"""Every check of every gate is on their page, with its columns, its severity and why it is there."""

from gate_page import checks_page
from goldens import assert_golden


def test_the_page_of_checks_is_its_golden():
    assert_golden("../../expectations/checks.md", checks_page())
