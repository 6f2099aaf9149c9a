"""The Prefect server of `rebalance up`, closed to web pages of others that are open in the operator's browser."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from prefect.server.api.server import create_app
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
# The page talks to its own server only (one of Prefect's two user interfaces would report its use to a third party),
# and no other page may frame it and lay something over its buttons.
POLICY = "connect-src 'self' ws://127.0.0.1:* ws://localhost:*; img-src 'self' data: blob:; frame-ancestors 'none'"
# what a person does by a button of a page, or a command for one
PRESSED = ("/resume", "/set_state", "/create_flow_run")
TRIES = 6
FIRST_PAUSE_SECONDS = 0.1


class BusyMiddleware:
    """Tries a press of a button again that the server was too busy for, with pauses of up to 3 seconds in all.

    SQLite refuses a write at once when another has come between, and Prefect then undoes all of the request and says
    to send it again (503), but for an answer to a question, for which it fails (500). Its own client sends the first
    again; its pages only show that it failed. An answer counts once, however often it is sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(PRESSED):
            await self._app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        answer = await self._ask(scope, body, receive)
        for tried in range(TRIES - 1):
            if not _is_busy(scope["path"], answer[0]["status"]):
                break
            await asyncio.sleep(FIRST_PAUSE_SECONDS * 2**tried)
            answer = await self._ask(scope, body, receive)
        for message in answer:
            await send(message)

    async def _ask(self, scope: Scope, body: bytes, receive: Receive) -> list[Message]:
        unread: list[Message] = [{"type": "http.request", "body": body}]
        answer: list[Message] = []

        async def read() -> Message:
            return unread.pop() if unread else await receive()

        async def send(message: Message) -> None:
            answer.append(message)

        try:
            # a copy: an application may write into it
            await self._app(dict(scope), read, send)
        except Exception:
            # one that has answered 500 raises as well, for the log
            if not answer:
                raise
            logging.getLogger("uvicorn.error").exception("an answer could not be taken")
        return answer


def _is_busy(path: str, status: int) -> bool:
    failed = path.endswith("/resume") and status == HTTPStatus.INTERNAL_SERVER_ERROR
    return failed or status == HTTPStatus.SERVICE_UNAVAILABLE


class PolicyMiddleware:
    """Adds the content security policy to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = POLICY
                headers["x-frame-options"] = "DENY"
            await send(message)

        await self._app(scope, receive, with_policy)


def application() -> ASGIApp:
    """The server, for uvicorn to run. Password, CORS and CSRF protection come from the environment that `up` gives."""
    app = create_app(final=True)
    app.add_middleware(BusyMiddleware)
    app.add_middleware(PolicyMiddleware)
    # against DNS rebinding: a foreign name that resolves to this machine is refused
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))
    return app
