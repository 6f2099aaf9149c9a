"""The real client library at the wire: the bytes that it sends, and what it makes of the bytes that it gets."""

from __future__ import annotations

import logging
from datetime import UTC
from typing import Any

from ib_async.client import Client

from core.sim.wire.fields import Fields
from core.sim.wire.frames import Unframer, frame
from core.sim.wire.session import SERVER_VERSION


class TwsClient:
    """An unmodified client without a socket; what it decodes is kept as calls, and what it logs as an error fails."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.defaultTimezone = UTC
        self.client = Client(self)
        self.client.connState = Client.CONNECTED
        self.client._apiReady = True
        self.client._serverVersion = self.client.decoder.serverVersion = SERVER_VERSION
        self.client.sendMsg = lambda text: self.sent.append(self.client._prefix(text.encode()))
        self.client.clientId = 7

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "tcp")):
            raise AttributeError(name)
        return lambda *args: self.calls.append((name, args))

    def request(self, method: str, *args: Any) -> Fields:
        """The fields that a request leaves with."""
        getattr(self.client, method)(*args)
        (fields,) = Unframer().feed(self.sent.pop())
        return fields

    def receive(self, *answers: Fields) -> list[tuple[str, tuple[Any, ...]]]:
        """The calls that the answers make, which the client takes without logging an error."""
        self.calls.clear()
        handler, logger = _Refuse(logging.WARNING), logging.getLogger("ib_async")
        logger.addHandler(handler)
        try:
            self.client._onSocketHasData(b"".join(frame(answer) for answer in answers))
        finally:
            logger.removeHandler(handler)
        return list(self.calls)


class _Refuse(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())
