"""A test whose program is missing is skipped with the command that installs it, and finds it where it is.

So is one whose program may not do what the test needs, with the way to allow it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from power.trace import may_trace
from programs import PROGRAMS, find, needs

INSTALLS = {
    "chromium": "apt-get install chromium",
    "postgresql": "apt-get install postgresql",
    "strace": "apt-get install strace",
    "systemd-analyze": "apt-get install systemd",
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


@pytest.mark.parametrize("status", [0, 1])
def test_a_computer_that_forbids_tracing_skips_with_the_way_to_allow_it(elsewhere, status):
    executable = elsewhere / "strace"
    executable.write_text(f"#!/bin/sh\necho 'strace: PTRACE_TRACEME: Operation not permitted' >&2\nexit {status}\n")
    executable.chmod(0o755)
    mark = may_trace().mark
    assert mark.args == (bool(status),)
    if status:
        assert "PTRACE_TRACEME: Operation not permitted" in mark.kwargs["reason"]
        assert mark.kwargs["reason"].endswith(
            "in a container --cap-add=SYS_PTRACE, else sysctl kernel.yama.ptrace_scope=1"
        )
