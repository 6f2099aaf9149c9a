"""One run at a time is connected by a client id of a gateway, which refuses a second one with error 326.

So accounts that share a gateway and a client id queue up. The lock is the journal's, and so holds on every machine
that shares the journal. A run that waits for approval is not connected, and does not hold it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address

from core.broker.ib import LiveOptions
from core.errors import AccountBusy
from tasks.app.brokers import client_options
from tasks.app.run import Run

POLL_SECONDS = 1.0


async def hold_client(run: Run) -> None:
    """Hold the run's client of the gateway until `Run.disconnect`, once no other run does; nothing in a rehearsal.

    Raises AccountBusy after `[approval] timeout_seconds`, OutputFailed, and KillSwitchOn or RunCancelled as soon as the
    run may not go on.
    """
    may_go_on = run.guard if run.mode.sends_orders else run.check_not_cancelled
    await _hold(run, run.settings.approval.timeout_seconds, may_go_on)


async def hold_client_at_end(run: Run) -> None:
    """As `hold_client`, for the end of a run: it was stopped already, and waits `[execution] shutdown_seconds`."""
    await _hold(run, run.settings.execution.shutdown_seconds, lambda: None)


async def _hold(run: Run, seconds: float, check: Callable[[], None]) -> None:
    if run.is_rehearsed or run.holds_client:
        return
    options = client_options(run.settings, may_trade=run.mode.sends_orders)
    shown, lock = f"client {options.client_id} of {options.host}:{options.port}", lock_name(options)
    began = run.broker.now()
    is_waiting = False
    while not run.take_client(lock):
        if not is_waiting:
            run.log_step("waiting", f"for {shown}, which another run uses")
            is_waiting = True
        if run.broker.now() - began >= timedelta(seconds=seconds):
            raise AccountBusy(
                f"another run has used {shown} for longer than this one waits ({seconds:g} s)",
                next_step="run again when it has ended, or give the accounts of this gateway other [ibkr] client_ids",
            )
        await run.broker.sleep(POLL_SECONDS)
        check()


def lock_name(options: LiveOptions) -> str:
    """What everybody calls this client of a gateway; one of this computer is another computer's of the same address."""
    host = socket.gethostname() if _is_loopback(options.host) else options.host.lower()
    return f"client {options.client_id} of {host}:{options.port}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
