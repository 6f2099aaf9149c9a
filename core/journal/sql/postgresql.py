"""Connections to PostgreSQL that do not wait for ever, on either side of a network that has gone silent."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg
from sqlalchemy import Engine, event

ANSWER_SECONDS = 20.0
"""How long the server may take to answer a statement; a commit on a busy disk takes a few of them."""

SESSION = {
    # a server may have turned it off, and then answers before the commit is on its disk
    "synchronous_commit": "on",
    # else it would keep the session of a client that is gone, and with it the account, for two hours
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""What the server keeps to in each of our sessions."""


def session_options() -> str:
    """`SESSION` as the connection option that sets it."""
    return " ".join(f"-c {name}={value}" for name, value in SESSION.items())


def bound_answers(engine: Engine) -> None:
    """Have each wait of the engine for an answer end after `ANSWER_SECONDS`, with an OperationalError.

    TCP alone may wait for hours, and where something between acknowledges what nobody answers, for ever.
    """

    def connect(_dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> _Connection:
        return _Connection.connect(*arguments, **options)

    event.listen(engine, "do_connect", connect)


class _Connection(psycopg.Connection[Any]):
    """A connection that closes when it gets no answer: what became of the statement is not known then."""

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
        return super().wait(self._within(gen, ANSWER_SECONDS), *arguments, **options)

    def _within(self, gen: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
        """`gen`, which psycopg sends what the socket is ready for: nothing (0), some times a second, while it waits."""
        last = time.monotonic() + seconds
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() >= last:
                    self.close()
                    raise psycopg.OperationalError(f"the server has not answered for {seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
