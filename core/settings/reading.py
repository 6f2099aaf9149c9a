"""settings.ini as texts by section and key; any other file is refused, with the place of the fault."""

from __future__ import annotations

import re
from configparser import (
    ConfigParser,
    DuplicateOptionError,
    DuplicateSectionError,
    MissingSectionHeaderError,
    ParsingError,
)
from pathlib import Path

from core.errors import SettingsInvalid
from core.text import CORRECT_FILE, NO_FILE

LARGEST_FILE = 1_000_000  # bytes; the longest sensible settings are a hundredth of it


class _Parser(ConfigParser):
    """Without this, `[limits] style = off` on one line would open the section and ignore the key."""

    SECTCRE = re.compile(r"\[(?P<header>[^]]+)\]\s*$")


def read_values(path: Path) -> dict[str, dict[str, str]]:
    """The texts of the file by section and key. Raises SettingsInvalid with line and reason for any other file."""
    text = _decoded(path)
    parser = _parser()
    try:
        parser.read_string(text)
    except DuplicateOptionError as error:
        raise _unreadable(path, f"line {error.lineno}: [{error.section}] {error.option} appears twice") from None
    except DuplicateSectionError as error:
        raise _unreadable(path, f"line {error.lineno}: the section [{error.section}] appears twice") from None
    except MissingSectionHeaderError as error:
        raise _unreadable(path, f"line {error.lineno}: comes before the first [section]") from None
    except ParsingError as error:
        raise _unreadable(path, *(f"line {line}: must be `key = value`" for line, _ in error.errors)) from None
    return {name: dict(parser.items(name)) for name in parser.sections()}


def texts_of(path: Path, key: str) -> list[str]:
    """Every text that the file gives a key of this name, whatever else is wrong with the file. Raises SettingsInvalid.

    For the one key that must be found in a file that is at fault; of a text on several lines it is the first.
    """
    text = _bytes(path).decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    lines = re.finditer(rf"^[ \t]*({key}[ \t]*[=:].*(?:\n[ \t]+\S.*)*)", text, re.IGNORECASE | re.MULTILINE)
    return [_text_alone(found[1], key) for found in lines]


def refused(name: str, faults: list[str], next_step: str = CORRECT_FILE) -> SettingsInvalid:
    """The error with all `faults`; its message holds the single fault, or how many there are."""
    what = faults[0] if len(faults) == 1 else f"{len(faults)} faults in the settings"
    return SettingsInvalid(f"{name}: {what}", next_step=next_step, faults=faults)


def _parser() -> ConfigParser:
    # no section can have an empty name, so [DEFAULT] is an unknown section instead of one that leaks into all others
    return _Parser(
        interpolation=None, inline_comment_prefixes=(";", "#"), empty_lines_in_values=False, default_section=""
    )


def _text_alone(lines: str, key: str) -> str:
    parser = _parser()
    parser.read_string(f"[alone]\n{lines}")
    return parser.get("alone", key).strip().partition("\n")[0]


def _unreadable(path: Path, *faults: str) -> SettingsInvalid:
    return refused(str(path), list(faults))


def _decoded(path: Path) -> str:
    data = _bytes(path)
    if len(data) > LARGEST_FILE:
        raise _unreadable(path, f"is larger than {LARGEST_FILE} bytes: this is not a settings file")
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise _unreadable(path, f"line {line}: contains binary data: this is not a settings file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _unreadable(path, f"line {line}: is not UTF-8 text") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise refused(str(path), ["there is no such file"], NO_FILE) from None
    except IsADirectoryError:
        raise _unreadable(path, "is a directory, not a settings file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise _unreadable(path, f"cannot be read: {error}") from None
