"""The parameters of a run, from a page, a schedule, a command or a plain call; wrong values are refused here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, StrictBool, TypeAdapter, ValidationError, WithJsonSchema

from core.errors import UsageError
from core.model import AccountId, BrokerKind, Mode
from core.text import CREDENTIALS_IN_URL
from tasks.app.sources import FileSource

Parameters = TypeVar("Parameters")


def _absolute(path: object) -> object:
    """The absolute path: another process that reads it later may have another working directory."""
    if not isinstance(path, str | Path):
        return path
    if not str(path).strip():
        raise ValueError("must not be empty")
    return Path(path).expanduser().absolute()


def _absolute_household(account: object) -> object:
    """The account, where it names one of a household with the absolute path of its file."""
    if not isinstance(account, str) or "#" not in account:
        return account
    file, _, name = account.partition("#")
    return f"{_absolute(file)}#{name}"


def _setting_text(value: object) -> object:
    """Numbers and switches as settings.ini writes them."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


FilePath = Annotated[Path, BeforeValidator(_absolute), Field(json_schema_extra={"minLength": 1, "pattern": r"\S"})]
# an id, or FILE#NAME for an account of a household, whose id then stands in no parameter
AccountText = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9]{4,20}|[^#\n]+#[^#,\n]{1,40})$"), BeforeValidator(_absolute_household)
]
# `section.key`; not of [notify], for its secret would stand among the parameters of the run
SETTING_NAME = r"^[A-MO-Za-mo-z][A-Za-z_]*\.[A-Za-z0-9]"
SettingName = Annotated[str, Field(pattern=SETTING_NAME)]
SettingText = Annotated[
    str,
    BeforeValidator(_setting_text, json_schema_input_type=str | int | float | bool),
    # so that a server refuses a password instead of keeping it; the settings name the fault in a run of ours
    Field(json_schema_extra={"not": {"type": "string", "pattern": CREDENTIALS_IN_URL}}),
]
Overrides = Annotated[Mapping[SettingName, SettingText], Field(json_schema_extra={"additionalProperties": False})]
# without these two the forms would show the names of our classes instead of titles
OneMode = Annotated[Mode, WithJsonSchema({"type": "string", "enum": list(Mode)})]
OneBroker = Annotated[BrokerKind, WithJsonSchema({"type": "string", "enum": list(BrokerKind)})]

WANTED = {
    "csv": "the path of a file",
    "ini": "the path of a file",
    "mode": f"one of {', '.join(Mode)}",
    "account": "4 to 20 letters and digits, or ACCOUNTS.YAML#NAME",
    "accounts": "the path of a file",
    "only": "names of accounts",
    "broker": f"one of {', '.join(BrokerKind)}",
    "market": "the path of a file",
    "overrides": 'settings such as {"rebalance.min_order_usd": 0}, without secrets',
    "confirm_live": "true or false",
    "in_process": "true or false",
}


def checked(parameters: TypeAdapter[Parameters], given: Mapping[str, Any]) -> Parameters:
    """The parameters that are given, paths absolute; None stands for a default.

    Raises UsageError naming every parameter that is wrong, without its value: it may hold an account.
    """
    try:
        return parameters.validate_python({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        # parameter names only: a value may be an account id, and this text is shown and logged
        wrong = dict.fromkeys(str(each["loc"][0]) for each in error.errors(include_input=False))
        raise UsageError(
            f"wrong parameters: {'; '.join(f'{name} must be {WANTED[name]}' for name in wrong)}",
            next_step="correct them and start the run again",
        ) from None


@dataclass(frozen=True, slots=True)
class Request:
    """The parameters of a run; relative paths are the caller's."""

    csv: FilePath
    ini: FilePath
    mode: OneMode = Mode.DRY_RUN
    account: AccountText | None = None
    broker: OneBroker = BrokerKind.IBKR
    market: FilePath | None = None
    overrides: Overrides = field(default_factory=dict)
    confirm_live: StrictBool = False

    @classmethod
    def of(cls, **given: Any) -> Request:
        """The request that these parameters make, as `checked` does."""
        return checked(_request, given)

    @property
    def is_of_household(self) -> bool:
        """Whether the account is named as one of a household."""
        return self.account is not None and "#" in self.account

    def parameters(self) -> dict[str, Any]:
        """The request as keyword arguments of the flow; paths are absolute, for another process."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value.absolute() if isinstance(value, Path) else value for name, value in values.items()}

    def files(self) -> FileSource:
        """The request's files, with its overrides over them.

        Raises SettingsInvalid and UsageError where the account is one of a household that cannot be read or lacks it.
        """
        account: dict[str, str] = {}
        if self.account is not None:
            file, _, name = self.account.rpartition("#")
            account = {"ibkr.account_id": _id_in(Path(file), name) if file else name}
        return FileSource(self.csv, self.ini, os.environ, {**self.overrides, **account})


def _id_in(file: Path, name: str) -> AccountId:
    from core.household import account_id_in  # noqa: PLC0415 - it takes 40 ms, and few runs are of a household

    return account_id_in(file, name)


_request = TypeAdapter(Request)
