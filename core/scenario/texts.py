"""The texts of a scenario file by kind: each reads one text, or refuses it with the reason.

The loader returns texts only, so a symbol is never taken for a number or a truth value. A key with nothing, `~` or
`null` after it counts as absent, except a symbol, which may be called NULL.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticUseDefault

from core.model import Currency, SecurityType, Symbol
from core.money import ONE, ZERO, D
from core.sim.venue.world import ORDER_POINT, Point
from core.yaml_file import SCALARS, SHOWN, RefusedValue, is_absent, name_of, one_of, text_of

T = TypeVar("T")

# YAML's text for not a number: a price that the market does not have
NOT_A_NUMBER = frozenset({".nan", "nan"})
YES = frozenset({"yes", "true", "on"})
NO = frozenset({"no", "false", "off"})
YEARS = range(1970, 2200)
CURRENCIES = ("USD", "CAD")
TYPES = {"ETF": SecurityType.ETF, "STK": SecurityType.STOCK, "CASH": SecurityType.CASH}
# IBKR's names of types that are neither traded nor distinguished here: all become OTHER
OTHER_TYPES = frozenset({"BILL", "BOND", "CFD", "CMDTY", "CRYPTO", "FOP", "FUND", "FUT", "IND", "OPT", "WAR"})
LONGEST_DELAY = Decimal(1_000_000)


class Confirm(StrEnum):
    """What the scripted approver does: approves, rejects, or lets the time-out pass."""

    YES = "yes"
    NO = "no"
    TIMEOUT = "timeout"


def symbol_of(text: str) -> Symbol:
    """The symbol as the account and the market know it: trimmed, in upper case."""
    return Symbol(text.strip().upper())


def number_of(text: str) -> Decimal | None:
    """The number; None for nothing and for `.nan`. Raises ValueError for any other text."""
    if is_absent(text) or text.lower() in NOT_A_NUMBER:
        return None
    try:
        return D(text)
    except ValueError:
        raise ValueError(f"{text[:SHOWN]!r} is not a number") from None


def _number(value: object) -> Decimal:
    """The number, or the key's default for `.nan`."""
    found = number_of(text_of(value))
    if found is None:
        # None would be a value, and replace a default that is not None
        raise PydanticUseDefault
    return found


def _needed(value: object) -> Decimal:
    found = number_of("" if value is None else text_of(value))
    if found is None:
        raise ValueError("is missing")
    return found


def _flag(value: object) -> bool:
    text = text_of(value).lower()
    if text not in YES | NO:
        raise ValueError(f"{text[:SHOWN]!r} is not yes or no")
    return text in YES


def _confirm(value: object) -> Confirm:
    text = text_of(value).lower()
    if text in YES | NO:
        return Confirm.YES if text in YES else Confirm.NO
    found: Confirm = one_of(*Confirm)(value)
    return found


def _currency(value: object) -> Currency:
    text = text_of(value)
    if text.upper() not in CURRENCIES:
        raise ValueError(f"{text[:SHOWN]!r} is not one of {', '.join(CURRENCIES)}")
    return Currency(text.upper())


def _security_type(value: object) -> SecurityType:
    text = text_of(value).upper()
    if text in OTHER_TYPES:
        return SecurityType.OTHER
    if text not in TYPES:
        raise ValueError(f"{text[:SHOWN]!r} is not one of {', '.join([*TYPES, *sorted(OTHER_TYPES)])}")
    return TYPES[text]


def _moment(value: object) -> datetime:
    text = text_of(value)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:SHOWN]!r} is not a time such as 2026-03-02T15:30:00-05:00") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset from UTC, as in 2026-03-02T15:30:00-05:00")
    if moment.year not in YEARS:
        raise ValueError(f"the year must be {YEARS.start} to {YEARS.stop - 1}")
    return moment.astimezone(UTC)


def _fault_point(value: object) -> str:
    """A point of the run, or `order:` and a symbol."""
    text = text_of(value)
    if text.startswith(ORDER_POINT):
        return ORDER_POINT + symbol_of(text.removeprefix(ORDER_POINT))
    found: Point = one_of(*Point)(value)
    return found


def _within(least: Decimal, most: Decimal | None = None) -> AfterValidator:
    wanted = f"at least {least}" + ("" if most is None else f" and at most {most}")

    def check(number: Decimal) -> Decimal:
        if number < least or (most is not None and number > most):
            raise ValueError(f"{number} must be {wanted}")
        return number

    return AfterValidator(check)


def _above_zero(number: Decimal) -> Decimal:
    if number <= ZERO:
        raise ValueError(f"{number} must be above 0")
    return number


def _once_each(value: object) -> object:
    """A mapping by symbol in which a second entry of a symbol is a fault at its place."""
    if is_absent(value):
        return {}
    if not isinstance(value, dict):
        return value
    seen: set[Symbol] = set()
    once = {}
    for key, each in value.items():
        once[key] = RefusedValue("appears here twice") if symbol_of(key) in seen else each
        seen.add(symbol_of(key))
    return once


def positions_once(value: object) -> object:
    """A list of positions in which the second of a symbol is a fault at its place."""
    if not isinstance(value, list):
        return value
    seen: set[Symbol] = set()
    once: list[object] = []
    for each in value:
        text = each.get("symbol") if isinstance(each, dict) else None
        symbol = symbol_of(text) if isinstance(text, str) else Symbol("")
        once.append(RefusedValue(f"{symbol} appears here twice") if symbol and symbol in seen else each)
        seen.add(symbol)
    return once


def _or_empty(value: object) -> object:
    return {} if is_absent(value) else value


def _cash(value: object) -> Decimal:
    return number_of("" if value is None else text_of(value)) or ZERO


NUMBER = {"type": ["number", "string"]}

Cell = Annotated[
    str, BeforeValidator(lambda value: text_of("" if value is None else value)), WithJsonSchema({"type": SCALARS})
]
SymbolName = Annotated[Symbol, BeforeValidator(name_of), AfterValidator(symbol_of)]
SymbolKey = Annotated[Symbol, AfterValidator(symbol_of)]
Number = Annotated[Decimal, BeforeValidator(_number), WithJsonSchema(NUMBER)]
Needed = Annotated[Decimal, BeforeValidator(_needed), WithJsonSchema(NUMBER)]
NotNegative = Annotated[Number, _within(ZERO), WithJsonSchema(NUMBER | {"minimum": 0})]
Delay = Annotated[Number, _within(ZERO, LONGEST_DELAY), WithJsonSchema(NUMBER | {"minimum": 0, "maximum": 1_000_000})]
Part = Annotated[Number, _within(ZERO, ONE), WithJsonSchema(NUMBER | {"minimum": 0, "maximum": 1})]
AboveZero = Annotated[Number, AfterValidator(_above_zero), WithJsonSchema(NUMBER | {"exclusiveMinimum": 0})]
Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"enum": [True, False, *sorted(YES | NO)]})]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Answer = Annotated[
    Confirm, BeforeValidator(_confirm), WithJsonSchema({"enum": [True, False, *sorted(YES | NO), Confirm.TIMEOUT]})
]
CurrencyName = Annotated[Currency, BeforeValidator(_currency), WithJsonSchema({"enum": list(CURRENCIES)})]
SecurityTypeName = Annotated[
    SecurityType, BeforeValidator(_security_type), WithJsonSchema({"enum": [*TYPES, *sorted(OTHER_TYPES)]})
]
FaultPoint = Annotated[
    str,
    BeforeValidator(_fault_point),
    WithJsonSchema({"anyOf": [{"enum": list(Point)}, {"type": "string", "pattern": f"^{ORDER_POINT}"}]}),
]
Cash = Annotated[
    dict[CurrencyName, Annotated[Decimal, BeforeValidator(_cash), WithJsonSchema(NUMBER)]], BeforeValidator(_or_empty)
]
BySymbol = Annotated[dict[SymbolKey, T], BeforeValidator(_once_each)]
