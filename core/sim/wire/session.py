"""The session itself: the handshake both ways, the accounts and ids of a client, the time, and errors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from core.model import NEW_YORK
from core.sim.wire.fields import Fields, WireError, epoch

SERVER_VERSION = 178  # the newest that ib_async offers; a gateway answers the highest version both sides know
API_PREFIX = b"API\0"
HANDSHAKE_LIMIT = 256
SYSTEM = -1  # the id of an error that is about no request: connectivity, data farms

_VERSIONS = re.compile(rb"v([0-9]{1,5})\.\.([0-9]{1,5})(?: ([\x20-\x7e]*))?")


class HandshakeMalformed(WireError):
    """First bytes that no client of the protocol sends."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """The protocol versions that a client offers, and its connect options."""

    lowest: int
    highest: int
    options: str = ""


def read_handshake(received: bytes) -> tuple[Handshake, bytes] | None:
    """The handshake that a client's bytes begin with and the bytes after it; None while it is incomplete.

    Raises HandshakeMalformed as soon as no further byte could make it one.
    """
    if not API_PREFIX.startswith(received[:4]):
        raise HandshakeMalformed(f"a client begins with {API_PREFIX!r}, not {received[:4]!r}")
    if len(received) < 8:
        return None
    length = int.from_bytes(received[4:8], "big")
    if length > HANDSHAKE_LIMIT:
        raise HandshakeMalformed(f"a handshake of {length} bytes")
    if len(received) < 8 + length:
        return None
    offered, remaining = received[8 : 8 + length], received[8 + length :]
    match = _VERSIONS.fullmatch(offered)
    if match is None:
        raise HandshakeMalformed(f"versions are offered as v100..178, not {offered!r}")
    return Handshake(int(match[1]), int(match[2]), (match[3] or b"").decode("ascii")), remaining


def server_version(at: datetime, version: int = SERVER_VERSION) -> Fields:
    """The server's handshake: the version spoken from here on, and since when the session is open."""
    return str(version), f"{at.astimezone(NEW_YORK):%Y%m%d %H:%M:%S %Z}"


def managed_accounts(accounts: Iterable[str]) -> Fields:
    """The accounts of the user (15)."""
    return "15", "1", ",".join(accounts)


def next_valid_id(order_id: int) -> Fields:
    """The first order id that the client may use (9)."""
    return "9", "1", str(order_id)


def current_time(at: datetime) -> Fields:
    """The time at the broker (49)."""
    return "49", "1", epoch(at)


def error(subject_id: int, code: int, text: str) -> Fields:
    """An error or a notice (4) on a request or an order; `SYSTEM` as the subject is everybody's."""
    # the last field is advancedOrderRejectJson
    return "4", "2", str(subject_id), str(code), text, ""
