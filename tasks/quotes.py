"""Find the contracts of everything that must be valued, and ask the market for them."""

from __future__ import annotations

from collections.abc import Mapping

from core.model import AccountSnapshot, Contract, Mode, Quote, Symbol, Targets
from core.text import counted
from tasks.app.run import Run
from tasks.app.step import reading_step


@reading_step("Resolve the contracts")
async def resolve_contracts(run: Run, targets: Targets, snapshot: AccountSnapshot) -> Mapping[Symbol, Contract]:
    """The contract of every target, of every holding that needs a quote, and of USD.CAD when conversion is on.

    Raises ContractNotFound naming what the broker does not know.
    """
    return await run.reader.resolve_universe(targets, snapshot, run.settings)


@reading_step("Take quotes")
async def take_quotes(run: Run, contracts: Mapping[Symbol, Contract]) -> Mapping[Symbol, Quote]:
    """A quote of every contract, as fresh and complete as a second request can make it. Raises MarketDataMissing."""
    taken = await run.reader.take_quotes(tuple(contracts.values()), run.settings, refuse_not_live=run.mode is Mode.LIVE)
    run.quotes.update(taken.quotes)
    for warning in taken.warnings:
        run.warn(warning)
    run.log_step("quotes", counted(len(taken.quotes), "symbol"))
    return taken.quotes
