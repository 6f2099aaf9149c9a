"""Command-line options → what a run understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from core.errors import UsageError
from core.model.words import BrokerKind, Mode


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
