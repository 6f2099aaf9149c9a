"""Text that all messages share: how a value is shown, and which name was probably meant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path

SHOWN_LENGTH = 60
# the next steps of files that a person wrote
CORRECT_FILE = "correct it and start again"
NO_FILE = "name the right file, or write one with `rebalance init`"
# as SQLAlchemy and the drivers read it: after the user's name, or among the parameters
CREDENTIALS_IN_URL = r"://[^:/]*:[^@]+@|[?&][a-z]*password="


def visible(text: str) -> str:
    r"""The text on one line, in visible ASCII: hidden and look-alike characters are escaped, long text is truncated.

    >>> visible("VT\u0406"), visible("")
    ('VT\\u0406', '(empty)')
    """
    if not text:
        return "(empty)"
    start = text[:SHOWN_LENGTH]
    plain = "".join(char if " " <= char <= "~" else char.encode("unicode_escape").decode("ascii") for char in start)
    return plain + ("..." if len(text) > SHOWN_LENGTH else "")


def price_text(price: Decimal) -> str:
    """A price in plain digits, at least two of them a fraction and no needless zero after those.

    >>> [price_text(Decimal(each)) for each in ("100.0050", "99.5", "250")]
    ['100.005', '99.50', '250.00']
    """
    whole, _, fraction = f"{price:f}".partition(".")
    return f"{whole}.{fraction.rstrip('0'):0<2}"


def age_text(age: timedelta) -> str:
    """How old something is, in the unit that reads best.

    >>> [age_text(timedelta(seconds=each)) for each in (10.5, 61, 158_401, 864_000)]
    ['10.5 s', '1 min', '44 h', '10 days']
    """
    seconds = age.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    return f"{seconds // 3600:.0f} h" if seconds < 48 * 3600 else f"{age.days} days"


def counted(number: int, noun: str) -> str:
    """The number with its noun in the right form.

    >>> counted(1, "order"), counted(2, "order")
    ('1 order', '2 orders')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, in any case of letters; None when none is similar.

    >>> nearest("min_order", ["max_leverage", "min_order_usd"]), nearest("[IBKR]", ["[ibkr]", "[io]"])
    ('min_order_usd', '[ibkr]')
    """
    by_small = {each.lower(): each for each in known}
    return next((by_small[each] for each in get_close_matches(name.lower(), by_small, n=1)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or "" when no known name is similar."""
    meant = nearest(name, known)
    return f"; did you mean {meant}?" if meant else ""


def with_ini(command: str, ini: str | Path | None = None) -> str:
    """The command as it is typed, with the settings file that it needs; FILE where that is not known.

    >>> with_ini("rebalance go", "my files/settings.ini"), with_ini("rebalance go")
    ("rebalance go --ini 'my files/settings.ini'", 'rebalance go --ini FILE')
    """
    return f"{command} --ini {shlex.quote(str(ini)) if ini else 'FILE'}"


def without_password(url: str) -> str:
    """The URL with whatever stands before an `@`, and everything after a `?`, left out.

    >>> without_password("postgresql://ann:pw@db/journal?sslpassword=x")
    'postgresql://***@db/journal?***'
    """
    before, mark, after = url.partition("://")
    scheme, address = (before + mark, after) if mark else ("", url)
    _, at, host = address.rpartition("@")
    place, query, _ = host.partition("?")
    return scheme + ("***@" if at else "") + place + ("?***" if query else "")


def holds_password(url: str) -> bool:
    """Whether there is a password in the URL.

    >>> holds_password("postgresql://ann:pw@db/journal"), holds_password("postgresql://ann@db:5432/journal")
    (True, False)
    """
    return re.search(CREDENTIALS_IN_URL, url) is not None
