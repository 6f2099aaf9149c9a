"""Simulated worlds, brokers and orders with sensible defaults."""

from __future__ import annotations

from builders import NOW, contract

from core.broker.fake import FakeIB, FakeOptions
from core.model import (
    CAD,
    USD,
    USD_CAD,
    AccountId,
    Order,
    OrderRef,
    OrderType,
    Side,
    Stage,
    Symbol,
)
from core.money import D
from core.sim.venue.contracts import con_id_of
from core.sim.venue.exchange import Exchange
from core.sim.venue.world import FillScript, SimAccount, SimOrder, SimPosition, SimQuote, Values, World

ACCOUNT = AccountId("DU1234567")
VTI = Symbol("VTI")


def quoted(bid=None, ask=None, last=None, **more):
    """A quote from texts."""
    values = Values(*(None if text is None else D(text) for text in (bid, ask, last)))
    return SimQuote(values, **more)


def held(symbol="VTI", quantity="10", cost="200", **more):
    return SimPosition(Symbol(symbol), D(quantity), D(cost), **more)


def earlier(symbol="VTI", side=Side.BUY, ref="RB-EARLIER-B1-1", **more):
    """An order that works before the world begins: 10 shares, limited at 90.00."""
    values = {"quantity": D(10), "limit_price": D("90.00")} | more
    return SimOrder(Symbol(symbol), side, order_ref=OrderRef(ref), **values)


def account(**changes):
    """DU1234567 in USD, with 100 000 USD, 5 000 CAD and 10 VTI."""
    values = {"cash": {USD: D(100_000), CAD: D(5_000)}, "positions": (held(),)}
    return SimAccount(ACCOUNT, **(values | changes))


def world(**changes):
    """VTI at 100.00/100.02, BND at 72.00/72.01 and USD.CAD at 1.36000/1.36005, a Monday at 15:30; no fees."""
    values = {
        "as_of": NOW,
        "account": account(),
        "quotes": {
            VTI: quoted("100.00", "100.02", "100.01"),
            Symbol("BND"): quoted("72.00", "72.01", "72.00"),
            USD_CAD: quoted("1.36000", "1.36005", "1.36000"),
        },
        "commission": D(0),
    }
    return World(**(values | changes))


def scripted(symbol="VTI", **script):
    """`fills` of a world: orders in this symbol fill by the script."""
    return {Symbol(symbol): FillScript(**script)}


def weekdays(day):
    """A calendar without holidays."""
    return "0930-1600" if day.weekday() < 5 else "CLOSED"


def exchange(**changes):
    return Exchange(world(**changes), weekdays)


def fake(options=None, **changes):
    """A broker of the world with these changes."""
    return FakeIB.of(world(**changes), options or FakeOptions())


def order(symbol="VTI", side=Side.BUY, quantity="10", limit="100.02", ref="RB-AAAAAAAAAAAA-B1-1", **changes):
    """A DAY order of the trading client: 10 VTI, limited at the ask; MKT when `limit` is None."""
    is_fx = symbol == USD_CAD
    values = {
        "ref": OrderRef(ref),
        "account_id": ACCOUNT,
        "contract": contract(
            symbol,
            con_id=con_id_of(Symbol(symbol)),
            fractional=not is_fx,
            exchange="IDEALPRO" if is_fx else "SMART",
        ),
        "stage": Stage.FX if is_fx else Stage.BUY if side is Side.BUY else Stage.SELL,
        "line": 1,
        "attempt": 1,
        "side": side,
        "quantity": D(quantity),
        "order_type": OrderType.MKT if limit is None else OrderType.LMT,
        "limit_price": None if limit is None else D(limit),
        "outside_rth": False,
    }
    return Order(**(values | changes))
