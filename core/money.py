"""Exact amounts: the one Decimal constructor, the one rounding code, and money that knows its currency.

Prices, money, weights and shares are ``Decimal`` from the CSV to the wire. Values are carried at
full length and divided last; the name of a rounding function is its direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    InvalidOperation,
)

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)
BPS = Decimal(10_000)
CENT = Decimal("0.01")
WHOLE_SHARE = ONE
FRACTION_OF_SHARE = Decimal("0.0001")


def D(value: str | int | Decimal) -> Decimal:  # noqa: N802 - the field's habit for the one Decimal constructor
    """The finite Decimal that `value` writes; never from a float, whose repr hides an error.

    Raises ValueError for anything that is not a finite plain number.

    >>> D("0.10") + D(1)
    Decimal('1.10')
    """
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"not a number: {value!r}") from None
    if not number.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    return number


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`.

    >>> floor_to(D("10.07"), D("0.05"))
    Decimal('10.05')
    """
    if step is ONE:
        return value.to_integral_value(ROUND_FLOOR)
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`.

    >>> ceil_to(D("10.01"), D("0.05"))
    Decimal('10.05')
    """
    if step is ONE:
        return value.to_integral_value(ROUND_CEILING)
    return (value / step).to_integral_value(ROUND_CEILING) * step


def nearest_to_low(value: Decimal, step: Decimal) -> Decimal:
    """The multiple of `step` nearest to a `value` ≥ 0; a tie goes to the lower one.

    >>> nearest_to_low(D("2.5"), D(1))
    Decimal('2')
    """
    if step is ONE:
        return value.to_integral_value(ROUND_HALF_DOWN)
    return (value / step).to_integral_value(ROUND_HALF_DOWN) * step


def plain(number: Decimal) -> str:
    """`number` in digits, without an exponent and without zeros at the end of a fraction.

    >>> plain(D("100.50")), plain(D("100.00")), plain(D("1E+2"))
    ('100.5', '100', '100')
    """
    text = str(number)
    if "E" in text:
        text = f"{number:f}"  # several times slower than str
    if "." not in text:
        return text
    text = text.rstrip("0")
    return text[:-1] if text[-1] == "." else text


def digits(number: Decimal) -> str:
    """As `plain`, but a fraction has at least two digits, as prices do.

    >>> digits(D("100.0050")), digits(D("99.5")), digits(D("10.00"))
    ('100.005', '99.50', '10')
    """
    text = plain(number)
    return f"{text}0" if text[-2:-1] == "." else text


# wide enough for any amount a report may meet; the default 28 digits would refuse to round the largest
_DISPLAY = Context(prec=60, rounding=ROUND_HALF_EVEN)


def shown(value: Decimal, places: int) -> Decimal:
    """`value` with exactly `places` decimals for a reader's eyes, half to even, never −0; not for arithmetic.

    >>> shown(D("0.125"), 2), shown(D("-0.001"), 2)
    (Decimal('0.12'), Decimal('0.00'))
    """
    rounded = value.quantize(ONE.scaleb(-places), context=_DISPLAY)
    return rounded or abs(rounded)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency; adding another currency raises ValueError instead of giving a wrong sum."""

    amount: Decimal
    currency: str

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.currency)

    def _same(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise ValueError(f"{other.currency} cannot be added to {self.currency} unconverted")
        return other.amount
