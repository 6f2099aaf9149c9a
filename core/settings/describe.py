"""The table of settings, made from the sections: what the README and the forms of the UI show."""

from __future__ import annotations

from typing import NamedTuple

from pydantic.fields import FieldInfo

from core.settings.kinds import allowed
from core.settings.model import OPEN_SECTIONS, Settings, as_text, sections

REQUIRED = "required"


class Described(NamedTuple):
    """One key in words; `default` is as one writes it in the file, or `required`."""

    section: str
    key: str
    type: str
    default: str
    meaning: str


def describe() -> list[Described]:
    """Every key, in the order of the file; the same on every machine."""
    return [row for section in Settings.model_fields for row in _rows(section)]


def _rows(section: str) -> list[Described]:
    if section in OPEN_SECTIONS:
        free = OPEN_SECTIONS[section]
        return [Described(section, free.key, free.value_noun, free.default, free.meaning)]
    known = sections()[section].model_fields if section in sections() else {}
    return [
        Described(section, key, allowed(field), _default(section, key, field), field.description or "")
        for key, field in known.items()
    ]


def _default(section: str, key: str, field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    return sections()[section].defaults_as_text.get(key) or as_text(field.default)
