"""Kinds of values in settings: each reads a text or refuses it, and has a noun for what it accepts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le

from core.masking import Secret
from core.model.types import (
    CAD,
    MODEL_RULE,
    SYMBOL_RULE,
    USD,
    AccountId,
    Currency,
    ModelName,
    Symbol,
    is_model_name,
    is_symbol,
)
from core.money import D

LARGEST = 1_000_000_000  # keeps every time span inside the calendar and every amount inside the decimal context
ROUTE_NOUN = "a conId (digits) or the name of an exchange (A-Z 0-9)"
SYMBOL_NOUN = f"a symbol: {SYMBOL_RULE}"
MODEL_NOUN = f"the name of a model: {MODEL_RULE}"
NONE = ("", "none")
# what configparser accepts, and no more: pydantic's own y and t are too easily a typing error
SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

# no comma, underscore, plus or digit of another script: Decimal accepts some of them, and people read them otherwise
_NUMBER = re.compile(r"-?([0-9]{1,28}(\.[0-9]{0,28})?|\.[0-9]{1,28})([eE][+-]?[0-9]{1,2})?")
_WHOLE = re.compile(r"-?[0-9]{1,28}")
_APPROVER = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
_DATABASE = re.compile(r"sqlite(\+pysqlite)?:///.*[^/]|postgresql(\+psycopg)?://.+")
_BLACKOUT = re.compile(r"(([01][0-9]|2[0-3]):[0-5][0-9])\s*-\s*(([01][0-9]|2[0-3]):[0-5][0-9])", re.ASCII)
# the address is a secret, which http would show to the network, but not on this computer
_WEB = re.compile(r"https://[!-~]+|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?(/[!-~]*)?")


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is written: its noun, for messages and the table of settings, and how its text is read.

    `read` raises ValueError for a text it does not accept, with the reason where the noun alone would not explain it.
    """

    noun: str
    read: Callable[[str], object]

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> dict[str, Any]:
        """pydantic's hook for a type it does not know: the text goes through `read`.

        Such a schema is a plain dictionary, so that nothing of pydantic is imported where the arithmetic can see it.
        """
        return {"type": "function-plain", "function": {"type": "no-info", "function": self.read}}


class Conflict(ValueError):
    """Values that do not go together within a section; `keys` are those concerned, the first one is named."""

    def __init__(self, message: str, *, keys: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.keys = keys


def one_of(*members: StrEnum) -> Kind:
    """A choice between members of an enum, found by their text in any case."""

    def read(text: str) -> StrEnum:
        for member in members:
            if text.isascii() and text.lower() == member.lower():
                return member
        raise ValueError

    return Kind("one of " + ", ".join(members), read)


def is_none(text: str) -> bool:
    """Whether the text of an optional key means that there is no value."""
    return text.lower() in NONE


def read_number(text: str) -> Decimal:
    """The number exactly as written. Raises ValueError unless it is a plain finite one up to 10^9."""
    if not _NUMBER.fullmatch(text):
        raise ValueError
    number = D(text)
    if abs(number) > LARGEST:  # 1e99 is written quickly, and overflows a timedelta
        raise ValueError(f"at most {LARGEST}")
    return number


def read_whole(text: str) -> int:
    """The whole number. Raises ValueError for anything else, 1.0 too."""
    if not _WHOLE.fullmatch(text):
        raise ValueError
    return int(read_number(text))


def read_seconds(text: str) -> float:
    """The seconds; a float, as timers take them. Raises ValueError as read_number does."""
    return float(read_number(text))


def read_switch(text: str) -> bool:
    """True or False. Raises ValueError for a text that is neither."""
    if text.lower() not in SWITCHES:
        raise ValueError
    return SWITCHES[text.lower()]


def read_text(text: str) -> str:
    """The text itself. Raises ValueError when it is empty or holds a control character or a line end."""
    if not text or not text.isprintable():
        raise ValueError
    return text


def read_account(text: str) -> AccountId:
    """The account id in capitals. Raises ValueError unless it is 4-20 letters and digits."""
    if not re.fullmatch(r"[A-Za-z0-9]{4,20}", text):
        raise ValueError
    return AccountId(text.upper())


def read_route(text: str) -> str:
    """A conId or an exchange name in capitals. Raises ValueError for anything else."""
    if not re.fullmatch(r"[A-Za-z0-9]{1,20}", text):
        raise ValueError
    return text.upper()


def read_exchange(text: str) -> str:
    """The name of an exchange in capitals. Raises ValueError for anything else."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,19}", text):
        raise ValueError
    return text.upper()


def read_symbol(text: str) -> Symbol:
    """The symbol. Raises ValueError when it may not be one."""
    if not is_symbol(text):
        raise ValueError
    return Symbol(text)


def read_symbols(text: str) -> tuple[Symbol, ...]:
    """The symbols in capitals, each once, none for `none`. Raises ValueError naming the first that is no symbol."""
    symbols = []
    for item in _items(text):
        symbol = item.upper() if item.isascii() else item
        if not is_symbol(symbol):
            raise ValueError(f"{symbol} is not a symbol" if symbol and symbol.isprintable() else "")
        symbols.append(Symbol(symbol))
    return tuple(dict.fromkeys(symbols))


def read_approvers(text: str) -> tuple[str, ...]:
    """The names in capitals, each once, none for `none`. Raises ValueError naming the first that is no such name."""
    names = [item.upper() if item.isascii() else item for item in _items(text)]
    for name in names:
        if not _APPROVER.fullmatch(name):
            raise ValueError(f"{name} is not such a name" if name and name.isprintable() else "")
    return tuple(dict.fromkeys(names))


def read_model(text: str) -> ModelName:
    """The name of a model. Raises ValueError when it may not be one."""
    if not is_model_name(text):
        raise ValueError
    return ModelName(text)


def read_path(text: str) -> Path:
    """The path, `~` replaced by the home folder. Raises ValueError for no path."""
    try:
        return Path(read_text(text)).expanduser()
    except RuntimeError:
        raise ValueError("there is no such home folder") from None


def read_web_address(text: str) -> Secret:
    """The address, hidden. Raises ValueError unless it is https:// in visible ASCII, or http:// on this computer."""
    if not _WEB.fullmatch(text):
        raise ValueError
    return Secret(text)


def read_database(text: str) -> str:
    """The URL of a database. Raises ValueError unless it is an SQLite file or a database of PostgreSQL."""
    if not (text.isprintable() and _DATABASE.fullmatch(text)):
        raise ValueError
    return text


def _items(text: str) -> list[str]:
    return [] if is_none(text) else [item.strip() for item in text.split(",")]


def read_blackout(text: str) -> tuple[str, ...]:
    """The times of day as `HH:MM-HH:MM`, none for `none`. Raises ValueError naming the first that is no span of time.

    A span may pass midnight; one that ends when it starts is refused, for it could mean nothing or all day.
    """
    spans = []
    for item in _items(text):
        found = _BLACKOUT.fullmatch(item)
        if found is None or found[1] == found[3]:
            raise ValueError(f"{item} is not such a time span" if item.isascii() and item.isprintable() else "")
        spans.append(f"{found[1]}-{found[3]}")
    return tuple(spans)


def read_base_currency(text: str) -> Currency:
    """USD. Raises ValueError for any other currency."""
    if text.upper() != USD:
        raise ValueError
    return USD


def read_funding_currencies(text: str) -> tuple[Currency, ...]:
    """(CAD,). Raises ValueError for any other list."""
    if [item.upper() for item in _items(text)] != [CAD]:
        raise ValueError
    return (CAD,)


PATH = Kind("a path", read_path)
DATABASE = Kind("sqlite:///FILE or postgresql://USER@HOST/NAME", read_database)
SQLITE_FILE = "sqlite:///"
"""What a URL of an SQLite file begins with; a relative path follows, or an absolute one with a slash of its own."""

Number = Annotated[Decimal, Kind("a number", read_number)]
Whole = Annotated[int, Kind("a whole number", read_whole)]
Seconds = Annotated[float, Kind("a number", read_seconds)]
Switch = Annotated[bool, Kind("true or false (yes/no, on/off, 1/0)", read_switch)]
Text = Annotated[str, Kind("text on one line", read_text)]
Account = Annotated[AccountId, Kind("the id of an account, letters and digits such as DU1234567", read_account)]
Route = Annotated[str, Kind(ROUTE_NOUN, read_route)]
Exchange = Annotated[str, Kind("the name of an exchange (A-Z 0-9)", read_exchange)]
SymbolKey = Annotated[Symbol, Kind(SYMBOL_NOUN, read_symbol)]
ModelKey = Annotated[ModelName, Kind(MODEL_NOUN, read_model)]
MixWeight = Annotated[Number, Ge(0), Le(1)]
FilePath = Annotated[Path, PATH]
WebAddress = Annotated[Secret, Kind("an https:// address, http:// on localhost", read_web_address)]
DatabaseUrl = Annotated[str, DATABASE]
Blackout = Annotated[tuple[str, ...], Kind("a comma list of HH:MM-HH:MM, start and end different", read_blackout)]
Symbols = Annotated[tuple[Symbol, ...], Kind("a comma list of symbols, or none", read_symbols)]
Approvers = Annotated[tuple[str, ...], Kind("a comma list of names (A-Z 0-9 _), or none", read_approvers)]
BaseCurrency = Annotated[Currency, Kind("USD", read_base_currency)]
FundingCurrencies = Annotated[tuple[Currency, ...], Kind("CAD", read_funding_currencies)]
