"""Kinds of values in settings: each reads a text, or refuses it, and says in words what it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, SecretStr, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

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
SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

_NUMBER = re.compile(r"-?([0-9]{1,28}(\.[0-9]{0,28})?|\.[0-9]{1,28})([eE][+-]?[0-9]{1,2})?")
_WHOLE = re.compile(r"-?[0-9]{1,28}")
_BLACKOUT = re.compile(r"(([01][0-9]|2[0-3]):[0-5][0-9])\s*-\s*(([01][0-9]|2[0-3]):[0-5][0-9])", re.ASCII)
# the address is a secret, and http would show it to the network; on this computer there is none
_WEB = re.compile(r"https://[!-~]+|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?(/[!-~]*)?")


@dataclass(frozen=True, slots=True)
class Words:
    """What a kind takes, for messages and for the table of settings."""

    noun: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """A choice between members of an enum, found by their text in any case."""

    members: tuple[StrEnum, ...]

    @property
    def noun(self) -> str:
        return "one of " + ", ".join(self.members)

    def member_of(self, text: str) -> StrEnum:
        """The member that `text` names. Raises ValueError for any other text."""
        for member in self.members:
            if text.isascii() and text.lower() == member.lower():
                return member
        raise ValueError

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.member_of)


def is_none(text: str) -> bool:
    """Whether the text of an optional key says that there is no value."""
    return text.lower() in NONE


def read_number(text: str) -> Decimal:
    """The number exactly as written. Raises ValueError unless it is a plain finite one up to 10^9."""
    if not _NUMBER.fullmatch(text):
        raise ValueError
    number = D(text)
    if abs(number) > LARGEST:
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


def read_model(text: str) -> ModelName:
    """The name of a model. Raises ValueError when it may not be one."""
    if not is_model_name(text):
        raise ValueError
    return ModelName(text)


def read_path(text: str | Path, info: ValidationInfo[Path]) -> Path:
    """The absolute path; a relative one stands in the folder of the settings file. Raises ValueError for no path."""
    try:
        path = Path(read_text(str(text))).expanduser()
    except RuntimeError:
        raise ValueError("there is no such home folder") from None
    return Path(info.context) / path  # the loader hands the folder over as the context of validation


def read_web_address(text: str) -> str:
    """The address. Raises ValueError unless it is https:// in visible ASCII, or http:// on this computer."""
    if not _WEB.fullmatch(text):
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
            raise ValueError(f"{item} is not such a span" if item.isascii() and item.isprintable() else "")
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


Number = Annotated[Decimal, BeforeValidator(read_number), Words("a number")]
Whole = Annotated[int, BeforeValidator(read_whole), Words("a whole number")]
Seconds = Annotated[float, BeforeValidator(read_seconds), Words("a number")]
Switch = Annotated[bool, BeforeValidator(read_switch), Words("true or false (yes/no, on/off, 1/0)")]
Text = Annotated[str, BeforeValidator(read_text), Words("text on one line")]
Account = Annotated[
    AccountId, BeforeValidator(read_account), Words("the id of an account, letters and digits such as DU1234567")
]
Route = Annotated[str, BeforeValidator(read_route), Words(ROUTE_NOUN)]
Exchange = Annotated[str, BeforeValidator(read_exchange), Words("the name of an exchange (A-Z 0-9)")]
SymbolKey = Annotated[Symbol, AfterValidator(read_symbol), Words(SYMBOL_NOUN)]
ModelKey = Annotated[ModelName, AfterValidator(read_model), Words(MODEL_NOUN)]
MixWeight = Annotated[Number, Ge(0), Le(1)]
FolderPath = Annotated[Path, BeforeValidator(read_path), Words("a path")]
WebAddress = Annotated[SecretStr, BeforeValidator(read_web_address), Words("an https:// address, http:// on localhost")]
Blackout = Annotated[
    tuple[str, ...], BeforeValidator(read_blackout), Words("a comma list of HH:MM-HH:MM, start and end apart")
]
Symbols = Annotated[tuple[Symbol, ...], BeforeValidator(read_symbols), Words("a comma list of symbols, or none")]
BaseCurrency = Annotated[Currency, BeforeValidator(read_base_currency), Words("USD")]
FundingCurrencies = Annotated[tuple[Currency, ...], BeforeValidator(read_funding_currencies), Words("CAD")]


def is_optional(field: FieldInfo) -> bool:
    """Whether the key may be `none`."""
    return type(None) in get_args(field.annotation)


def allowed(field: FieldInfo) -> str:
    """What a key takes, in words made from its own kind and bounds: `a number >= 0 and < 100, or none`."""
    bounds = " and ".join(_bounds(field))
    noun = next(part.noun for part in _metadata(field) if isinstance(part, Words | OneOf))
    return f"{noun} {bounds}".rstrip() + (", or none" if is_optional(field) else "")


def is_secret(field: FieldInfo) -> bool:
    """Whether the value may never be shown."""
    return any(SecretStr in get_args(part) for part in get_args(field.annotation))


def _metadata(field: FieldInfo) -> Iterator[object]:
    yield from field.metadata
    for part in get_args(field.annotation):
        yield from getattr(part, "__metadata__", ())


def _bounds(field: FieldInfo) -> Iterator[str]:
    for part in field.metadata:
        match part:
            case Ge(ge=bound):
                yield f">= {bound}"
            case Gt(gt=bound):
                yield f"> {bound}"
            case Le(le=bound):
                yield f"<= {bound}"
            case Lt(lt=bound):
                yield f"< {bound}"
            case _:
                pass
