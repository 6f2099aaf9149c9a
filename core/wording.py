"""Words that every fault message shares: how a value found is shown, and which name was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN_LENGTH = 60


def visible(text: str) -> str:
    r"""The text on one line, in visible ASCII: hidden and look-alike characters stand as escapes, long text is cut.

    >>> visible("VT\u0406"), visible("")
    ('VT\\u0406', '(empty)')
    """
    if not text:
        return "(empty)"
    cut = text[:SHOWN_LENGTH]
    plain = "".join(char if " " <= char <= "~" else char.encode("unicode_escape").decode("ascii") for char in cut)
    return plain + ("..." if len(text) > SHOWN_LENGTH else "")


def counted(number: int, noun: str) -> str:
    """The number with its noun in the right form.

    >>> counted(1, "order"), counted(2, "order")
    ('1 order', '2 orders')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`; None when none is near.

    >>> nearest("min_order", ["max_leverage", "min_order_usd"])
    'min_order_usd'
    """
    return next(iter(get_close_matches(name, list(known), n=1)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or the empty text when no known name is near."""
    meant = nearest(name, known)
    return f"; did you mean {meant}?" if meant else ""


def without_password(url: str) -> str:
    """The URL with whatever stands before an `@`, and everything after a `?`, left out.

    >>> without_password("postgresql://ann:pw@db/journal?sslpassword=x")
    'postgresql://***@db/journal?***'
    """
    before, mark, after = url.partition("://")
    scheme, rest = (before + mark, after) if mark else ("", url)
    _, at, host = rest.rpartition("@")
    place, query, _ = host.partition("?")
    return scheme + ("***@" if at else "") + place + ("?***" if query else "")
