"""What takes long to import is imported beside the work of a run, and a report is written beside its loop."""

import asyncio
import subprocess
import sys
from threading import Event

import pytest

from tasks.report import in_thread

DEADLINE = 120
MODULES = ("exchange_calendars", "expectations.library", "jinja2", "matplotlib.backends.backend_svg")


def printed(program: str) -> str:
    """What the program prints in a process of its own, where nothing is imported yet."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_thread_imports_what_gates_and_report_need_once_and_leaves_the_collector_on():
    program = (
        "import gc, sys; from tasks.app.preload import preload\n"
        f"assert not {set(MODULES)!r} & sys.modules.keys()\n"
        "thread = preload(); assert preload() is thread; thread.join()\n"
        f"print(*[name for name in {MODULES!r} if name in sys.modules], gc.isenabled(), gc.get_freeze_count() > 0)\n"
    )
    assert printed(program) == f"{' '.join(MODULES)} True True"


def test_what_cannot_be_imported_is_left_to_the_step_that_needs_it():
    program = (
        "import sys; from tasks.app.preload import preload; from expectations.gate import library\n"
        "sys.modules['great_expectations'] = None; preload().join()\n"
        "try: library()\n"
        "except ImportError as error: print(error, 'matplotlib.figure' in sys.modules)\n"
    )
    assert printed(program) == "import of great_expectations halted; None in sys.modules True"


async def test_a_report_is_written_whole_before_a_cancellation_goes_on():
    begun, may_end, written = Event(), Event(), []

    def write():
        begun.set()
        assert may_end.wait(DEADLINE)
        written.append("report")

    writing = asyncio.create_task(in_thread(write))
    assert await asyncio.to_thread(begun.wait, DEADLINE)
    writing.cancel()
    asyncio.get_running_loop().call_soon(may_end.set)
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert written == ["report"]
