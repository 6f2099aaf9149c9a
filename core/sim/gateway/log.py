"""The messages on the wire, in order, and notes of what the gateway did: tests check against them."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

KEPT_CHARACTERS = 50_000_000  # about 50 MB: enough for a long campaign, and a bound for a flood of messages
OVERHEAD = 100


class Direction(StrEnum):
    """Whether a message came from the client, went to it, or is a note of the gateway's own."""

    IN = "in"
    OUT = "out"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line: `message` is the message's name, or what happened for a note; `client` is −1 before startApi."""

    at: datetime
    connection: int
    client: int
    direction: Direction
    message: str
    fields: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """About how many characters it costs to keep."""
        return OVERHEAD + len(self.fields) + sum(map(len, self.fields))

    def line(self) -> str:
        """The entry as a line of JSON."""
        values = {
            "t": self.at.isoformat(timespec="microseconds"),
            "connection": self.connection,
            "client": self.client,
            "dir": self.direction,
            "message": self.message,
            "fields": self.fields,
        }
        return json.dumps(values, ensure_ascii=True)


class MessageLog:
    """The newest entries in order, up to a size; `on_entry`, when there is one, is given every entry as it is made."""

    def __init__(
        self, on_entry: Callable[[LogEntry], None] | None = None, kept_characters: int = KEPT_CHARACTERS
    ) -> None:
        self.on_entry = on_entry
        self._entries: deque[LogEntry] = deque()
        self._left = kept_characters

    def __iter__(self) -> Iterator[LogEntry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: LogEntry) -> None:
        self._entries.append(entry)
        self._left -= entry.size
        while self._left < 0:
            self._left += self._entries.popleft().size
        if self.on_entry:
            self.on_entry(entry)

    def lines(self) -> Iterator[str]:
        """Every entry as a line of JSON."""
        return (entry.line() for entry in self._entries)

    def names(self, direction: Direction) -> list[str]:
        """The messages that went this way, or the notes, in order."""
        return [entry.message for entry in self._entries if entry.direction is direction]
