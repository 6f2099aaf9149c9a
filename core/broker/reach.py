"""Whether anybody listens where the gateway should be, found out without becoming a client of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from core.broker.errors import refused_at, unreachable


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
