"""Helper tasks of a run end with it, even one whose library lost the cancel."""

from __future__ import annotations

import asyncio

from flows import cancellation
from flows.cancellation import cancel_and_wait


async def test_a_helper_that_missed_a_cancel_is_cancelled_again(monkeypatch):
    monkeypatch.setattr(cancellation, "CANCEL_SECONDS", 0.01)
    missed = []

    async def missing_cancels():
        while len(missed) < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                missed.append(1)
        await asyncio.Event().wait()

    async def failing():
        raise ValueError("of no matter any more")

    helpers = [asyncio.create_task(missing_cancels()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await cancel_and_wait(*helpers)
    assert all(helper.done() for helper in helpers)
