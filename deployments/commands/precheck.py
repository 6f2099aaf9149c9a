"""What a run may be refused for before Prefect is started, which takes longer than all of it."""

from __future__ import annotations

import asyncio

from core.broker.reach import require_listener
from core.execution.reader import RetryPolicy
from core.model import BrokerKind, Mode
from core.safety import check_kill_switch, check_mode
from deployments.terminal import errors_console
from tasks.app.brokers import make_broker
from tasks.app.request import Request


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


def require_gateway(request: Request) -> None:
    """Refuse a run at a gateway where nobody listens; nothing is asked for a rehearsal. Raises ConnectionLost."""
    if request.broker is not BrokerKind.IBKR or request.mode is Mode.REPORT_ONLY:
        return
    ibkr = request.files().settings().ibkr
    patience = RetryPolicy(ibkr.read_attempts, asyncio.sleep, on_retry=_say)
    timeout = ibkr.connect_timeout_seconds
    asyncio.run(patience.read("connecting", lambda: require_listener(ibkr.host, ibkr.port, timeout_seconds=timeout)))


def _say(text: str) -> None:
    errors_console().print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)
