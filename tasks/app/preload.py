"""What a run imports beside its work: libraries that take seconds, needed only once it has read something."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from threading import Thread

from expectations.gate import library
from tasks.app.call_stack import with_room_for_calls

# the calendar of the exchange, then the gates, then the pages and charts of the report: in the order of their use
BEFORE_THE_GATES = ("exchange_calendars",)
AFTER_THE_GATES = ("jinja2", "matplotlib.figure", "matplotlib.style", "matplotlib.backends.backend_svg")


@cache
def preload() -> Thread:
    """Begin to import what every run needs later, once in a process; the thread that does it.

    Whoever needs one of them before it is there waits for it, as with any import. Only what a run cannot do without
    is imported here: a command that runs nothing must never call this.
    """
    # no daemon: a process that ends within such an import may be aborted by the libraries' own code
    thread = Thread(target=with_room_for_calls, args=(_import_all,), name="preload")
    thread.start()
    return thread


def _import_all() -> None:
    with _without_collections():
        for name in BEFORE_THE_GATES:
            _import(name)
        # the gate that needs it imports it again, and reports what is wrong
        with suppress(Exception):
            library()
        for name in AFTER_THE_GATES:
            _import(name)


def _import(name: str) -> None:
    with suppress(Exception):
        import_module(name)


@contextmanager
def _without_collections() -> Iterator[None]:
    """No garbage collection in the block, nor afterwards of what is there by then: it stops every thread.

    What is imported stays, and there are a million objects of it: each full collection would take a quarter of a
    second for nothing, in which an event loop answers nobody.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
