"""A settings.ini to start from, made from the sections: every key with its meaning, what it takes and its default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from core.settings.describe import OPEN_SECTIONS, REQUIRED, KeyDescription, describe, sections
from core.settings.layers import SECRETS, environment_name

PLACEHOLDER = "YOUR_ACCOUNT_ID"
"""In place of the account id; no account has such an id, so it is refused until it is replaced."""

HEAD = """\
# Settings of the rebalancer. A line that starts with # explains the key below it. A key with ; before it has its
# default: remove the ; to change it. The environment (REBALANCER__IBKR__PORT=7497) and the options of a command
# (--set ibkr.port=7497) take precedence over this file."""
EXAMPLE_OVERRIDE = ";BND = ARCA"


def settings_template(values: Mapping[str, str]) -> str:
    """The text of a settings.ini in which `values` ("section.key" to text) are set and all other keys have defaults.

    The account is `PLACEHOLDER` unless it is among the values; the models have to be there.
    """
    given = {"ibkr.account_id": PLACEHOLDER, **values}
    parts = [HEAD]
    for section, rows in groupby(describe(), key=lambda row: row.section):
        parts.append(f"\n\n# {_about(section)}\n[{section}]")
        parts += ["\n".join(("", *_lines(row, given))) for row in rows]
    return "\n".join(parts) + "\n"


def _about(section: str) -> str:
    if section in OPEN_SECTIONS:
        return OPEN_SECTIONS[section].about
    return (sections()[section].__doc__ or "").strip()


def _lines(row: KeyDescription, given: Mapping[str, str]) -> Iterator[str]:
    name = f"{row.section}.{row.key}"
    if row.section in OPEN_SECTIONS:
        yield f"# {row.meaning}: {row.type}"
        own = [full for full in given if full.startswith(f"{row.section}.")]
        yield from (f"{full.partition('.')[2]} = {given[full]}" for full in own)
        if not own:
            yield EXAMPLE_OVERRIDE
        return
    yield f"# {row.meaning}"
    yield f"# {row.type}; {row.default if row.default == REQUIRED else f'default: {row.default}'}"
    if (row.section, row.key) in SECRETS:
        yield f"# a secret, read only from the environment: {environment_name(row.section, row.key)}"
    elif name in given:
        yield f"{row.key} = {given[name]}"
    else:
        # left out, so that a better default of a later release reaches users who never chose one
        yield f";{row.key} = {row.default}"
