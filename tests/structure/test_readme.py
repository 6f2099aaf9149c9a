"""The README tells what is there."""

from __future__ import annotations

import re
from pathlib import Path

from core.errors import ExitCode
from deployments.readme import README, with_settings

ROOT = Path(__file__).parent.parent.parent


def test_the_table_of_settings_is_made_from_the_settings():
    assert README.read_text() == with_settings(README.read_text()), "run: make readme"


def test_the_first_commands_are_make_run_and_make_test():
    first = README.read_text().split("```")[1]
    assert [line.split("#")[0].strip() for line in first.splitlines()[1:]] == ["make run", "make test"]


def test_every_exit_code_of_this_version_is_listed():
    listed = {int(code) for code in re.findall(r"\| (\d{1,2}) \|", README.read_text())}
    assert listed == {int(code) for code in ExitCode} - {ExitCode.HOUSEHOLD}


def test_every_link_into_the_project_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README.read_text()):
        assert (ROOT / target).exists(), target
