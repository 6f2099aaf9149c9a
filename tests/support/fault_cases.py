"""The account that is spoilt: it converts currency, sells and buys."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from campaign.playing import Case

from core.model import CAD, USD, USD_CAD, AccountId, Mode, Symbol
from core.money import D
from core.scenario import Confirm, Scenario
from core.sim.venue.world import FillScript, SimAccount, SimOrder, SimPosition, SimQuote, Values, World

AS_OF = datetime.fromisoformat("2026-03-02T10:00:00-05:00")  # a Monday morning
ACCOUNT = AccountId("DU1234567")
VTI, IJR, BND, AGG = map(Symbol, ("VTI", "IJR", "BND", "AGG"))


def usual(**changes: Any) -> Case:
    """An account that converts CAD, sells VTI and IJR, buys AGG and BND; every order fills 2 s after it came."""
    quotes = {
        VTI: _quoted("100.00", "100.02"),
        IJR: _quoted("50.00", "50.02"),
        BND: _quoted("72.00", "72.02"),
        AGG: _quoted("95.00", "95.02"),
        USD_CAD: _quoted("1.36000", "1.36005"),
    }
    held = (SimPosition(VTI, D(900), D(80)), SimPosition(IJR, D(600), D(40)))
    values = {
        "as_of": AS_OF,
        "account": SimAccount(ACCOUNT, cash={USD: D(3_000), CAD: D(60_000)}, positions=held),
        "quotes": quotes,
        "fills": dict.fromkeys(quotes, FillScript(delay_seconds=D(2))),
    }
    return Case(_scenario(World(**(values | changes))))


def filling(symbol: Symbol = VTI, **script: Any) -> Case:
    """The usual account where orders in one symbol fill by this script."""
    world = usual().scenario.world
    return usual(fills=dict(world.fills) | {symbol: FillScript(**script)})


def quoting(symbol: Symbol = VTI, **changes: Any) -> Case:
    """The usual account where the market of one symbol is another."""
    world = usual().scenario.world
    return usual(quotes=dict(world.quotes) | {symbol: replace(world.quotes[symbol], **changes)})


def working(*orders: SimOrder) -> Case:
    """The usual account with these orders at work before the run."""
    account = usual().scenario.world.account
    return usual(account=replace(account, open_orders=orders))


def _quoted(bid: str, ask: str) -> SimQuote:
    return SimQuote(Values(D(bid), D(ask), D(bid)))


def _scenario(world: World) -> Scenario:
    return Scenario(
        name="the usual account",
        path=Path("usual.yaml"),
        as_of=AS_OF,
        mode=Mode.PAPER,
        confirm=Confirm.YES,
        confirm_live=False,
        settings={
            "ibkr": {"account_id": ACCOUNT, "read_only": "false"},
            "models": {"smurf": "0.5", "badass": "0.3", "gltr": "0.2"},
            "rebalance": {"min_order_usd": "0"},
            "fx": {"enabled": "true"},
        },
        portfolios=None,
        targets={VTI: D("0.2"), IJR: D("0.1"), BND: D("0.4"), AGG: D("0.3")},
        world=world,
    )
