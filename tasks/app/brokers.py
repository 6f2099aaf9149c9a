"""Which broker is behind the port, and the options it gets."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core.broker.fake import FakeIB, FakeOptions
from core.broker.ib import LiveIB, LiveOptions
from core.broker.port import Broker
from core.broker.simulated import SimulatedIB
from core.errors import UsageError
from core.masking import mask_accounts
from core.model import BrokerKind, Mode
from core.safety import write_kill_switch
from core.scenario import read_market
from core.settings import Settings
from core.sim.gateway import GatewayOptions, LogEntry
from core.sim.venue.sessions import HoursOf, weekday_hours, xnys_hours
from core.sim.venue.world import World
from tasks.app.request import Request

DEMO_MARKET = Path(__file__).parents[2] / "deployments" / "demo" / "market.yaml"
WIRE_LOG = "gateway.jsonl"


def make_broker(request: Request, settings: Settings, *, folder: Path | None = None) -> Broker:
    """The broker that the request names. A simulated gateway writes its log into `folder`.

    Without a folder nothing will be traded, and a rehearsed broker does not know the holidays, since loading them takes
    longer than planning. Raises UsageError for a market file that is missing or not understood.
    """
    # report_only never connects, not even with the default broker
    if request.broker is BrokerKind.IBKR and request.mode is not Mode.REPORT_ONLY:
        return live(settings, request.mode)
    kind = BrokerKind.FAKE if request.mode is Mode.REPORT_ONLY else request.broker
    world = read_market(_market(request), now=datetime.now(UTC))
    if request.is_of_household:
        # one made-up account stands for each of a household
        world = replace(world, account=replace(world.account, id=settings.ibkr.account_id))
    return rehearsal(
        world,
        settings,
        kind,
        wire_log=None if folder is None else folder / WIRE_LOG,
        knows_holidays=folder is not None,
    )


def live(settings: Settings, mode: Mode) -> LiveIB:
    """The gateway that the settings name; a mode that sends no orders connects as another, read-only client."""
    return LiveIB(client_options(settings, may_trade=mode.sends_orders))


def rehearsal(
    world: World, settings: Settings, kind: BrokerKind, *, wire_log: Path | None = None, knows_holidays: bool = True
) -> Broker:
    """The simulated world in memory, or behind a gateway in this process (`simulated`).

    The messages between client and gateway are written to `wire_log` as JSON lines, with accounts masked.
    """
    hours = xnys_hours if knows_holidays else weekday_hours
    if kind is BrokerKind.FAKE:
        return FakeIB.of(world, replace(rehearsal_options(settings), hours_around=hours))
    return SimulatedIB.of(world, client_options(settings, may_trade=True), gateway_options(settings, hours, wire_log))


def rehearsal_options(settings: Settings) -> FakeOptions:
    """A rehearsal's client id, pace and time-outs, and what its script calls to switch the kill switch on."""
    return FakeOptions(
        client_id=settings.ibkr.client_id,
        messages_per_second=settings.ibkr.max_messages_per_second,
        request_timeout_seconds=settings.ibkr.request_timeout_seconds,
        on_kill_switch=_switch_setter(settings.safety.kill_switch_file),
    )


def gateway_options(
    settings: Settings, hours: Callable[[datetime], HoursOf] = xnys_hours, wire_log: Path | None = None
) -> GatewayOptions:
    """The options of a simulated gateway."""
    return GatewayOptions(
        trading_client=settings.ibkr.client_id,
        hours_around=hours,
        on_kill_switch=_switch_setter(settings.safety.kill_switch_file),
        on_log=None if wire_log is None else WireLog(wire_log),
    )


class WireLog:
    """A file, readable by its owner only, that gets every entry of a gateway's log as a JSON line, accounts masked.

    It is an extra of a rehearsal: when it cannot be written it stops, and the run goes on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_off = False

    def __call__(self, entry: LogEntry) -> None:
        if self._is_off:
            return
        try:
            with open(self._path, "a", encoding="utf-8", opener=_private) as file:
                file.write(mask_accounts(entry.line()) + "\n")
        except OSError:
            self._is_off = True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _market(request: Request) -> Path:
    if request.mode is Mode.REPORT_ONLY and request.market is None:
        raise UsageError("report_only reads account and quotes from a file", next_step="name it with --market FILE")
    return request.market or DEMO_MARKET


def client_options(settings: Settings, *, may_trade: bool) -> LiveOptions:
    """How a gateway is reached; a run that may not trade uses the next client id, read-only."""
    ibkr = settings.ibkr
    return LiveOptions(
        host=ibkr.host,
        port=ibkr.port,
        client_id=ibkr.client_id if may_trade else ibkr.client_id + 1,
        account_id=ibkr.account_id,
        is_read_only=not may_trade,
        connect_timeout_seconds=ibkr.connect_timeout_seconds,
        request_timeout_seconds=ibkr.request_timeout_seconds,
        messages_per_second=ibkr.max_messages_per_second,
    )


def _switch_setter(kill_switch: Path) -> Callable[[], None]:
    # a file, as a person would make it: the run finds out about it by itself
    def set_switch() -> None:
        write_kill_switch(kill_switch, by="the rehearsal's script", at=datetime.now(UTC))

    return set_switch
