"""How a command that starts no run reaches the gateway: by a settings file, or by the defaults without one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.broker.port import Broker
from core.model import AccountId, BrokerKind, Mode
from core.settings import Settings
from core.settings.loading import load_settings, settings_from
from tasks.app.brokers import make_broker
from tasks.app.request import Request

# stands for the account until the gateway has reported its own: no id is a text without digits
ANY_ACCOUNT = AccountId("UNKNOWN")
ONE_MODEL = {"MAIN": "1"}


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """The options of a command that looks at the gateway; `account` goes before the settings file's."""

    ini: Path | None = None
    account: str | None = None
    broker: BrokerKind = BrokerKind.IBKR
    market: Path | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def rehearsal_options(self) -> str:
        """The options by which another command looks at the same simulated account; empty at the real gateway."""
        options = [] if self.broker is BrokerKind.IBKR else ["--broker", self.broker.value]
        return shlex.join([*options, *(["--market", str(self.market)] if self.market else [])])

    def settings(self) -> Settings:
        """The settings of the file, else of environment and defaults, for `ANY_ACCOUNT` where none is named.

        Raises SettingsInvalid.
        """
        overrides = {**self.overrides, **({"ibkr.account_id": self.account} if self.account is not None else {})}
        if self.ini is not None:
            return load_settings(self.ini, environ=os.environ, overrides=overrides)
        least: dict[str, dict[str, str]] = {"ibkr": {"account_id": ANY_ACCOUNT}, "models": ONE_MODEL}
        return settings_from(least, folder=Path(), environ=os.environ, overrides=overrides)

    def make_broker(self, settings: Settings) -> Broker:
        """The broker, not yet connected, as a client that sends no order. Raises UsageError for a market file."""
        request = Request(Path(), self.ini or Path(), Mode.DRY_RUN, broker=self.broker, market=self.market)
        return make_broker(request, settings)
