"""Texts to checked Settings, or one error with every fault of every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from core.settings.kinds import WebAddress, allowed
from core.settings.layers import Layers, displayed, environment_name, merged
from core.settings.model import OPEN_SECTIONS, Settings, sections
from core.settings.reading import read_values, refused
from core.text import visible

GUARD = "guard"


def load_settings(path: Path, *, environ: Mapping[str, str], overrides: Mapping[str, str]) -> Settings:
    """The effective settings of a file: file < environment `REBALANCER__SECTION__KEY` < overrides `section.key`.

    Relative paths stand in the folder of the file. Raises SettingsInvalid with every fault found.
    """
    values = read_values(path)
    return _checked(merged(values, environ=environ, overrides=overrides), path.absolute().parent, str(path))


def settings_from(
    values: Mapping[str, Mapping[str, str]],
    *,
    folder: Path,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Settings:
    """The effective settings of texts that were read already, such as a scenario's; checked as a file is."""
    layers = merged(values, environ=environ or {}, overrides=overrides or {})
    return _checked(layers, folder.absolute(), "settings")


def webhook_from(environ: Mapping[str, str]) -> SecretStr | None:
    """`[notify] webhook_url` where the other settings cannot be had; None without one, or when it is at fault."""
    text = environ.get(environment_name("notify", "webhook_url"), "")
    try:
        return TypeAdapter(WebAddress).validate_python(text.strip())
    except ValidationError:
        return None


def _checked(layers: Layers, folder: Path, name: str) -> Settings:
    """Raises SettingsInvalid with the faults of names first, then those of values in the order of the schema."""
    try:
        settings = Settings.model_validate(
            {"folder": folder, **{section: layers.texts(section) for section in layers.given}}, context=folder
        )
    except ValidationError as error:
        raise refused(name, [*layers.faults, *_faults(error, layers, folder)]) from None
    if layers.faults:
        raise refused(name, layers.faults)
    return settings


def _faults(error: ValidationError, layers: Layers, folder: Path) -> Iterator[str]:
    found = error.errors(include_url=False, include_input=False)
    for detail in found:
        yield _worded(detail, layers)
    # a guard is not tried while a key of its section is at fault, so the sound keys are looked at once more
    for section in sections():
        faulty = {str(detail["loc"][1]) for detail in found if detail["loc"][0] == section and len(detail["loc"]) > 1}
        if faulty:
            yield from _guard_faults(section, faulty, layers, folder)


def _guard_faults(section: str, faulty: set[str], layers: Layers, folder: Path) -> Iterator[str]:
    sound = {key: text for key, text in layers.texts(section).items() if key not in faulty}
    try:
        sections()[section].model_validate(sound, context=folder)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            if detail["type"] == GUARD and faulty.isdisjoint(detail["ctx"]["keys"]):
                yield f"[{section}] {detail['ctx']['message']}"


def _worded(detail: ErrorDetails, layers: Layers) -> str:
    """One fault: section, key, value found, where it was given, and what is allowed."""
    section, *rest = map(str, detail["loc"])
    if detail["type"] == GUARD:
        return f"[{section}] {detail['ctx']['message']}"
    key, *part = rest
    if section in OPEN_SECTIONS:
        free = OPEN_SECTIONS[section]
        wanted = f"the key must be {free.key_noun}" if part else f"must be {free.value_noun}"
        return f"{_found(section, key, layers)}: {wanted}"
    field = sections()[section].model_fields[key]
    if detail["type"] == "missing":
        return f"[{section}] {key} is missing: write {key} = {allowed(field)} ({field.description})"
    return f"{_found(section, key, layers)}: must be {allowed(field)}{_reason(detail)}"


def _found(section: str, key: str, layers: Layers) -> str:
    given = layers.given[section][key]
    origin = f" (from {visible(given.origin)})" if given.origin else ""
    return f"[{section}] {visible(key)} = {displayed(section, key, given.text)}{origin}"


def _reason(detail: ErrorDetails) -> str:
    """What a kind says beyond the bounds, in brackets."""
    reason = str(detail.get("ctx", {}).get("error", ""))
    return f" ({reason})" if reason else ""
