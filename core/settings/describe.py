"""The table of settings, made from the sections: what the README and the forms of the UI show."""

from __future__ import annotations

from typing import NamedTuple

from pydantic.fields import FieldInfo

from core.settings.kinds import ROUTE_NOUN, allowed
from core.settings.model import OVERRIDES, Settings, as_text, fields, sections

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
    rows = [
        Described(section, key, allowed(field), _default(section, key, field), field.description or "")
        for section, key, field in fields()
    ]
    overrides = Settings.model_fields[OVERRIDES].description or ""
    after = max(at for at, row in enumerate(rows) if row.section == "execution") + 1
    rows.insert(after, Described(OVERRIDES, "SYMBOL", ROUTE_NOUN, "none", overrides))
    return rows


def _default(section: str, key: str, field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    return sections()[section].defaults_in_words.get(key) or as_text(field.default)
