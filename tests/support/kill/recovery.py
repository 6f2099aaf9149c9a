"""The process that recovers: a fresh one, which knows the journal and the gateway and nothing else."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection

from builders import NOW
from trading import RUN, execution_settings
from worlds import ACCOUNT

from core.broker.ib import LiveIB
from core.errors import AccountBusy, ExitCode, RebalanceError
from core.execution import recover
from core.execution.recovery import ending_of
from core.execution.tracker import OrderTracker
from core.journal import Journal
from core.journal.entries import Entry
from core.journal.rules import check_start
from core.journal.sql import SqlStore
from core.model import Mode, RunId, RunRecord
from kill.client import options
from kill.clock import ClientClock

LOCK_SECONDS = 10.0
NEXT_RUN = RunId("NEXTRUN23456")


@dataclass(frozen=True, slots=True)
class Recovered:
    """How a recovery ended, the line that it says, the run's entries after it, and how the next run would begin.

    `next_run` is the exit code with which the next run of the account is refused, 0 where it may start.
    """

    exit_code: int
    text: str
    entries: tuple[Entry, ...]
    next_run: int = 0


def main(url: str, port: int, channels: tuple[Connection, Connection]) -> None:
    """The whole life of the process; `channels` are the case's and the clock's."""

    async def run() -> Recovered:
        clock = ClientClock(channels[1])
        broker = LiveIB(options(port), clock)
        clock.traffic = broker.socket_traffic
        store = SqlStore(url)
        journal = Journal(store)
        with ExitStack() as held:
            _hold_account(held, journal)
            code, text = await _recover(broker, journal, has_started=bool(store.load(RUN)))
        await broker.disconnect()
        return Recovered(int(code), text, tuple(store.load(RUN)), _next_run(journal))

    channels[0].send(asyncio.run(run()))


def _hold_account(held: ExitStack, journal: Journal) -> None:
    """Hold the account. A server notices after a moment that its client was killed; the kernel at once."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            held.enter_context(journal.lock(ACCOUNT, RUN))
        except AccountBusy:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


async def _recover(broker: LiveIB, journal: Journal, *, has_started: bool) -> tuple[ExitCode, str]:
    """Recover the run, as every run does with the open ones that it finds; one that never started is none of them."""
    if not has_started:
        return ExitCode.INCOMPLETE, "the run never started"
    settings = execution_settings()
    tracker = OrderTracker(broker, journal, settings.ibkr.read_attempts, lambda _event: None)
    try:
        return ending_of(await recover(tracker, RUN, settings))
    except RebalanceError as error:
        return error.exit_code, error.in_full


def _next_run(journal: Journal) -> int:
    """The exit code with which a new run of the account is refused, 0 for none."""
    new = RunRecord(NEXT_RUN, "the next flow run", ACCOUNT, Mode.PAPER, NOW)
    try:
        check_start(new, journal.open_runs(ACCOUNT))
    except RebalanceError as error:
        return int(error.exit_code)
    return 0
