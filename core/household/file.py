"""accounts.yaml as pydantic models; what other files say (settings, portfolios) is checked by `loading`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from core.household.household import HouseholdApproval
from core.masking import ACCOUNT_FORM
from core.model import AccountId
from core.settings.kinds import read_account, read_path
from core.settings.layers import displayed
from core.text import visible
from core.yaml_file import Count, FilePart, RefusedValue, SettingTexts, is_absent, name_of, one_of

LONGEST_NAME = 40
# each is a process of some 300 MB, and a gateway takes 32 clients
MOST_AT_ONCE = 32
TAG = r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
# what one account must not have for itself, and why
OF_THE_HOUSEHOLD = {
    "ibkr.account_id": "the account is named by its id",
    "journal.url": "all accounts of a household are in one journal; set it in the settings file",
    "safety.kill_switch_file": "one kill switch stops all accounts of a household; set it in the settings file",
}


def _name(value: object) -> str:
    """A name as forms, tables and messages show it: a person types it, and lists of names have commas between them."""
    name = " ".join(name_of(value).split())
    if "," in name or not name.isprintable() or len(name) > LONGEST_NAME:
        raise ValueError(f"{visible(name)} must be at most {LONGEST_NAME} characters on one line, without a comma")
    if ACCOUNT_FORM.search(name):
        raise ValueError("must not contain the id of an account, since names are shown in full")
    return name


def _account_id(value: object) -> AccountId:
    text = name_of(value)
    try:
        return read_account(text)
    except ValueError:
        found = displayed("ibkr", "account_id", text)
        raise ValueError(f"{found} is not the id of an account, letters and digits such as DU1234567") from None


def _path(value: object) -> Path:
    text = name_of(value)
    try:
        return read_path(text)
    except ValueError:
        raise ValueError(f"{visible(text)} is not a path") from None


def _at_once(number: int) -> int:
    if not 1 <= number <= MOST_AT_ONCE:
        raise ValueError(f"{number} must be at least 1 and at most {MOST_AT_ONCE}")
    return number


def _tag(value: object) -> str:
    text = name_of(value)
    if not re.fullmatch(TAG, text):
        raise ValueError(f"{visible(text)} must be letters, digits, - and _, 40 at most")
    return text


def _own_settings(value: object) -> object:
    """Settings of one account, in which those that are not its own are faults at their place."""
    if not isinstance(value, dict):
        return value
    return {key.strip(): _own_setting(key.strip(), each) for key, each in value.items()}


def _own_setting(key: str, value: object) -> object:
    if isinstance(value, dict):
        return RefusedValue(f"write {key}.KEY: value, as in ibkr.port: 4003")
    why = OF_THE_HOUSEHOLD.get(key.lower())
    return RefusedValue(f"is not a setting of one account: {why}") if why else value


def _once_each(value: object) -> object:
    """A list of accounts in which a name or an id that was there before is a fault at its place."""
    if not isinstance(value, list):
        return value
    seen: set[tuple[str, str]] = set()
    return [_unless_seen(each, seen) if isinstance(each, dict) else each for each in value]


def _unless_seen(entry: dict[str, object], seen: set[tuple[str, str]]) -> dict[str, object]:
    """The entry, its name and id replaced by a fault where they have been seen; they are added to those."""
    changed = dict(entry)
    for key in ("name", "id"):
        text = entry.get(key)
        if not isinstance(text, str) or is_absent(text):
            continue
        # people tell names apart by their letters, not by their case or spaces
        own = (key, " ".join(text.split()).casefold())
        if own in seen:
            shown = displayed("ibkr", "account_id", text) if key == "id" else visible(text)
            changed[key] = RefusedValue(f"{shown} appears here twice")
        seen.add(own)
    return changed


AccountName = Annotated[str, BeforeValidator(_name), WithJsonSchema({"type": "string", "maxLength": LONGEST_NAME})]
PathText = Annotated[Path, BeforeValidator(_path), WithJsonSchema({"type": "string", "minLength": 1})]
Tag = Annotated[str, BeforeValidator(_tag), WithJsonSchema({"type": "string", "pattern": f"^{TAG}$"})]


class ListedAccount(FilePart):
    """One account: what is not its own is the household's."""

    id: Annotated[AccountId, BeforeValidator(_account_id), WithJsonSchema({"type": "string"})]
    name: AccountName
    portfolios: PathText | None = None
    settings: Annotated[SettingTexts, BeforeValidator(_own_settings)] = Field(default_factory=dict)
    tags: tuple[Tag, ...] = ()


class HouseholdFile(FilePart):
    """accounts.yaml; relative paths start in its folder."""

    name: AccountName
    settings: PathText
    portfolios: PathText | None = None
    approval: Annotated[HouseholdApproval, BeforeValidator(one_of(*HouseholdApproval))] = HouseholdApproval.PER_ACCOUNT
    at_once: Annotated[
        Count,
        AfterValidator(_at_once),
        WithJsonSchema({"type": ["integer", "string"], "minimum": 1, "maximum": MOST_AT_ONCE}),
    ] = 4
    accounts: Annotated[list[ListedAccount], BeforeValidator(_once_each), Field(min_length=1)]


def household_schema() -> dict[str, object]:
    """The JSON schema of accounts.yaml, for editors that check YAML."""
    return HouseholdFile.model_json_schema()
