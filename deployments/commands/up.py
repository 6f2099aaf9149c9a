"""`rebalance up`: the lasting Prefect server with its page, and the executor of the deployments, in the background."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from core.errors import ConnectionLost, SafetyRefused, UsageError
from core.model.refs import run_id_of
from core.text import visible, without_password
from deployments.options import Defaults
from deployments.serving.server import page_of
from deployments.terminal import console, print_progress
from tasks.app.environment import state_folder
from tasks.app.process import Process
from tasks.app.service import (
    AUTH_STRING,
    HOST,
    MARK,
    Service,
    choose_password,
    new_service,
    one_at_a_time,
    read_service,
    record_service,
)

PORT = 4200
START_SECONDS = 180.0
POLL_SECONDS = 0.3
PROGRESS_SECONDS = 10.0
API_HOST = "PREFECT_SERVER_API_HOST"
DATABASE_URLS = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
DRIVERS = ("postgresql+asyncpg", "sqlite+aiosqlite")


def up(port: int | None, defaults: Defaults) -> None:
    """Start what does not run yet, register the deployments with `defaults`, and print where the page is.

    Raises UsageError for another port than that of what runs, for a file that is not there and for a database that
    the server cannot use; SafetyRefused for an address that other computers reach; ConnectionLost when the port is
    taken or the server or the executor does not start.
    """
    parameters = defaults.parameters()
    _check_host()
    _check_database()
    with one_at_a_time():
        service = _service(port)
        was_up = service.has_server and service.has_executor
        if not service.has_server:
            service = _start_server(service)
        _use(service)
        if not service.has_executor:
            service = _start_executor(service, defaults)
        elif parameters:
            asyncio.run(_register(defaults))
    asyncio.run(_sweep())
    _print_where(service, was_up=was_up)


def _service(port: int | None) -> Service:
    """The service that is recorded, or a new one, with the port to start the server on."""
    known = read_service()
    if known is None:
        return new_service(PORT if port is None else port)
    if port in (None, known.port):
        return known
    if known.has_server or known.has_executor:
        raise UsageError(
            f"the server is already running, on port {known.port}",
            next_step="to move it, `rebalance down` and then `rebalance up --port N`",
        )
    return replace(known, port=port or PORT)


def _check_host() -> None:
    """Refuse an address that other computers reach, rather than serve another than was wanted."""
    wanted = os.environ.get(API_HOST, HOST)
    if wanted not in (HOST, "localhost"):
        raise SafetyRefused(
            f"{API_HOST} is {visible(wanted)}, but `rebalance up` serves this computer alone, on {HOST}",
            next_step="unset it; for more than one computer run Prefect's own server with TLS and a password",
        )


def _check_database() -> None:
    """Refuse a database that would fail in the middle of the server's start. Raises UsageError."""
    for name in DATABASE_URLS:
        url = os.environ.get(name)
        if url and urlsplit(url).scheme not in DRIVERS:
            raise UsageError(
                f"{name} is {visible(without_password(url))}, whose driver the server does not have",
                next_step="begin it with postgresql+asyncpg:// or sqlite+aiosqlite://",
            )


def _check_port(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # as uvicorn does: a port in TIME_WAIT can be used
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConnectionLost(
                f"port {port} on {HOST} cannot be used: {os.strerror(error.errno or 0).lower()}",
                next_step="another program may have it; choose another with `rebalance up --port N`",
            ) from error


def _start_server(service: Service) -> Service:
    """The service with a server that answers."""
    _check_port(service.port)
    print_progress(f"starting the Prefect server on {HOST}:{service.port} ...")
    program = ("-m", "uvicorn", "--factory", "deployments.serving.server_app:application", "--host", HOST)
    # an open page holds a websocket, for which uvicorn would wait for ever
    options = ("--port", str(service.port), "--no-access-log", "--timeout-graceful-shutdown", "5")
    log = state_folder() / "server.log"
    server = _start((*program, *options), _server_environment(service), log)
    service = replace(service, server=Process.of(server.pid))
    record_service(service)
    _wait("the Prefect server", server, log, lambda: _answers(service))
    return service


def _start_executor(service: Service, defaults: Defaults) -> Service:
    """The service with an executor that has registered the deployments."""
    print_progress("starting the executor of the runs ...")
    log = state_folder() / "executor.log"
    program = ("-m", "deployments", "serve", *_options(defaults))
    executor = _start(program, {**_environment(service), **service.client_environment()}, log)
    service = replace(service, executor=Process.of(executor.pid))
    record_service(service)
    from deployments.commands.serve import READY

    _wait("the executor", executor, log, lambda: log.read_text(errors="replace").find(READY) >= 0)
    return service


def _options(defaults: Defaults) -> list[str]:
    """The defaults as options of `rebalance serve`."""
    return [part for name, value in defaults.parameters().items() for part in (f"--{name}", value)]


def _environment(service: Service) -> dict[str, str]:
    return {MARK: service.mark, "PREFECT_HOME": str(state_folder() / "prefect"), "PREFECT_API_URL": service.api_url}


def _server_environment(service: Service) -> dict[str, str]:
    """The environment that closes the server to everybody but the operator."""
    return {
        **_environment(service),
        AUTH_STRING: choose_password(),
        API_HOST: HOST,
        "PREFECT_SERVER_API_PORT": str(service.port),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{service.page},http://localhost:{service.port}",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        # at DEBUG uvicorn logs headers and what comes over websockets, and the password with them
        "PREFECT_LOGGING_LOGGERS_UVICORN_LEVEL": "INFO",
    }


def _start(program: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A process in a session of its own, so that it outlives this one; the log of its predecessor is kept as `.1`."""
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    log.touch(mode=0o600)
    with log.open("ab") as output:
        # -P: a folder called `flows` where the operator typed the command must not be imported for ours
        return subprocess.Popen(  # noqa: S603 - our own programs
            [sys.executable, "-P", *program],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait(what: str, process: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool]) -> None:
    """Return when it is ready. Raises ConnectionLost when it ended instead, or takes too long, and ends it."""
    began = shown = time.monotonic()
    while not is_ready():
        now = time.monotonic()
        if process.poll() is not None:
            last = next((line for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()), "")
            raise ConnectionLost(f"{what} did not start: {last.strip()}", next_step=f"see {log}")
        if now - began > START_SECONDS:
            process.terminate()
            raise ConnectionLost(f"{what} was not ready within {START_SECONDS:.0f} s", next_step=f"see {log}")
        if now - shown > PROGRESS_SECONDS:
            print_progress(f"{what} is still starting ({now - began:.0f} s)")
            shown = now
        time.sleep(POLL_SECONDS)


def _answers(service: Service) -> bool:
    try:
        return httpx.get(f"{service.api_url}/health", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _use(service: Service) -> None:
    """Let this process use the server of the service, whatever else the environment names."""
    os.environ.update(service.client_environment())
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()


async def _register(defaults: Defaults) -> None:
    from prefect.client.orchestration import get_client

    from deployments.serving.definitions import register
    from deployments.serving.server import server_failures

    with server_failures():
        async with get_client() as client:
            await register(client, defaults)


async def _sweep() -> None:
    """Mark the runs that lost their process, perhaps when the computer went down, and print them."""
    from prefect.client.orchestration import get_client

    from deployments.serving.server import server_failures
    from flows.liveness import end_crashed_runs

    with server_failures():
        async with get_client() as client:
            for run in await end_crashed_runs(client):
                print_progress(f"run {run_id_of(str(run.id))} lost its process and was marked Crashed: {page_of(run)}")


def _print_where(service: Service, *, was_up: bool) -> None:
    to = console()
    for line in (
        f"{'already up' if was_up else 'up'}: {service.page}",
        "log in with what `rebalance status --password` prints; start, approve and schedule runs under Deployments",
        "`rebalance run` uses this server from now on; `rebalance status` shows what runs; `rebalance down` stops it",
    ):
        to.print(line, markup=False, soft_wrap=True)
