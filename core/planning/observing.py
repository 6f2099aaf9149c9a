"""Looking at account and market in the order a plan needs; the flow and `rebalance plan` look by the same function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from core.market.hours import fx_closed_reason
from core.model import AccountSnapshot, Contract, Mode, PlanRules, Quote, RunId, Symbol, Targets
from core.planning.inputs import PlanInputs


@dataclass(frozen=True, slots=True)
class MarketReader:
    """How to read the account, find the contracts of what must be valued, and take their quotes, by the clock `now`."""

    snapshot: Callable[[], Awaitable[AccountSnapshot]]
    contracts: Callable[[AccountSnapshot], Awaitable[Mapping[Symbol, Contract]]]
    quotes: Callable[[Mapping[Symbol, Contract]], Awaitable[Mapping[Symbol, Quote]]]
    now: Callable[[], datetime]


async def observe(reads: MarketReader, run_id: RunId, mode: Mode, targets: Targets, rules: PlanRules) -> PlanInputs:
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
        fx_closed=fx_closed_reason(now) if rules.funding.prefer_market_hours else None,
    )
