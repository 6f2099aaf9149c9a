"""Frames: a length (4 bytes, big-endian) and that many bytes, which are fields, each ended by a NUL.

Reading is total: any bytes give messages or a WireError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from core.sim.wire.fields import FieldMalformed, Fields, WireError

FRAME_LIMIT = 0x10000


class FrameTooLong(WireError):
    """A length above the limit; it is refused before anything of it is kept."""


class FrameMalformed(WireError):
    """A frame that holds no fields, or whose last field has no end."""


def frame(fields: Iterable[str]) -> bytes:
    r"""The frame of the fields, other than ASCII as backslash escapes. Raises FieldMalformed for a NUL within a field.

    >>> frame(("9", "1", "7"))
    b'\x00\x00\x00\x069\x001\x007\x00'
    """
    payload = b"".join(_field(text) for text in fields)
    return len(payload).to_bytes(4, "big") + payload


def _field(text: str) -> bytes:
    if "\0" in text:
        raise FieldMalformed(f"a field may not hold a NUL: {text!r}")
    return text.encode("ascii", "backslashreplace") + b"\0"


class Unframer:
    """The messages of a stream that arrives in segments of any size; it keeps no more than one frame.

    After a WireError the start of the next frame is unknown, so every further call raises that error.
    """

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()
        self._broken: WireError | None = None

    def feed(self, segment: bytes) -> Iterator[Fields]:
        """The messages that the segment completes, in order; to be read to the end before the next segment.

        Raises FrameTooLong or FrameMalformed after the messages before the fault.
        """
        if self._broken is None:
            self._held += segment
        return self._messages()

    def _messages(self) -> Iterator[Fields]:
        while (payload := self._next()) is not None:
            if not payload.endswith(b"\0"):
                raise self._break(FrameMalformed(f"a frame of {len(payload)} bytes does not end with a NUL"))
            # clients send any encoding in names; no byte may raise
            yield tuple(payload[:-1].decode("utf-8", "backslashreplace").split("\0"))

    def _next(self) -> bytes | None:
        if self._broken is not None:
            raise self._broken
        if len(self._held) < 4:
            return None
        length = int.from_bytes(self._held[:4], "big")
        # checked on the length alone, so that a client cannot make us keep what it only promises
        if length > self._limit:
            raise self._break(FrameTooLong(f"a frame of {length} bytes, the limit is {self._limit}"))
        if len(self._held) < 4 + length:
            return None
        payload = bytes(self._held[4 : 4 + length])
        del self._held[: 4 + length]
        return payload

    def _break(self, error: WireError) -> WireError:
        self._broken = error
        self._held.clear()
        return error
