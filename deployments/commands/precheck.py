"""What a run may be refused for before Prefect is started, which takes longer than all of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from core.broker.errors import refused_at, unreachable
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


async def require_listener(host: str, port: int, *, timeout_seconds: float) -> None:
    """Return when the address takes a connection, which is closed again. Raises ConnectionLost."""
    try:
        async with asyncio.timeout(timeout_seconds):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        raise refused_at(host, port) from None
    except TimeoutError:
        raise unreachable(host, port, f"nobody answers within {timeout_seconds:g} s") from None
    except OSError as error:
        raise unreachable(host, port, error.strerror or str(error)) from None
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _say(text: str) -> None:
    errors_console().print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)
