"""The contents of fields: text, numbers, flags and times, read strictly and written exactly.

Reading is total: any fields give values or a WireError. ::

    WireError
    ├── FieldMissing        a message ends too early
    ├── FieldMalformed      a field does not hold what it must
    ├── FrameTooLong        a length above the limit (frames)
    ├── FrameMalformed      no fields in a frame, or the last one without its end (frames)
    └── HandshakeMalformed  the first bytes of a client are not the protocol's (session)
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from core.model import NEW_YORK
from core.money import ZERO
from core.sim.venue.sessions import GATEWAY_ZONE

Fields = tuple[str, ...]

UNSET_FLOAT = "1.7976931348623157E308"
UNSET_INTEGER = "2147483647"
UNSET_LONG = "9223372036854775807"
UNSET_DECIMAL = "170141183460469231731687303715884105727"
INFINITY = Decimal("Infinity")

_UNSET = frozenset({"", UNSET_INTEGER, UNSET_LONG, UNSET_DECIMAL, UNSET_FLOAT.lower(), "1.7976931348623157e+308"})
_INFINITE = frozenset({"infinite", "infinity"})
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_DECIMAL = re.compile(r"-?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_MAGNITUDE = 15  # powers of ten, up and down, within which prices, quantities and amounts of money stay
_DIGITS = 20  # more than any float's text has, and few enough that products stay exact


class WireError(Exception):
    """Bytes or fields that the protocol does not allow."""


class FieldMissing(WireError):
    """A message with fewer fields than its kind has."""


class FieldMalformed(WireError):
    """A field that does not hold the number, flag or text that it must."""


class Cursor:
    """The fields of one message, read from left to right; raises nothing but WireError."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._at = 0

    def text(self) -> str:
        """The next field as it is."""
        if self._at >= len(self._fields):
            raise FieldMissing(f"the message ends after {len(self._fields)} fields")
        self._at += 1
        return self._fields[self._at - 1]

    def integer(self) -> int | None:
        """The next field as an integer; None for every spelling of a value that was not set."""
        text = self.text()
        if text.lower() in _UNSET:
            return None
        # a pattern, for int() takes underscores, blanks and digits of other scripts
        if not _INTEGER.fullmatch(text):
            raise self._malformed("an integer", text)
        return int(text)

    def identifier(self) -> int:
        """The next field as an integer that must be there."""
        number = self.integer()
        if number is None:
            raise self._malformed("an integer that must be set", "")
        return number

    def decimal(self) -> Decimal | None:
        """The next field as a finite number of a sensible magnitude; None for every spelling of not set."""
        number = self.offset()
        if number is not None and not number.is_finite():
            raise self._malformed("a finite number", str(number))
        return number

    def offset(self) -> Decimal | None:
        """As `decimal`, but infinity has a meaning here: an offset up to the midpoint."""
        text = self.text()
        if text.lower() in _UNSET:
            return None
        if text.lower() in _INFINITE:
            return INFINITY
        if not _DECIMAL.fullmatch(text):
            raise self._malformed("a number", text)
        number = Decimal(text)
        if number and (abs(number.adjusted()) > _MAGNITUDE or len(number.as_tuple().digits) > _DIGITS):
            raise self._malformed(f"a number within 1e±{_MAGNITUDE} of at most {_DIGITS} digits", text)
        return number or ZERO

    def flag(self) -> bool:
        """The next field as yes (1) or no (0, or not set)."""
        number = self.integer()
        if number not in (None, 0, 1):
            raise self._malformed("0 or 1", str(number))
        return number == 1

    def count(self) -> int:
        """The next field as how many things follow; not set is none."""
        number = self.integer() or 0
        # bounded by what is there: a count of 2147483647 must not become a loop
        if not 0 <= number <= len(self._fields) - self._at:
            raise self._malformed("a number of things that follow", str(number))
        return number

    def skip(self, number: int = 1) -> None:
        """Pass over so many fields, which must be there."""
        for _ in range(number):
            self.text()

    def remaining(self) -> Fields:
        """All that was not read yet."""
        left = self._fields[self._at :]
        self._at = len(self._fields)
        return left

    def finish(self) -> None:
        """Raises FieldMalformed when there are fields after the last one of the message's kind."""
        if self._at < len(self._fields):
            raise FieldMalformed(f"{len(self._fields)} fields where {self._at} are expected")

    def _malformed(self, expected: str, text: str) -> FieldMalformed:
        return FieldMalformed(f"field {self._at - 1} must be {expected}, not {text[:40]!r}")


def number(value: Decimal | int | None) -> str:
    """The exact text of a number, never with an exponent; empty for None.

    >>> number(Decimal("1E+2")), number(Decimal("0.00005")), number(None)
    ('100', '0.00005', '')
    """
    if value is None:
        return ""
    if isinstance(value, Decimal) and not value.is_finite():
        raise FieldMalformed(f"{value} is no number to send")
    return f"{Decimal(value):f}" if value else "0"


def number_or_unset(value: Decimal | None) -> str:
    """The exact text of a number, or the sentinel of a float that is not set."""
    return UNSET_FLOAT if value is None else number(value)


def flag(value: object) -> str:
    """`1` for anything true, else `0`; never `true` or `false`."""
    return "1" if value else "0"


def epoch(at: datetime) -> str:
    """Whole seconds since 1970."""
    return str(int(at.timestamp() // 1))


def epoch_rounded_up(at: datetime) -> str:
    """Seconds since 1970, rounded up: a quote is never shown older than it is."""
    return str(-int(-at.timestamp() // 1))


def venue_time(at: datetime) -> str:
    """An instant as the venue writes it: `20260413 15:27:04 US/Eastern`."""
    return f"{at.astimezone(NEW_YORK):%Y%m%d %H:%M:%S} {GATEWAY_ZONE}"


def time_of_day(at: datetime) -> str:
    """Hours and minutes at the venue, as `15:27`."""
    return f"{at.astimezone(NEW_YORK):%H:%M}"
