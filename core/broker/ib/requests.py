"""What was asked and not answered yet."""

from __future__ import annotations

import asyncio

from core.broker.ib.messages import LISTS, Key, Message
from core.errors import PacingExceeded

# no contract, not readable, not valid
REFUSALS = (200, 320, 321)


class RequestRefused(Exception):
    """The broker answered a request with an error, by whose code its caller knows what that means."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"{text} ({code})")


class ConnectionGone(Exception):
    """The connection ended before the answer was complete."""


class Requests:
    """The answers under way, each a list of words until its end comes."""

    def __init__(self) -> None:
        self._answers: dict[Key, asyncio.Future[list[Message]]] = {}
        self._rows: dict[Key, list[Message]] = {}
        self._given_up: set[Key] = set()
        self._unfinished: set[Key] = set()

    def begin(self, key: Key) -> asyncio.Future[list[Message]]:
        """The answer to come."""
        self._rows[key] = []
        self._answers[key] = asyncio.get_running_loop().create_future()
        return self._answers[key]

    def forget(self, key: Key) -> None:
        """Whatever comes still is no answer any more."""
        self._rows.pop(key, None)
        answer = self._answers.pop(key, None)
        if answer and key in LISTS and not _is_over(answer):
            self._unfinished.add(key)
        if answer and not answer.done():
            answer.cancel()
        self._given_up.add(key)

    def is_under_way(self, key: Key) -> bool:
        return key in self._answers

    def is_given_up(self, key: Key) -> bool:
        """Whether it was asked for once, so that what comes is a late answer."""
        return key in self._given_up and key not in self._answers

    def is_unfinished(self, key: Key) -> bool:
        """Whether what comes may still be the rest of an answer that was given up."""
        return key in self._unfinished

    def add(self, key: Key, row: Message) -> None:
        """A part of the answer, if it was asked for."""
        if key in self._rows:
            self._rows[key].append(row)

    def end(self, key: Key) -> None:
        """The answer is complete."""
        self._unfinished.discard(key)
        answer = self._answers.get(key)
        if answer and not answer.done():
            answer.set_result(list(self._rows[key]))

    def fail(self, key: Key, error: Exception) -> None:
        """There will be no answer."""
        answer = self._answers.get(key)
        if answer and not answer.done():
            answer.set_exception(error)
            answer.exception()  # its asker may have given up in the same moment

    def fail_named(self, error: Exception) -> bool:
        """There will be no answer to the requests that have no id; whether there were any."""
        names = [key for key in self._answers if isinstance(key, str)]
        for name in names:
            self.fail(name, error)
        return bool(names)

    def fail_all(self, error: Exception) -> None:
        """There will be no answer to anything."""
        for key in self._answers:
            self.fail(key, error)


def _is_over(answer: asyncio.Future[list[Message]]) -> bool:
    """Whether nothing of it will come any more: it is complete, or its request was refused as such."""
    if not answer.done() or answer.cancelled():
        return False
    error = answer.exception()
    is_refused = isinstance(error, RequestRefused) and error.code in REFUSALS
    return error is None or is_refused or isinstance(error, PacingExceeded)
