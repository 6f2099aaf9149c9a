"""Command-line options → what a run understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.errors import UsageError
from core.model.types import BrokerKind, Mode


class Venue(StrEnum):
    """What stands behind the broker port in a scenario; `gateway` is the real client over a real socket."""

    FAKE = "fake"
    GATEWAY = "gateway"

    @property
    def kind(self) -> BrokerKind:
        return BrokerKind.FAKE if self is Venue.FAKE else BrokerKind.SIMULATED


def one_mode(chosen: Mapping[Mode, bool]) -> Mode:
    """The one mode that was chosen; dry run without any. Raises UsageError for more than one."""
    modes = [mode for mode, is_chosen in chosen.items() if is_chosen]
    if len(modes) > 1:
        raise UsageError(
            f"--{' and --'.join(mode.replace('_', '-') for mode in modes)} exclude each other",
            next_step="choose one mode",
        )
    return modes[0] if modes else Mode.DRY_RUN


def overrides(
    sets: Sequence[str] | None, per_holding_band_bps: str | None = None, min_order_usd: str | None = None
) -> dict[str, str]:
    """Settings of this run, by "section.key". Raises UsageError for a --set without `section.key=`."""
    values = {}
    for text in sets or ():
        name, equals, value = text.partition("=")
        if not equals or name.count(".") != 1:
            raise UsageError(f"--set {text} is not understood", next_step="write --set section.key=value")
        values[name.strip()] = value.strip()
    own = {"rebalance.per_holding_band_bps": per_holding_band_bps, "rebalance.min_order_usd": min_order_usd}
    return values | {name: value for name, value in own.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the parameters of the deployments are when a run names none; None leaves them as they were."""

    csv: Path | None = None
    ini: Path | None = None
    broker: BrokerKind | None = None
    market: Path | None = None

    def parameters(self) -> dict[str, Any]:
        """Those that are given, as JSON has them; files are absolute, as a run's process has a folder of its own.

        Raises UsageError for a file that is not there.
        """
        given = {"csv": self.csv, "ini": self.ini, "market": self.market}
        files = {name: _existing(path) for name, path in given.items() if path is not None}
        return files if self.broker is None else {**files, "broker": self.broker.value}


def _existing(path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"{path} is not there, or no file", next_step="name a file that the runs can read")
    return str(path.absolute())
