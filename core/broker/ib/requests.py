"""Requests that were sent and have not been answered in full."""

from __future__ import annotations

import asyncio

from core.broker.error_codes import NO_CONTRACT, NOT_READABLE, NOT_VALID
from core.broker.ib.messages import LISTS, Key, Message
from core.errors import PacingExceeded

# the request itself was refused: no part of its answer follows
REFUSALS = (NO_CONTRACT, NOT_READABLE, NOT_VALID)


class RequestRefused(Exception):
    """The broker answered a request with an error; what its code means depends on the request."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"{text} ({code})")


class RequestInterrupted(Exception):
    """The connection ended before the answer was complete."""


class PendingRequests:
    """The answers under way, each a list of messages until it is complete.

    The API has no id for the lists of the account, positions and orders: only one of each may be under way at a time,
    and one that did not end cannot be distinguished from the next.
    """

    def __init__(self) -> None:
        self._answers: dict[Key, asyncio.Future[list[Message]]] = {}
        self._rows: dict[Key, list[Message]] = {}
        self._abandoned: set[Key] = set()
        self._unfinished: set[Key] = set()

    def begin(self, key: Key) -> asyncio.Future[list[Message]]:
        """The answer to come, as a future list of messages."""
        self._rows[key] = []
        self._answers[key] = asyncio.get_running_loop().create_future()
        return self._answers[key]

    def forget(self, key: Key) -> None:
        """Give up waiting for this answer; messages of it that come late are ignored."""
        self._rows.pop(key, None)
        answer = self._answers.pop(key, None)
        if answer and key in LISTS and not _is_over(answer):
            self._unfinished.add(key)
        if answer and not answer.done():
            answer.cancel()
        self._abandoned.add(key)

    def is_under_way(self, key: Key) -> bool:
        return key in self._answers

    def is_abandoned(self, key: Key) -> bool:
        """Whether it was requested once, so that what arrives is a late answer."""
        return key in self._abandoned and key not in self._answers

    def is_unfinished(self, key: Key) -> bool:
        """Whether messages may still arrive that belong to an answer given up before its end."""
        return key in self._unfinished

    def add(self, key: Key, row: Message) -> None:
        """Add a message to the answer, if it was requested."""
        if key in self._rows:
            self._rows[key].append(row)

    def complete(self, key: Key) -> None:
        """The answer is complete."""
        self._unfinished.discard(key)
        answer = self._answers.get(key)
        if answer and not answer.done():
            answer.set_result(list(self._rows[key]))

    def fail(self, key: Key, error: Exception) -> None:
        """End the request without an answer."""
        answer = self._answers.get(key)
        if answer and not answer.done():
            answer.set_exception(error)
            answer.exception()  # the caller may have given up, and asyncio reports an error that nobody retrieves

    def fail_named(self, error: Exception) -> bool:
        """End all requests that have no id without an answer; whether there were any."""
        names = [key for key in self._answers if isinstance(key, str)]
        for name in names:
            self.fail(name, error)
        return bool(names)

    def fail_all(self, error: Exception) -> None:
        """End all requests without an answer."""
        for key in self._answers:
            self.fail(key, error)


def _is_over(answer: asyncio.Future[list[Message]]) -> bool:
    """Whether no message of it will arrive any more: it is complete, or the request itself was refused."""
    if not answer.done() or answer.cancelled():
        return False
    error = answer.exception()
    is_refused = isinstance(error, RequestRefused) and error.code in REFUSALS
    return error is None or is_refused or isinstance(error, PacingExceeded)
