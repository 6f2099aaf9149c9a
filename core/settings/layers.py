"""Settings texts in layers: file, then environment, then overrides; names are checked here, values are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.masking import mask_account
from core.settings.describe import OPEN_SECTIONS, keys, keys_of, known_sections
from core.settings.kinds import is_none
from core.text import did_you_mean, holds_password, nearest, visible, without_password

PREFIX = "REBALANCER__"
HIDDEN = "(not shown)"
OPTIONS = "the options of this run"
# who approves is not for whoever starts a run to choose
NOT_OF_A_RUN = ("approval", "approvers")
SECRETS = {where for where, key in keys().items() if key.is_secret}


@dataclass(frozen=True, slots=True)
class Given:
    """A text and where it was given: `origin` is empty for the file."""

    text: str
    origin: str = ""


Overrides = Mapping[str, str | Given]
"""Texts by `section.key`, over file and environment; those of a bare text are the options of a run."""


@dataclass(slots=True)
class Layers:
    """The texts that hold, by section and key, and the faults of their names."""

    given: dict[str, dict[str, Given]] = field(default_factory=lambda: {name: {} for name in known_sections()})
    faults: list[str] = field(default_factory=list)

    def texts(self, section: str) -> dict[str, str | None]:
        """The texts of a section, for validation; `none` or nothing is None where a key may have no value."""
        optional = {name for name, key in keys_of(section).items() if key.is_optional}
        texts = {name: given.text for name, given in self.given[section].items()}
        return {name: None if name in optional and is_none(text) else text for name, text in texts.items()}


def merged(
    values: Mapping[str, Mapping[str, str]],
    *,
    environ: Mapping[str, str],
    overrides: Overrides,
) -> Layers:
    """The texts that hold after file < environment < overrides, with every unknown or misplaced name as a fault."""
    layers = Layers()
    # each layer replaces single keys, never a whole section of the one below it
    _add_file(layers, values)
    _add_environment(layers, environ)
    _add_overrides(layers, overrides)
    _check_journal(layers)
    return layers


def displayed(section: str, key: str, text: str) -> str:
    """The text as a fault may show it: an account masked, what may hold a secret not at all."""
    if (section, key) in SECRETS:
        return HIDDEN
    if (section, key) == ("ibkr", "account_id"):
        # a text without a digit is no account id, and helps more when it is shown in full
        return visible(mask_account(text) if any(map(str.isdigit, text)) else text)
    if (section, key) == ("journal", "url"):
        return visible(without_password(text))
    return HIDDEN if "://" in text else visible(text)


def environment_name(section: str, key: str) -> str:
    """`REBALANCER__SECTION__KEY`."""
    return f"{PREFIX}{section}__{key}".upper()


def _add_file(layers: Layers, values: Mapping[str, Mapping[str, str]]) -> None:
    for section, texts in values.items():
        if section not in layers.given:
            meant = did_you_mean(f"[{section}]", [f"[{name}]" for name in known_sections()])
            layers.faults.append(f"unknown section [{visible(section)}]{meant}")
            continue
        for raw, text in texts.items():
            key = _key(section, raw)
            if key in layers.given[section]:
                layers.faults.append(f"[{section}] {visible(key)} appears twice")
            elif (section, key) in SECRETS:
                # a file is copied, mailed and committed
                layers.faults.append(f"[{section}] {_secret(section, key)}")
            elif not _is_known(section, key):
                layers.faults.append(_unknown_key(section, key, text))
            else:
                _check_password(layers, section, key, text)
                layers.given[section][key] = Given(text.strip())


def _add_environment(layers: Layers, environ: Mapping[str, str]) -> None:
    known = {environment_name(section, key): (section, key) for section, key in keys()}
    free = {environment_name(section, ""): section for section in OPEN_SECTIONS}
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        start = next((start for start in free if name.startswith(start) and len(name) > len(start)), None)
        if start is not None:
            # environment names are in capitals, as models and symbols are, so no key is lost by that
            section, key = free[start], name.removeprefix(start).upper()
        elif name in known:
            section, key = known[name]
        else:
            layers.faults.append(f"{visible(name)} in the environment is not a setting{did_you_mean(name, known)}")
            continue
        layers.given[section][key] = Given(environ[name].strip(), name)


def _add_overrides(layers: Layers, overrides: Overrides) -> None:
    known = [f"{section}.{key}" for section, key in keys()]
    for name, given in overrides.items():
        text, origin = (given.text, given.origin) if isinstance(given, Given) else (given, OPTIONS)
        section, _, raw = name.strip().partition(".")
        section = section.lower()
        key = _key(section, raw)
        if not (raw and section in layers.given and _is_known(section, key)):
            near = [full for full in known if full.endswith(f".{name.strip()}")] or known
            layers.faults.append(f"{visible(name)} in {origin} is not a setting{did_you_mean(name, near)}")
        elif (section, key) in SECRETS:
            layers.faults.append(f"[{section}] {_secret(section, key)}")
        elif (section, key) == NOT_OF_A_RUN:
            layers.faults.append(f"[{section}] {key} is not for {origin}: set it in the settings file")
        else:
            _check_password(layers, section, key, text, f" in {origin}")
            layers.given[section][key] = Given(text.strip(), origin)


def _check_journal(layers: Layers) -> None:
    """Refuse a run with a journal of its own where approvers are set: no other knows which codes were used."""
    approvers, url = layers.given["approval"].get("approvers"), layers.given["journal"].get("url")
    has_own = url is not None and url.origin not in ("", environment_name("journal", "url"))
    if has_own and approvers is not None and not is_none(approvers.text):
        layers.faults.append("[journal] url is not for the options of a run while [approval] approvers is set")


def _key(section: str, raw: str) -> str:
    """Keys in small letters, symbols and models in capitals; a name that is not ASCII stays as it is."""
    name = raw.strip()
    if not name.isascii():
        return name
    return name.upper() if section in OPEN_SECTIONS else name.lower()


def _is_known(section: str, key: str) -> bool:
    return section in OPEN_SECTIONS or (section, key) in keys()


def _secret(section: str, key: str) -> str:
    return f"{key} is a secret: it is read only from the environment, as {environment_name(section, key)}"


def _check_password(layers: Layers, section: str, key: str, text: str, where: str = "") -> None:
    """A password is a secret too: options of a run are kept by Prefect, and shown in lists of processes."""
    if (section, key) == ("journal", "url") and holds_password(text):
        layers.faults.append(
            f"[{section}] {key}{where} holds a password, which is a secret: leave it out, and keep it in ~/.pgpass "
            f"or give the whole URL in the environment, as {environment_name(section, key)}"
        )


def _unknown_key(section: str, key: str, text: str) -> str:
    """The fault of an unknown key: with the section that has it, else with the nearest key of this one."""
    elsewhere = [f"[{name}] {other}" for name, other in keys() if other == key]
    meant = key if elsewhere else nearest(key, keys_of(section))
    hint = f"; did you mean {elsewhere[0] if elsewhere else meant}?" if meant else ""
    is_hidden = any(meant == secret for _, secret in SECRETS)
    value = HIDDEN if is_hidden else displayed(section, meant or key, text)
    return f"[{section}] {visible(key)} = {value}: no such key{hint}"
