"""The keys as the declarations in `schema.py` describe them: for messages, the table of settings and the forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal
from functools import cache
from typing import NamedTuple, get_args, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from core.masking import Secret, mask_account
from core.settings.kinds import MODEL_NOUN, ROUTE_NOUN, SYMBOL_NOUN, Kind
from core.settings.schema import Settings
from core.text import without_password

REQUIRED = "required"


class OpenSection(NamedTuple):
    """A section whose keys are the user's own names: how the table of settings writes one, and what they accept."""

    about: str
    key: str
    key_noun: str
    value_noun: str
    default: str
    meaning: str


OPEN_SECTIONS = {
    "models": OpenSection(
        about="How much of each model of portfolios.csv goes into the blend, a line for each model.",
        key="NAME",
        key_noun=MODEL_NOUN,
        value_noun="a number >= 0 and <= 1 (50 % is 0.5)",
        default="at least one",
        meaning="weight of the model NAME in the blend; all sum to 1 (±0.001)",
    ),
    "symbol_overrides": OpenSection(
        about="Symbols of which the broker knows more than one, a line for each.",
        key="SYMBOL",
        key_noun=SYMBOL_NOUN,
        value_noun=ROUTE_NOUN,
        default="none",
        meaning="the conId or the exchange of a symbol",
    ),
}


class KeyDescription(NamedTuple):
    """One key as the table of settings and the forms show it, in text.

    `type` is what it accepts, made from its own kind and bounds: `a number >= 0 and < 100, or none`. `default`
    is as one writes it in the file, or `required`. `kind` is None for the user's own keys.
    """

    section: str
    key: str
    type: str
    default: str
    meaning: str
    kind: Kind | None = None
    is_optional: bool = False
    is_secret: bool = False


@cache
def sections() -> dict[str, type]:
    """The sections with fixed keys, in the order of the file."""
    hints = get_type_hints(Settings)
    return {name: hints[name] for name in hints if is_dataclass(hints[name])}


def known_sections() -> list[str]:
    """Names of all sections, those with the user's own keys among them, in the order of the file."""
    return [each.name for each in fields(Settings) if each.name in sections() or each.name in OPEN_SECTIONS]


@cache
def keys() -> dict[tuple[str, str], KeyDescription]:
    """Every fixed key by section and name, in the order of the file."""
    described = [each for name, section in sections().items() for each in _keys_of(name, section)]
    return {(each.section, each.key): each for each in described}


@cache
def keys_of(section: str) -> dict[str, KeyDescription]:
    """The fixed keys of a section by name; none where the keys are the user's own."""
    return {name: key for (own, name), key in keys().items() if own == section}


def describe() -> list[KeyDescription]:
    """Every key, in the order of the file; the same on every machine."""
    return [row for section in known_sections() for row in _rows(section)]


def as_text(value: object) -> str:
    """A value as one writes it in the file; a secret is only `set`."""
    match value:
        case None:
            text = "none"
        case bool():
            text = str(value).lower()
        case Secret():
            text = "set"
        case Decimal():
            text = f"{value:f}"
        case float():
            text = repr(value).removesuffix(".0")
        case tuple():
            text = ", ".join(map(str, value)) or "none"
        case _:
            text = str(value)
    return text


def echo(settings: Settings) -> dict[str, dict[str, str]]:
    """The effective settings as text, for log and report: account masked, passwords and secrets not shown."""
    echoed = {
        name: {key: as_text(getattr(getattr(settings, name), key)) for key in keys_of(name)} for name in sections()
    }
    echoed["ibkr"]["account_id"] = mask_account(settings.ibkr.account_id)
    echoed["journal"]["url"] = without_password(echoed["journal"]["url"])
    for name in OPEN_SECTIONS:
        echoed[name] = {str(key): as_text(each) for key, each in getattr(settings, name).items()}
    return echoed


def _rows(section: str) -> list[KeyDescription]:
    if section in OPEN_SECTIONS:
        free = OPEN_SECTIONS[section]
        return [KeyDescription(section, free.key, free.value_noun, free.default, free.meaning)]
    return [*keys_of(section).values()]


def _keys_of(section_name: str, section: type) -> Iterator[KeyDescription]:
    # a dataclass keeps annotations as texts here, without the bounds and the meaning
    hints = get_type_hints(section, include_extras=True)
    for each in fields(section):
        yield _key(section_name, each, hints[each.name])


def _key(section: str, declared: Field[object], hint: object) -> KeyDescription:
    """A key from `Annotated[type, bounds, meaning]`, where the type itself may be annotated, and may be optional."""
    base, *own = get_args(hint)
    parts = [*own, *(part for inner in get_args(base) for part in getattr(inner, "__metadata__", ()))]
    kind = next(part for part in parts if isinstance(part, Kind))
    is_optional = type(None) in get_args(base)
    bounds = " and ".join(filter(None, map(_bound, own)))
    return KeyDescription(
        section=section,
        key=declared.name,
        type=f"{kind.noun} {bounds}".rstrip() + (", or none" if is_optional else ""),
        default=REQUIRED if declared.default is MISSING else as_text(declared.default),
        meaning=next(part for part in own if isinstance(part, str)),
        kind=kind,
        is_optional=is_optional,
        is_secret=any(Secret in get_args(inner) for inner in get_args(base)),
    )


def _bound(part: object) -> str:
    match part:
        case Ge(ge=bound):
            return f">= {bound}"
        case Gt(gt=bound):
            return f"> {bound}"
        case Le(le=bound):
            return f"<= {bound}"
        case Lt(lt=bound):
            return f"< {bound}"
    return ""
