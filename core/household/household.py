"""The values of a household: its accounts with their checked settings and targets, and who shares which gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from core.masking import mask_account
from core.model import AccountId, Targets
from core.settings import Settings

# the two names of this computer that a person may mix in one file
_SAME_HOST = {"localhost": "127.0.0.1"}


class HouseholdApproval(StrEnum):
    """Who is asked: a question for each account, or one for all of them."""

    PER_ACCOUNT = "per_account"
    ONE_FOR_ALL = "one_for_all"


@dataclass(frozen=True, slots=True, order=True)
class BrokerClient:
    """A client of a gateway, which trades; two accounts of the same one are never at work at the same time."""

    host: str
    port: int
    client_id: int

    @classmethod
    def of(cls, settings: Settings) -> BrokerClient:
        """The client that trades by these settings."""
        host = settings.ibkr.host.lower()
        return cls(_SAME_HOST.get(host, host), settings.ibkr.port, settings.ibkr.client_id)

    @property
    def gateway(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseholdAccount:
    """One account of a household.

    `overrides` ("section.key" to text) are what its run is started with: its own settings, over them those of the
    household's run, and its share of the gateway's messages. `settings` are the effective ones, the overrides in them.
    """

    name: str
    account_id: AccountId = field(repr=False)
    portfolios: Path
    overrides: Mapping[str, str]
    tags: tuple[str, ...]
    settings: Settings
    targets: Targets

    @property
    def masked_id(self) -> str:
        """The account id, masked."""
        return mask_account(self.account_id)

    @property
    def client(self) -> BrokerClient:
        """The client of its gateway that trades it."""
        return BrokerClient.of(self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    """Several accounts that are rebalanced together, in the order of the file; `at_once` run at the same time, at most.

    `file` is accounts.yaml and `ini` its settings file, which `settings` are read from, the household's own: they hold
    where reports, journal and kill switch are. Paths are absolute.
    """

    name: str
    file: Path
    ini: Path
    approval: HouseholdApproval
    at_once: int
    settings: Settings
    accounts: tuple[HouseholdAccount, ...]

    @property
    def by_client(self) -> Mapping[BrokerClient, tuple[HouseholdAccount, ...]]:
        """The accounts of each client at a gateway, which run one after the other."""
        found: dict[BrokerClient, tuple[HouseholdAccount, ...]] = {}
        for account in self.accounts:
            found[account.client] = (*found.get(account.client, ()), account)
        return found


def messages_per_second(settings: Iterable[Settings], at_once: int) -> Mapping[tuple[str, int], int]:
    """By gateway: how many messages a second each client may send that is there at the same time as the others.

    The gateway's limit is the lowest of its accounts'; it is shared evenly, and nobody's share is 0.
    """
    limits: dict[tuple[str, int], int] = {}
    clients: dict[tuple[str, int], set[BrokerClient]] = {}
    for each in settings:
        client = BrokerClient.of(each)
        limit = each.ibkr.max_messages_per_second
        limits[client.gateway] = min(limit, limits.get(client.gateway, limit))
        clients.setdefault(client.gateway, set()).add(client)
    return {gateway: max(1, limits[gateway] // min(len(own), at_once)) for gateway, own in clients.items()}
