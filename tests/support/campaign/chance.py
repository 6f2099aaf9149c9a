"""Seeded choices in exact decimals."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import TypeVar

from core.money import D

T = TypeVar("T")


class Chance:
    """Everything a case leaves to chance; the same seed gives the same case, on every machine."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)

    def happens(self, percent: int) -> bool:
        return self._random.randrange(100) < percent

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends possible."""
        return self._random.randint(low, high)

    def number(self, low: str, high: str, places: int = 4) -> Decimal:
        """A number with so many decimals, every one between the ends as likely."""
        unit = 10**places
        return D(self.whole(int(D(low) * unit), int(D(high) * unit))) / unit

    def scale(self, low: int, high: int) -> Decimal:
        """A whole number for which 10 to 20 is as likely as 100 to 200."""
        bits = self.number(str(D(low).ln()), str(D(high).ln()))
        return bits.exp().quantize(D(1))

    def one_of(self, *options: T) -> T:
        return self._random.choice(options)

    def some(self, options: Sequence[T], count: int) -> list[T]:
        return self._random.sample(options, min(count, len(options)))

    def shares_of(self, total: Decimal, count: int) -> list[Decimal]:
        """`total` cut into so many parts above 0, with 4 decimals; they sum to it or a little less."""
        parts = [self.whole(1, 100) for _ in range(count)]
        return [(total * part / sum(parts)).quantize(D("0.0001"), rounding="ROUND_FLOOR") for part in parts]
