"""The pages for people name only what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.errors import ExitCode
from deployments.readme import SETTINGS_PAGE, settings_page

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
OPERATORS_GUIDE = ROOT / "deployments" / "README.md"
PAGES = sorted(page for page in ROOT.rglob("*.md") if ".venv" not in page.parts and "golden" not in page.parts)


def test_the_page_of_settings_is_made_from_the_settings():
    assert SETTINGS_PAGE.read_text() == settings_page(), "run: make readme"


def test_the_first_commands_are_make_run_and_make_test():
    first = README.read_text().split("```")[1]
    assert [line.split("#")[0].strip() for line in first.splitlines()[1:]] == ["make run", "make test"]


def test_every_exit_code_of_this_version_is_listed():
    listed = {int(code) for code in re.findall(r"^\| (\d{1,2}) \|", OPERATORS_GUIDE.read_text(), re.MULTILINE)}
    assert listed == {int(code) for code in ExitCode}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_into_the_project_leads_somewhere(page):
    for target in re.findall(r"\]\((?!http|#|mailto|data:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_prefects_own_commands_stand_after_what_tells_them_the_server():
    for block in README.read_text().split("```")[1::2]:
        lines = block.splitlines()
        of_prefect = [number for number, line in enumerate(lines) if line.startswith("prefect ")]
        exported = [number for number, line in enumerate(lines) if line.startswith("export PREFECT_API_URL=")]
        assert not of_prefect or (exported and exported[0] < of_prefect[0]), block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_schedule_is_switched_on_by_deployment_and_id(page):
    """As Prefect wants it, and not only the verb."""
    for command in re.findall(r"prefect deployment schedule (?:resume|pause)[^`]*", page.read_text()):
        assert re.fullmatch(r"[a-z ]+\s[a-z-]+/[a-z-]+ ID", command), command
