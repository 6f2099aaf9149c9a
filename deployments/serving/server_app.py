"""The Prefect server of `rebalance up`, closed to web pages of others that are open in the operator's browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.server.api.server import create_app
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
# The page talks to its own server only (one of Prefect's two user interfaces would report its use to a third party),
# and no other page may frame it and lay something over its buttons.
POLICY = "connect-src 'self' ws://127.0.0.1:* ws://localhost:*; img-src 'self' data: blob:; frame-ancestors 'none'"


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
    app.add_middleware(PolicyMiddleware)
    # against DNS rebinding: a foreign name that resolves to this machine is refused
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))
    return app
