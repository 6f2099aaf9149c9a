"""Which Prefect server a run that sends orders may wait on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from flow_runs import Rehearsal
from prefect.settings import (
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_API_URL,
    get_current_settings,
    temporary_settings,
)
from typer.testing import CliRunner

from core.errors import ConnectionLost, SafetyRefused
from core.model import Mode
from deployments import cli
from tasks.app.server import check_password, check_server, is_here


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:4200/api", True),
        ("http://127.8.9.1:4200/api", True),
        ("http://localhost:4200/api", True),
        ("http://[::1]:4200/api", True),
        ("http://ann:secret@127.0.0.1/api", True),
        ("http://127.0.0.1.example.com/api", False),
        ("http://127.0.0.1@example.com/api", False),
        ("http://localhost.example.com/api", False),
        ("http://0.0.0.0:4200/api", False),
        ("http://192.168.1.5:4200/api", False),
        ("http://server:4200/api", False),
    ],
)
def test_only_loopback_is_here(url, expected):
    assert is_here(url) is expected


@pytest.mark.parametrize("url", ["http://ann:secret@192.0.2.1:4200/api", "http://server:4200/api"])
async def test_a_server_elsewhere_that_is_not_reached_by_https_is_refused_unasked(url):
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(SafetyRefused, match="not a verified https") as no:
        await check_server()
    assert "ssh -N -L" in str(no.value)
    assert "secret" not in str(no.value)


async def test_nor_is_https_whose_certificate_nobody_checks():
    unchecked = {PREFECT_API_URL: "https://server/api", PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True}
    with temporary_settings(unchecked), pytest.raises(SafetyRefused, match="not a verified https"):
        await check_server()


async def test_a_server_on_this_computer_and_a_temporary_one_are_good():
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        await check_server()
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        await check_server()


@asynccontextmanager
async def answering(status: str):
    """The address of an API that answers everything with this status, and the requests that came."""
    came: list[bytes] = []

    async def answer(reader, writer):
        came.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}/api", came


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_an_api_that_asks_who_is_there_has_a_password(status):
    async with answering(status) as (address, came):
        await check_password(f"http://ann:secret@{address}")
    assert b"uthorization" not in came[0]


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "302 Found", "503 Service Unavailable"])
async def test_any_other_answer_is_a_refusal(status):
    async with answering(status) as (address, _):
        with pytest.raises(SafetyRefused, match=f"HTTP {status[:3]} without a password"):
            await check_password(f"http://{address}")


async def test_a_server_that_does_not_answer_is_reported_as_such():
    with pytest.raises(ConnectionLost, match="does not answer: ConnectError"):
        await check_password("http://127.0.0.1:9/api")


@pytest.mark.server
async def test_prefects_own_server_without_a_password_is_refused(prefect_server):
    with pytest.raises(SafetyRefused, match="HTTP 200 without a password"):
        await check_password(get_current_settings().api.url)


@pytest.mark.server
@pytest.mark.slow
async def test_only_a_run_that_sends_no_orders_goes_on_with_such_a_server(prefect_server, tmp_path):
    # a way to write 127.0.0.1 that does not say so
    elsewhere = get_current_settings().api.url.replace("127.0.0.1", "127.1")
    rehearsal = Rehearsal(tmp_path)
    with temporary_settings({PREFECT_API_URL: elsewhere}):
        ended = await rehearsal.start().ended()
        assert ended.message.startswith("exit 30: the Prefect server http://127.1:")
        rehearsal.mode = Mode.DRY_RUN
        assert (await rehearsal.start().ended()).is_completed()
    assert rehearsal.sent() == []


def test_deployments_are_not_served_on_such_a_server():
    with temporary_settings({PREFECT_API_URL: "http://server:4200/api"}):
        ended = CliRunner().invoke(cli.app, ["serve"])
    assert isinstance(ended.exception, SafetyRefused)


def test_up_refuses_an_address_that_others_reach(monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_API_HOST", "0.0.0.0")  # noqa: S104 - it is refused
    ended = CliRunner().invoke(cli.app, ["up"])
    assert "PREFECT_SERVER_API_HOST is 0.0.0.0, but `rebalance up` serves this computer alone" in str(ended.exception)
