"""What a run may be refused for before Prefect is started, which takes longer than all of it."""

from __future__ import annotations

import asyncio

from core.broker.port import Broker
from core.model import BrokerKind, Mode
from core.reading import Reader
from core.safety import check_gateway, check_kill_switch, check_mode
from core.settings import Settings
from deployments.terminal import errors_console
from tasks.brokers import make_broker
from tasks.request import Request


def precheck(request: Request) -> None:
    """Refuse a run that its files or the safety rules do not allow.

    Raises SettingsInvalid, PortfoliosInvalid, UsageError, SafetyRefused and KillSwitchOn as the run would.
    """
    source = request.files()
    settings = source.settings()
    check_mode(settings, request.mode, confirm_live=request.confirm_live, broker=request.broker)
    broker = make_broker(request, settings)
    source.targets(settings, source.rows(settings, broker.now()))
    if request.mode.sends_orders:
        check_kill_switch(settings.safety.kill_switch_file)


def check_gateway_first(request: Request) -> None:
    """Look whether the gateway is there, and is one for this account and mode, before Prefect's own server is started.

    Raises ConnectionLost and SafetyRefused as the run would. Nothing is looked at for a rehearsal.
    """
    settings = request.files().settings()
    broker = make_broker(request, settings)
    if broker.kind is BrokerKind.IBKR:
        asyncio.run(_check(broker, settings, request.mode))


async def _check(broker: Broker, settings: Settings, mode: Mode) -> None:
    reader = Reader(broker, settings.ibkr.read_attempts, on_retry=_say)
    try:
        await reader.connect()
        check_gateway(settings, mode, port=broker.port, managed=await reader.accounts())
    finally:
        await broker.disconnect()


def _say(text: str) -> None:
    errors_console().print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)
