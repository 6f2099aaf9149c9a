"""A test whose program is missing is skipped with the command that installs it, and finds it where it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from programs import PROGRAMS, find, needs

INSTALLS = {
    "chromium": "apt-get install chromium",
    "postgresql": "apt-get install postgresql",
    "strace": "apt-get install strace",
}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A machine whose PATH is this empty folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_missing_program_skips_with_the_command_that_installs_it(elsewhere, monkeypatch, program):
    monkeypatch.setitem(PROGRAMS, program, replace(PROGRAMS[program], folders=""))
    mark = needs(program).mark
    assert mark.args == (True,)
    assert mark.kwargs["reason"].endswith(INSTALLS[program])


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_installed_program_is_found_by_any_of_its_names_and_skips_nothing(elsewhere, program):
    executable = elsewhere / PROGRAMS[program].names[-1]
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    assert find(program) == executable
    assert needs(program).mark.args == (False,)
