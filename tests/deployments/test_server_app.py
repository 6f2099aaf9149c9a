"""The server of `rebalance up` beyond Prefect's own: what it does with a press of a button while it is too busy."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.serving import server_app
from deployments.serving.server_app import TRIES, BusyMiddleware

RESUME = "/api/flow_runs/1/resume"


class BusyServer:
    """Answers 503, or fails, as often as it is told, as Prefect does when SQLite is locked, then what it was sent."""

    def __init__(self, times: int, *, fails: bool = False) -> None:
        self.times = times
        self.fails = fails
        self.asked = 0

    async def answer(self, request: Request) -> Response:
        sent = await request.body()
        self.asked += 1
        if self.asked <= self.times:
            if self.fails:
                raise OSError("database is locked")
            return JSONResponse({"exception_message": "Service Unavailable"}, 503)
        return Response(sent, 201)

    async def post(self, path: str) -> httpx.Response:
        app = BusyMiddleware(Starlette(routes=[Route("/{path:path}", self.answer, methods=["POST"])]))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.post(path, content=b"an answer")


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(server_app, "FIRST_PAUSE_SECONDS", 0)


@pytest.mark.parametrize("times", [0, 1, TRIES - 1])
async def test_an_answer_given_while_the_server_is_busy_arrives_once_it_no_longer_is(times):
    server = BusyServer(times)
    response = await server.post(RESUME)
    assert (response.status_code, response.content, server.asked) == (201, b"an answer", times + 1)


async def test_an_answer_that_the_server_failed_on_is_given_again():
    server = BusyServer(2, fails=True)
    response = await server.post(RESUME)
    assert (response.status_code, response.content, server.asked) == (201, b"an answer", 3)


async def test_another_press_that_the_server_failed_on_is_not_repeated():
    server = BusyServer(1, fails=True)
    assert ((await server.post("/api/deployments/1/create_flow_run")).status_code, server.asked) == (500, 1)


async def test_a_server_that_stays_busy_says_so():
    server = BusyServer(TRIES)
    assert ((await server.post(RESUME)).status_code, server.asked) == (503, TRIES)


async def test_what_no_button_sends_is_left_to_who_sent_it():
    server = BusyServer(1)
    assert ((await server.post("/api/logs/")).status_code, server.asked) == (503, 1)
