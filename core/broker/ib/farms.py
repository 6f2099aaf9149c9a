"""Which of IBKR's data farms are broken: prices of a market-data farm stand still, a new line gets the last ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from core.broker.error_codes import FARM_LOST, FARMS_DOWN, FARMS_UP, LINK_BACK
from core.model import USD_CAD, Symbol

# `…is OK:usfarm.nj`, `…should be available upon demand.ushmds`
_NAMED = re.compile(r"(?:.*:|.*\bupon demand\.)\s*(\S+)\s*")
# what 1101 and 1102 say of all of them, as `The following farms are not connected: cashhmds.`
_LISTED = re.compile(r"farms are (not )?connected: (.+?)\.(?= |$)")
# a farm that is named like none of these may serve anything
SHARES, CURRENCIES = "usfarm", "cashfarm"
ELSEWHERE = ("usopt", "usbond", "usfut", "usfund", "secdef", "eufarm", "cafarm", "hfarm", "jfarm", "afarm", "sgfarm")
PAST = "hmds"


class Farms:
    """The data farms that the gateway speaks of: `is_up` by name, and since when market-data farms are broken."""

    def __init__(self) -> None:
        self.is_up: dict[str, bool] = {}
        self._broken: dict[str, datetime] = {}

    def hear(self, code: int, text: str, at: datetime) -> None:
        """Take what the gateway says of one farm, or of all when it has found IBKR again."""
        if code in LINK_BACK:
            for name, is_up in _listed(text):
                self._note(name, at, is_up=is_up, is_market_data=True)
        elif code in FARMS_UP | FARMS_DOWN:
            found = _NAMED.fullmatch(text)
            name = found[1] if found else text
            self._note(name, at, is_up=code in FARMS_UP, is_market_data=code == FARM_LOST)

    def lost_since(self, symbol: Symbol) -> datetime | None:
        """Since when a farm that may serve the symbol is broken: of several the one that has been for longest."""
        return min((at for name, at in self._broken.items() if _may_serve(name, symbol)), default=None)

    def _note(self, name: str, at: datetime, *, is_up: bool, is_market_data: bool) -> None:
        self.is_up[name] = is_up
        if is_up:
            self._broken.pop(name, None)
        elif is_market_data:
            self._broken.setdefault(name, at)


def _listed(text: str) -> Iterator[tuple[str, bool]]:
    for not_connected, names in _LISTED.findall(text):
        yield from ((name.strip(), not not_connected) for name in names.split(";"))


def _may_serve(farm: str, symbol: Symbol) -> bool:
    """Whether prices of the symbol may come from this farm, by its name: shares are on usfarm, usfarm.nj…"""
    if farm.startswith(ELSEWHERE) or farm.endswith(PAST):
        return False
    return not farm.startswith(SHARES if symbol == USD_CAD else CURRENCIES)
