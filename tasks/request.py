"""What a run is asked to do, by a command, a deployment or a plain call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from core.model import BrokerKind, Mode
from tasks.sources import Files


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked to do; relative paths are the caller's."""

    csv: Path
    ini: Path
    mode: Mode = Mode.DRY_RUN
    account: str | None = None
    broker: BrokerKind = BrokerKind.IBKR
    market: Path | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    confirm_live: bool = False

    def parameters(self) -> dict[str, Any]:
        """The request as keyword arguments of the flow; files are absolute, for whoever reads them elsewhere."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value.absolute() if isinstance(value, Path) else value for name, value in values.items()}

    def files(self) -> Files:
        """The request's files, with its overrides over them."""
        account = {} if self.account is None else {"ibkr.account_id": self.account}
        return Files(self.csv, self.ini, os.environ, {**self.overrides, **account})
