"""accounts.yaml, its settings and its portfolios files to a checked Household, or one error with every fault of all."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from core.errors import PortfoliosInvalid, RebalanceError, SettingsInvalid, UsageError
from core.household.file import HouseholdFile, ListedAccount
from core.household.household import BrokerClient, Household, HouseholdAccount, messages_per_second
from core.masking import mask_accounts
from core.model import AccountId, Targets
from core.settings import Settings
from core.settings.kinds import read_path
from core.settings.layers import Given, Overrides
from core.settings.loading import load_settings
from core.targets import LOOSEST, blend, read_portfolios
from core.text import CORRECT_FILE, did_you_mean, visible
from core.yaml_file import Place, YamlFile, is_absent, load

_ACCOUNT = "ibkr.account_id"
_SHARE = "ibkr.max_messages_per_second"
_MOST_NAMED = 3


def load_household(path: Path, *, environ: Mapping[str, str], overrides: Mapping[str, str], now: datetime) -> Household:
    """The household of an accounts.yaml, with the settings and the targets of each account.

    Precedence: settings file < environment < the account's own settings < `overrides`, those of the household's run.
    Raises one error with every fault of all files: PortfoliosInvalid where only portfolios are at fault (their age at
    `now`), SettingsInvalid for any other.
    """
    file = load(path.absolute(), SettingsInvalid)
    found, faults = file.checked(HouseholdFile)
    reading = _Reading(file, {place[:2] for place, _ in faults}, environ, overrides, now)
    reading.faults += [reading.named(place, text) for place, text in faults]
    if any(name.strip().lower() == _ACCOUNT for name in overrides):
        reading.faults.append(f"{_ACCOUNT} in the options of this run: the accounts are those of {file.path.name}")
    base = reading.base_settings()
    accounts = reading.accounts()
    if found is None or base is None or reading.all_faults:
        raise reading.error()
    shares = messages_per_second([account.settings for account in accounts], found.at_once)
    return Household(
        name=found.name,
        file=file.path,
        ini=file.path.parent / found.settings,
        approval=found.approval,
        at_once=found.at_once,
        settings=base,
        accounts=tuple(_with_share(account, shares[account.client.gateway]) for account in accounts),
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """What an accounts.yaml lists, nothing of it checked but its form: its settings file, and its accounts by name."""

    ini: Path
    accounts: Mapping[str, AccountId]


def read_listed(path: Path) -> Listed:
    """What the file lists. Raises SettingsInvalid for a file with faults."""
    absolute = path.absolute()
    found = load(absolute, SettingsInvalid).read(HouseholdFile)
    return Listed(absolute.parent / found.settings, {each.name: each.id for each in found.accounts})


def account_id_in(path: Path, name: str) -> AccountId:
    """The id of the account of this name in an accounts.yaml, of which nothing else is checked but its form.

    Raises SettingsInvalid for a file with faults, UsageError for a name that it lacks.
    """
    listed = read_listed(path).accounts
    if name not in listed:
        raise UsageError(
            f"{path} has no account {visible(name)}{did_you_mean(name, listed)}", next_step="name it as the file does"
        )
    return listed[name]


@dataclass(slots=True)
class _Reading:
    """Reads what an accounts.yaml names, and goes on after a fault to find the others.

    `faulty` are the places, two keys deep, that the file itself has faults at: what stands there is not read any
    further. `faults` are all but those of portfolios, which are kept with the names of the accounts that have them.
    """

    file: YamlFile
    faulty: set[Place]
    environ: Mapping[str, str]
    overrides: Mapping[str, str]
    now: datetime
    faults: list[str] = field(default_factory=list)
    of_portfolios: dict[str, list[str]] = field(default_factory=dict)
    of_settings_file: frozenset[str] = frozenset()
    blended: dict[Hashable, tuple[Targets | None, Sequence[str]]] = field(default_factory=dict)

    def named(self, place: Place, text: str) -> str:
        return f"{self.file.path}: {self.file.fault(place, text)}"

    @property
    def all_faults(self) -> list[str]:
        """The faults of accounts.yaml and settings, then those of portfolios with the accounts that have them."""
        return [*self.faults, *(_with_names(fault, names) for fault, names in self.of_portfolios.items())]

    def error(self) -> RebalanceError:
        """The one error of all faults."""
        # an id may stand where none belongs, as in the name of a file
        faults = [mask_accounts(fault) for fault in self.all_faults]
        message = faults[0] if len(faults) == 1 else f"{self.file.path}: {len(faults)} faults in the household"
        made = SettingsInvalid if self.faults else PortfoliosInvalid
        return made(message, next_step=CORRECT_FILE, faults=faults)

    def base_settings(self) -> Settings | None:
        """The settings file by itself, as commands read it that are about no account, such as `rebalance stop`."""
        ini = self._path("settings")
        if ini is None:
            return None
        try:
            return load_settings(ini, environ=self.environ, overrides=self.overrides)
        except SettingsInvalid as error:
            self.of_settings_file = frozenset(error.faults)
            self.faults += [f"{ini}: {fault}" for fault in error.faults]
            return None

    def accounts(self) -> list[HouseholdAccount]:
        """The accounts that are sound, in the order of the file."""
        entries = self.file.texts.get("accounts")
        found: dict[Place, HouseholdAccount] = {}
        for number, entry in enumerate(entries if isinstance(entries, list) else []):
            place = ("accounts", number)
            if place not in self.faulty:
                account = self._account(place, ListedAccount.model_validate(entry))
                found |= {place: account} if account else {}
        self.faults += [self.named(place, fault) for place, fault in _close_clients(found)]
        return list(found.values())

    def _account(self, place: Place, listed: ListedAccount) -> HouseholdAccount | None:
        settings = self._own_settings(place, listed)
        path = self.file.path.parent / listed.portfolios if listed.portfolios else self._path("portfolios")
        if path is None and ("portfolios",) not in self.faulty:
            self.faults.append(
                self.named((*place, "portfolios"), "is missing, and the household names no file for all")
            )
        targets = self._targets(path, settings, listed.name) if path else None
        if path is None or settings is None or targets is None:
            return None
        return HouseholdAccount(
            name=listed.name,
            account_id=listed.id,
            portfolios=path,
            overrides={**listed.settings, **self.overrides},
            tags=listed.tags,
            settings=settings,
            targets=targets,
        )

    def _own_settings(self, place: Place, listed: ListedAccount) -> Settings | None:
        ini, where = self._path("settings"), (*place, "settings")
        if ini is None:
            return None
        own = {
            key: Given(text, f"{self.file.path.name} line {self.file.line((*where, key))}")
            for key, text in listed.settings.items()
        }
        overrides: Overrides = {**own, **self.overrides, _ACCOUNT: listed.id}
        try:
            return load_settings(ini, environ=self.environ, overrides=overrides)
        except SettingsInvalid as error:
            faults = [fault for fault in error.faults if fault not in self.of_settings_file]
            self.faults += [self.named(where, f"{listed.name}: {fault}") for fault in faults]
            return None

    def _targets(self, path: Path, settings: Settings | None, name: str) -> Targets | None:
        """The targets of the file, which is read once for all accounts of the same models and bounds."""
        key = (path, settings and (*settings.models.items(), settings.rebalance, settings.io.max_csv_age_days))
        if key not in self.blended:
            self.blended[key] = _read_targets(path, settings, self.now)
        targets, faults = self.blended[key]
        for fault in faults:
            self.of_portfolios.setdefault(fault, []).append(name)
        return targets

    def _path(self, key: str) -> Path | None:
        """The absolute path that the file has at its top under this key; None for none, or one at fault."""
        text = self.file.texts.get(key)
        if not isinstance(text, str) or is_absent(text) or (key,) in self.faulty:
            return None
        return self.file.path.parent / read_path(text.strip())


def _read_targets(path: Path, settings: Settings | None, now: datetime) -> tuple[Targets | None, Sequence[str]]:
    """(the targets of a portfolios file, its faults); without settings only the faults that depend on none."""
    try:
        if settings is None:
            read_portfolios(path, None, LOOSEST, max_age=None, now=now)
            return None, ()
        days = settings.io.max_csv_age_days
        max_age = None if days is None else timedelta(days=days)
        rows = read_portfolios(path, settings.models, settings.rebalance, max_age=max_age, now=now)
    except PortfoliosInvalid as error:
        return None, error.faults
    try:
        return blend(rows, settings.models, settings.rebalance), ()
    except PortfoliosInvalid as error:
        # the blend knows no file
        return None, [f"{path}: {fault}" for fault in error.faults]


def _with_names(fault: str, names: Sequence[str]) -> str:
    """The fault of a portfolios file, and whose it is."""
    more = len(names) - _MOST_NAMED
    return f"{fault} (for {', '.join(names[:_MOST_NAMED])}{f' and {more} more' if more > 0 else ''})"


def _close_clients(accounts: Mapping[Place, HouseholdAccount]) -> Iterator[tuple[Place, str]]:
    """Accounts whose client id is that by which commands that only read connect for another, at the same gateway."""
    first: dict[BrokerClient, tuple[Place, HouseholdAccount]] = {}
    for place, account in accounts.items():
        first.setdefault(account.client, (place, account))
    for lower, upper in pairwise(sorted(first)):
        if lower.gateway == upper.gateway and upper.client_id == lower.client_id + 1:
            (_, other), (place, account) = first[lower], first[upper]
            where = f"{account.name}: client_id {upper.client_id} at {upper.host}:{upper.port}"
            why = f"is the one by which commands that only read connect for {other.name}"
            yield (*place, "settings"), f"{where} {why}: give it the same client_id, or one 2 apart"


def _with_share(account: HouseholdAccount, messages: int) -> HouseholdAccount:
    """The account with its share of what its gateway accepts."""
    return replace(
        account,
        overrides={**account.overrides, _SHARE: str(messages)},
        settings=replace(account.settings, ibkr=replace(account.settings.ibkr, max_messages_per_second=messages)),
    )
