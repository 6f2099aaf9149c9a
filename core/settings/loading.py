"""Texts to checked Settings, or one error with every fault of every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from core.masking import Secret
from core.settings.describe import OPEN_SECTIONS, keys, sections
from core.settings.kinds import PATH, SQLITE_FILE, Conflict, read_path, read_web_address
from core.settings.layers import Layers, Overrides, displayed, environment_name, merged
from core.settings.reading import read_values, refused, texts_of
from core.settings.schema import SafetySection, Settings
from core.text import visible

# made once, for pydantic compiles the annotations when it is made
SETTINGS = TypeAdapter(Settings)


def load_settings(path: Path, *, environ: Mapping[str, str], overrides: Overrides) -> Settings:
    """The effective settings of a file: file < environment `REBALANCER__SECTION__KEY` < overrides `section.key`.

    Relative paths start in the folder of the file. Raises SettingsInvalid with every fault found.
    """
    layers = merged(read_values(path), environ=environ, overrides=overrides)
    return _checked(layers, path.absolute().parent, str(path))


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


def webhook_from(environ: Mapping[str, str]) -> Secret | None:
    """`[notify] webhook_url` where the other settings cannot be read; None without one, or when it is at fault."""
    # somebody should be notified of a run whose settings cannot be read
    text = environ.get(environment_name("notify", "webhook_url"), "")
    try:
        return read_web_address(text.strip())
    except ValueError:
        return None


def kill_switches_from(path: Path, *, environ: Mapping[str, str]) -> list[Path]:
    """`[safety] kill_switch_file` where the other settings are at fault: every place that a run may look at.

    Raises SettingsInvalid where that cannot be read.
    """
    name = environment_name("safety", "kill_switch_file")
    texts = [environ[name]] if name in environ else texts_of(path, "kill_switch_file")
    try:
        places = [read_path(text.strip()) for text in texts]
    except ValueError:
        raise refused(str(path), ["[safety] kill_switch_file is not a path"]) from None
    return [usual_kill_switch(path).parent / place for place in places] or [usual_kill_switch(path)]


def usual_kill_switch(path: Path) -> Path:
    """The kill switch of a settings file that names none."""
    return path.absolute().parent / SafetySection.kill_switch_file


def _checked(layers: Layers, folder: Path, name: str) -> Settings:
    """Raises SettingsInvalid with the faults of names first, then those of values in the order of the schema."""
    try:
        settings = SETTINGS.validate_python(
            {"folder": folder, **{section: layers.texts(section) for section in layers.given}}
        )
    except ValidationError as error:
        raise refused(name, [*layers.faults, *_faults(error, layers)]) from None
    if layers.faults:
        raise refused(name, layers.faults)
    return _with_paths_in(folder, settings)


def _with_paths_in(folder: Path, settings: Settings) -> Settings:
    """The settings with every relative path, defaults too, put into the folder."""
    for section, name in (where for where, key in keys().items() if key.kind is PATH):
        own: Any = getattr(settings, section)
        changed: Any = {section: replace(own, **{name: folder / getattr(own, name)})}
        settings = replace(settings, **changed)
    return replace(settings, journal=replace(settings.journal, url=_database_in(folder, settings.journal.url)))


def _database_in(folder: Path, url: str | None) -> str | None:
    """The URL, with a relative path of an SQLite file put into the folder."""
    scheme, slashes, path = (url or "").partition(":///")
    return f"{SQLITE_FILE}{folder / path}" if slashes and scheme.startswith("sqlite") else url


def _faults(error: ValidationError, layers: Layers) -> Iterator[str]:
    found = error.errors(include_url=False, include_input=False)
    for detail in found:
        yield _fault_text(detail, layers)
    # a section is not made, and its keys not compared, while one of them is at fault: so the sound ones are tried again
    for section in sections():
        faulty = {str(detail["loc"][1]) for detail in found if detail["loc"][0] == section and len(detail["loc"]) > 1}
        if faulty:
            yield from _conflicts(section, faulty, layers)


def _conflicts(section: str, faulty: set[str], layers: Layers) -> Iterator[str]:
    sound = {key: text for key, text in layers.texts(section).items() if key not in faulty}
    try:
        TypeAdapter(sections()[section]).validate_python(sound)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            conflict = _cause(detail)
            if isinstance(conflict, Conflict) and faulty.isdisjoint(conflict.keys):
                yield f"[{section}] {conflict.message}"


def _fault_text(detail: ErrorDetails, layers: Layers) -> str:
    """One fault: section, key, value found, where it was given, and what is allowed."""
    section, *rest = map(str, detail["loc"])
    cause = _cause(detail)
    if isinstance(cause, Conflict):
        return f"[{section}] {cause.message}"
    name, *part = rest
    if section in OPEN_SECTIONS:
        free = OPEN_SECTIONS[section]
        wanted = f"the key must be {free.key_noun}" if part else f"must be {free.value_noun}"
        return f"{_found(section, name, layers)}: {wanted}"
    key = keys()[section, name]
    if detail["type"] == "missing":
        return f"[{section}] {name} is missing: write {name} = {key.type} ({key.meaning})"
    reason = f" ({cause})" if str(cause) else ""  # what a kind adds to its noun and bounds
    return f"{_found(section, name, layers)}: must be {key.type}{reason}"


def _cause(detail: ErrorDetails) -> object:
    """The error that a reader or a section raised; empty where pydantic itself found the fault."""
    return detail.get("ctx", {}).get("error", "")


def _found(section: str, key: str, layers: Layers) -> str:
    given = layers.given[section][key]
    origin = f" (from {visible(given.origin)})" if given.origin else ""
    return f"[{section}] {visible(key)} = {displayed(section, key, given.text)}{origin}"
