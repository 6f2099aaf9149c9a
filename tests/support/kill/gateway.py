"""The gateway's process: it answers clients over the socket, the case's commands and clients' clocks over pipes.

Its log is a file of JSON lines, written as things happen: every message, every report of the exchange, and for each
order that arrives what the journal has on record of it at that moment, read as anybody else would read it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from worlds import weekdays

from core.model import Fill, Order, OrderRef
from core.safety import write_kill_switch
from core.sim.gateway import GatewayOptions, LogEntry, SimulatedGateway
from core.sim.gateway.faults import Channel, Do, Envelope, Match, Omit
from core.sim.gateway.log import Direction
from core.sim.venue.exchange import Exchange
from core.sim.venue.orders import Refusal, Report
from core.sim.venue.script import FaultScript
from core.sim.venue.world import World
from core.sim.wire.parsing import parse_request
from core.sim.wire.placing import PlaceOrder
from kill.cases import AtMessage, AtPoint, Case, CrashPoint, Environment
from kill.clock import NextTimer, VenueClock

DAY_SECONDS = 86_400.0
NO_REQUEST = "-1"
REQUEST_ID = 1  # field of an execution
BACK_SECONDS = 10.0
ON_RECORD = text("SELECT kind FROM entries WHERE order_ref = :ref OR kind = 'LinesApproved'")


class GatewayLog:
    """The file that the oracle reads. Every line is with the kernel before the gateway goes on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, line: str) -> None:
        self._file.write(line.encode() + b"\n")

    def note(self, at: datetime, what: str, **values: object) -> None:
        self.write(json.dumps({"t": at.isoformat(), "what": what, **values}, default=str))


class RecordedExchange(Exchange):
    """An exchange that puts everything that it reports on the log."""

    log: GatewayLog

    @classmethod
    def of(cls, world: World, log: GatewayLog) -> RecordedExchange:
        made = cls(world, weekdays)
        made.log = log
        return made

    def submit(self, order: Order, *, client_id: int, refusal: Refusal | None = None) -> tuple[Report, ...]:
        return self._recorded(super().submit(order, client_id=client_id, refusal=refusal))

    def modify(self, perm_id: int, order: Order, *, is_held: bool = False) -> tuple[Report, ...]:
        return self._recorded(super().modify(perm_id, order, is_held=is_held))

    def cancel(self, perm_id: int) -> tuple[Report, ...]:
        return self._recorded(super().cancel(perm_id))

    def advance_to(self, at: datetime) -> tuple[Report, ...]:
        return self._recorded(super().advance_to(at))

    def fill(self, ref: OrderRef) -> tuple[Report, ...]:
        """Fill whatever is open of the order with this reference."""
        reports: list[Report] = []
        for placed in list(self.orders.values()):
            if placed.terms.order_ref == ref and placed.is_working:
                quote = self.quotes[placed.terms.contract.symbol].values
                price = placed.terms.limit_price or quote.ask
                assert price is not None
                reports += self._fill(placed, placed.open_quantity, price)
        return self._recorded(tuple(reports))

    def _recorded(self, reports: tuple[Report, ...]) -> tuple[Report, ...]:
        for report in reports:
            placed, event = self.orders[report.perm_id], report.event
            values: dict[str, object] = {
                "perm_id": report.perm_id,
                "client": report.client_id,
                "ref": placed.terms.order_ref,
                "quantity": placed.terms.quantity,
                "state": placed.state.name,
                "filled": placed.filled,
            }
            if isinstance(event, Fill):
                values |= {"exec_id": event.exec_id, "shares": event.shares}
            self.log.note(self.now, "report", **values)
        return reports


@dataclass(frozen=True, slots=True)
class PauseBefore:
    """Nothing happens until the case says so; then the message passes."""

    process: GatewayProcess

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        self.process.pause()
        channel.pass_on(envelope)


@dataclass(frozen=True, slots=True)
class OmitListed:
    """Executions that answer a request are lost; those that happen now pass."""

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        if envelope.fields[REQUEST_ID] == NO_REQUEST:
            channel.pass_on(envelope)


class GatewayProcess:
    """The gateway, its clock, and what it is told to do by the case's process."""

    def __init__(self, case: Case, folder: Path, url: str, control: Connection) -> None:
        self._case = case
        self._folder = folder
        self._control = control
        self._log = GatewayLog(folder / "gateway.jsonl")
        self._journal = create_engine(url)
        self._messages = 0
        self._is_paused = False
        self._pause_at = case.kill.number if isinstance(case.kill, AtMessage) else None
        self._clock = VenueClock(case.world.as_of)
        self._exchange = RecordedExchange.of(case.world, self._log)
        options = GatewayOptions(on_log=self._on_log, hours_around=lambda _: weekdays)
        self._gateway = SimulatedGateway([self._exchange], FaultScript(case.world), self._clock, options)
        self._over = asyncio.Event()

    async def serve(self, clocks: Sequence[Connection]) -> None:
        """Serve until it is told to stop; raises what the gateway or the exchange did wrong."""
        self._control.send(await self._gateway.start())
        self._set_faults()
        loop = asyncio.get_running_loop()
        for channel in clocks:
            loop.add_reader(channel.fileno(), self._answer_clock, channel)
        loop.add_reader(self._control.fileno(), self._on_command)
        await self._over.wait()
        await self._gateway.stop()
        self._gateway.check()
        self._exchange.audit()

    def pause(self) -> None:
        """Report that the point is reached, and do only what the case's process says until it says go on."""
        self._control.send("reached")
        self._is_paused = True
        while self._is_paused:
            self._do(*self._control.recv())

    def go_on(self) -> None:
        self._is_paused = False

    def pause_at(self, messages: int | None) -> None:
        """Pause again after so many messages from now; never, with None."""
        self._pause_at = None if messages is None else self._messages + messages

    def note(self, what: str) -> None:
        self._log.note(self._clock.now(), what)

    def advance(self, seconds: float) -> None:
        self._clock.advance(seconds)

    def fill(self, ref: OrderRef) -> None:
        """Fill what is open of an order; nothing where it is not there."""
        state = self._gateway._state
        state.dispatch(state.all_accounts[0], self._exchange.fill(ref))

    def stop(self) -> None:
        self._over.set()

    async def settle(self) -> None:
        """Return when the gateway has noticed that its client is gone."""
        while self._gateway.traffic():  # noqa: ASYNC110 - nothing reports the end of a connection
            await asyncio.sleep(0)

    async def prepare(self) -> None:
        """Make the environment that recovery finds."""
        faults = self._gateway.faults
        faults.clear()
        match self._case.environment:
            case Environment.RESTARTED:
                await self._gateway.restart(ids_roll_back=True)
            case Environment.LOST_1101:
                faults.on("execDetailsEnd", Do(lambda _: self._lose_connectivity(1101)))
            case Environment.LOST_1102:
                faults.on("execDetailsEnd", Do(lambda _: self._lose_connectivity(1102)))
            case Environment.NEXT_DAY:
                self._clock.advance(DAY_SECONDS)
                # a gateway lists the orders that ended today
                faults.on("completedOrder", Omit(), times=None)
            case Environment.BLANK:
                faults.on("completedOrder", Omit(), times=None)
                faults.on("execDetails", OmitListed(), times=None)
            case Environment.BLIND:
                faults.on("execDetails", OmitListed(), times=None)

    def _lose_connectivity(self, restored: int) -> None:
        self._gateway.broadcast(1100)
        until = self._clock.now() + timedelta(seconds=BACK_SECONDS)
        self._clock.call_at(until, lambda: self._gateway.broadcast(restored))

    def _set_faults(self) -> None:
        faults, kill = self._gateway.faults, self._case.kill
        if isinstance(kill, AtPoint) and kill.point is CrashPoint.K3:
            faults.on("placeOrder", PauseBefore(self), Match(order_ref=kill.ref))
        if isinstance(kill, AtPoint) and kill.point is CrashPoint.K6:
            # a dropped order is cancelled by its number: the gateway knows no reference of it
            faults.on("cancelOrder", PauseBefore(self))
        for message, action, skip, times in self._case.news:
            faults.on(message, action, skip=skip, times=times)

    def _on_command(self) -> None:
        name, *arguments = self._control.recv()
        if name in ("settle", "prepare"):
            asyncio.ensure_future(self._do_and_report(name))  # noqa: RUF006 - the case waits for its report
        else:
            self._do(name, *arguments)

    async def _do_and_report(self, name: str) -> None:
        await getattr(self, name)()
        self._control.send("done")

    def _do(self, name: str, *arguments: Any) -> None:
        getattr(self, name)(*arguments)
        self._control.send("done")

    def _answer_clock(self, channel: Connection) -> None:
        wish: NextTimer = channel.recv()
        theirs = {port: (one.read, one.written) for port, one in self._gateway.traffic().items()}
        ours = {wish.traffic.port: (wish.traffic.sent, wish.traffic.received)} if wish.traffic else {}
        is_quiet = wish.is_stuck or ours == theirs
        if is_quiet and wish.until is not None:
            self._clock.step(wish.until)
        channel.send((self._clock.now(), is_quiet))

    def _on_log(self, entry: LogEntry) -> None:
        self._log.write(entry.line())
        if entry.direction is Direction.NOTE:
            return
        self._messages += 1
        if entry.direction is Direction.IN and entry.message == "placeOrder":
            self._note_arrival(entry)
        if self._messages == self._case.kill_switch_at:
            write_kill_switch(self._folder / "KILL_SWITCH", by="the case", at=entry.at)
            self.note("kill switch")
        if self._messages == self._pause_at:
            self.pause()

    def _note_arrival(self, entry: LogEntry) -> None:
        """Note the order, and what anybody who opens the journal now can read of it."""
        request = parse_request(entry.fields)
        assert isinstance(request, PlaceOrder)
        with self._journal.connect() as connection:
            kinds = set(connection.execute(ON_RECORD, {"ref": request.terms.order_ref}).scalars())
        self._log.note(
            entry.at,
            "arrival",
            ref=request.terms.order_ref,
            account=request.terms.account,
            con_id=request.contract.con_id,
            side=request.terms.action,
            quantity=request.terms.quantity,
            is_what_if=request.terms.what_if,
            is_sending_on_record="OrderSending" in kinds,
            is_approval_used="LinesApproved" in kinds,
        )


def main(case: Case, folder: Path, url: str, control: Connection, clocks: Sequence[Connection]) -> None:
    """The whole life of the process."""

    # asyncio warns of every write to a client that was killed
    logging.getLogger("asyncio").setLevel(logging.ERROR)

    async def serve() -> None:
        await GatewayProcess(case, folder, url, control).serve(clocks)

    asyncio.run(serve())
