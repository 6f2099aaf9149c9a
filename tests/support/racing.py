"""Runs that start at the same moment in processes of their own, on one journal in an SQLite file.

Worker processes make one run after the other: each is the flow's own body over a fake broker. They are forked from one
that has imported all they need, which takes longer than the runs. A run that is asked for its approval tells the
test, and waits until it may go on, so that the runs of a round are sure to overlap.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from core.errors import RebalanceError

ROUNDS = int(os.environ.get("REBALANCER_RACES", "2"))
LONGEST = 120.0  # importing all that a run needs takes long on a busy machine
READY, ASKED = "ready", "asked"
NEEDED = ["flows.rebalance", "expectations.library", "exchange_calendars", "matplotlib.backends.backend_svg"]


@dataclass(frozen=True)
class Ended:
    """How a run ended, as its process saw it."""

    exit_code: int
    reason: str
    orders: int
    process: int


@dataclass(frozen=True)
class Start:
    """A run to make: of this account, with its report in this folder, so many seconds from now."""

    account: str
    folder: Path
    url: str
    after: float = 0.0


class Worker:
    """A process that makes the runs it is told to."""

    def __init__(self, process: multiprocessing.process.BaseProcess, pipe: Connection) -> None:
        self.process, self.pipe = process, pipe

    def start(self, run: Start) -> None:
        self.pipe.send(run)

    def heard(self) -> str | Ended:
        """What the run has reached: ASKED, or its end."""
        assert self.pipe.poll(LONGEST), "the run neither asked nor ended"
        return self.pipe.recv()

    def approve(self) -> Ended:
        """The end of the run, which waits for its approval and gets it."""
        self.pipe.send(True)
        ended = self.heard()
        assert isinstance(ended, Ended)
        return ended


@contextmanager
def workers(count: int) -> Iterator[list[Worker]]:
    """So many processes, until the block ends."""
    # not forked from this process, whose event loops and servers they would have
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(NEEDED)
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join)
            stack.callback(ours.close)  # before the join: it ends the process
            made.append(Worker(process, ours))
        for worker in made:
            assert worker.heard() == READY
        yield made


def race(racers: Sequence[Worker], starts: Sequence[Start]) -> list[Ended]:
    """How the runs ended, in the order of `starts`; those that were asked are approved when all others have ended."""
    for worker, run in zip(racers, starts, strict=True):
        worker.start(run)
    heard = [worker.heard() for worker in racers]
    return [worker.approve() if what == ASKED else what for worker, what in zip(racers, heard, strict=True)]


def delays(seed: int, count: int) -> list[float]:
    """So many short delays, the same for the same seed; some are equal, since a tie is what it is about."""
    chance = random.Random(seed)
    return [chance.choice((0.0, 0.0, 0.01, chance.random() / 10)) for _ in range(count)]


def _work(pipe: Connection) -> None:
    import flow_runs  # noqa: F401, PLC0415 - before the first race, not during it

    pipe.send(READY)
    while True:
        try:
            run = pipe.recv()
        except EOFError:
            return
        try:
            ended = asyncio.run(_run(run, pipe))
        except RebalanceError as error:
            ended = Ended(int(error.exit_code), str(error), 0, os.getpid())
        pipe.send(ended)


async def _run(run: Start, pipe: Connection) -> Ended:
    from flow_runs import Given, Rehearsal  # noqa: PLC0415
    from worlds import held  # noqa: PLC0415

    from core.journal import Journal  # noqa: PLC0415
    from core.journal.sql import SqlStore  # noqa: PLC0415
    from core.model import USD, AccountId  # noqa: PLC0415
    from core.money import D  # noqa: PLC0415
    from core.sim.venue.world import SimAccount  # noqa: PLC0415

    await asyncio.sleep(run.after)
    own = SimAccount(AccountId(run.account), cash={USD: D(20_000)}, positions=(held(quantity="300"),))
    journal = Journal(SqlStore(run.url))
    rehearsal = Rehearsal(
        run.folder,
        changes={"account": own},
        approver=_Waits(pipe, run.account),
        source=Given(run.folder, {"ibkr": {"account_id": run.account}}),
        journal=journal,
    )
    outcome = await rehearsal.run()
    journal.close()
    return Ended(int(outcome.exit_code), outcome.reason, len(rehearsal.sent()), os.getpid())


@dataclass(frozen=True)
class _Waits:
    """An approver who says yes when the test does."""

    pipe: Connection
    account: str
    how: str = "test"

    async def ask(self, question):
        from tasks.app.approvers import Answer  # noqa: PLC0415

        self.pipe.send(ASKED)
        self.pipe.recv()
        return Answer(approve=True, approver="Ann", account_suffix=self.account[-3:])
