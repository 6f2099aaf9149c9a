"""What a plan is made from: account and market at one moment, read in the order a plan needs.

The flow and `rebalance plan` observe by the same function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from core.market.hours import fx_closed_reason
from core.market.quotes import Verdict, judge_all
from core.model import AccountSnapshot, Contract, Mode, Quote, RunId, Symbol, Targets
from core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """Everything a plan depends on besides the settings.

    `contracts` and `quotes` cover every target and every held USD ETF, and USD.CAD when conversion is
    enabled. `fx_closed` is why the FX market is closed at `now`, None when it is open.
    """

    run_id: RunId
    mode: Mode
    targets: Targets
    snapshot: AccountSnapshot
    contracts: Mapping[Symbol, Contract]
    quotes: Mapping[Symbol, Quote]
    now: datetime
    fx_closed: str | None = None

    def judge(self, settings: Settings) -> dict[Symbol, Verdict]:
        """The verdict on each quote at `now`."""
        return judge_all(self.quotes, settings, self.now)


@dataclass(frozen=True, slots=True)
class MarketReader:
    """How to read the account, find the contracts of what must be valued, and take their quotes, by the clock `now`."""

    snapshot: Callable[[], Awaitable[AccountSnapshot]]
    contracts: Callable[[AccountSnapshot], Awaitable[Mapping[Symbol, Contract]]]
    quotes: Callable[[Mapping[Symbol, Contract]], Awaitable[Mapping[Symbol, Quote]]]
    now: Callable[[], datetime]


async def observe(reads: MarketReader, run_id: RunId, mode: Mode, targets: Targets, settings: Settings) -> PlanInputs:
    """The account and the market at one moment. Raises what the reads raise."""
    snapshot = await reads.snapshot()
    contracts = await reads.contracts(snapshot)
    quotes = await reads.quotes(contracts)
    now = reads.now()
    return PlanInputs(
        run_id=run_id,
        mode=mode,
        targets=targets,
        snapshot=snapshot,
        contracts=contracts,
        quotes=quotes,
        now=now,
        fx_closed=fx_closed_reason(now) if settings.fx.prefer_market_hours else None,
    )
