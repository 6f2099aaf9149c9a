"""Faults in the code that builds, sizes, prices or sends orders: the gates see them from outside.

Each mutation is of the code, in a whole run. What is wrong with an order stops its stage before any of it is sent; what
goes wrong on the way to the broker and back is found in the fills, and in the account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest
from flow_runs import Given, Rehearsal, SaysYes
from scenario_runs import rehearse
from worlds import VTI, account, held, quoted, scripted

import core.broker.ib.client
import core.broker.ib.fills
import core.execution.orders
import tasks.buys
import tasks.fx
import tasks.sells
from core.errors import ExitCode
from core.execution import Attempts
from core.model import CAD, USD, USD_CAD, Order, OrderType, Side, Stage, Symbol
from core.money import D
from core.targets import targets_from_weights
from deployments.options import ScenarioBroker

BND, GLD = Symbol("BND"), Symbol("GLD")
FX, SELL, BUY = Stage.FX, Stage.SELL, Stage.BUY
TARGETS = {VTI: D("0.4"), BND: D("0.3"), GLD: D("0.3")}
# the broker's own answers would stop some faults before a gate sees them
SETTINGS = {"fx": {"enabled": "true"}, "execution": {"preflight": "false"}}


class Three(Given):
    """Final weights of three funds."""

    def targets(self, settings, rows):
        return targets_from_weights(TARGETS, settings.rebalance)


def rehearsal(folder, **changes):
    """An account that converts CAD, sells VTI and buys BND and GLD."""
    world = {
        "account": account(cash={USD: D(0), CAD: D(50_000)}, positions=(held(quantity="300"),)),
        "quotes": {
            VTI: quoted("100.00", "100.01", "100.00"),
            BND: quoted("72.00", "72.01", "72.00"),
            GLD: quoted("180.00", "180.01", "180.00"),
            USD_CAD: quoted("1.36000", "1.36005", "1.36000"),
        },
    }
    source = Three(folder, SETTINGS | changes.pop("settings", {}))
    return Rehearsal(folder, approver=SaysYes(), source=source, changes=world | changes)


class Fault(NamedTuple):
    """A mutation, the first stage whose orders it spoils, what its gate says, and the settings that it needs."""

    mutate: Callable[[pytest.MonkeyPatch], None]
    stage: Stage
    message: str
    settings: dict[str, dict[str, str]] = {}  # noqa: RUF012 - never changed


def built(stage, message, **changes):
    """A fault in how the orders of a stage are built: each change gives a field, from the order as it should be."""

    def wrong(**values):
        sound = Order(**values)
        if sound.stage is not stage:
            return sound
        return replace(sound, **{name: change(sound) for name, change in changes.items()})

    return Fault(lambda patch: patch.setattr(core.execution.orders, "Order", wrong), stage, message)


def wraps(module, name, change, stage, message):
    """A fault in what `module.name` returns."""
    real = getattr(module, name)

    def mutate(patch):
        patch.setattr(module, name, lambda *args, **kwargs: change(real(*args, **kwargs)))

    return Fault(mutate, stage, message)


def contract_with(**changes):
    return lambda order: replace(order.contract, **changes)


def other_side(order):
    return Side.SELL if order.side is Side.BUY else Side.BUY


def more(quantity):
    return lambda order: order.quantity + D(quantity)


def dearer(amount):
    return lambda order: order.limit_price + D(amount)


QUICK = {
    "a conversion sells the pair": built(FX, "side does not fit the stage: USD.CAD", side=other_side),
    "one share less is sold than was approved": built(SELL, "less sold than was approved: VTI", quantity=more("-1")),
    "a limit lies a tick above the ask": built(BUY, "limit beyond the market: BND", limit_price=dearer("0.01")),
    "a price is not converted": built(
        BUY, "price worse than was approved: BND", limit_price=lambda order: order.limit_price * D("1.36")
    ),
}  # fmt: skip
MORE = {
    "a conversion is sized in CAD": built(
        FX, "more than was approved: USD.CAD", quantity=lambda order: order.quantity * D("1.36") // 1
    ),
    "a conversion is a dollar too large": built(FX, "more than was approved: USD.CAD", quantity=more("1")),
    "a conversion is of half the dollars": built(
        FX, "less converted than was approved: USD.CAD", quantity=lambda order: order.quantity // 2
    ),
    "a conversion has cents": built(FX, "not a whole number of shares: USD.CAD", quantity=more("-0.5")),
    "a conversion is priced in USD": built(
        FX, "in the wrong currency: USD.CAD", contract=contract_with(currency=USD)
    ),
    "a conversion goes to the router of shares": built(
        FX, "not the route of the settings: USD.CAD", contract=contract_with(exchange="SMART")
    ),
    "a conversion is another contract": built(
        FX, "not the contract that was approved: USD.CAD", contract=contract_with(con_id=1)
    ),
    "a conversion at the market has a limit": built(
        FX, "market order with a limit: USD.CAD", limit_price=lambda order: D("1.36")
    ),
    "a conversion has a limit that the settings do not want": built(
        FX, "not an order type of the settings: USD.CAD",
        order_type=lambda order: OrderType.LMT, limit_price=lambda order: D("1.36005"),
    ),
    "the rate of a conversion is upside down": wraps(
        tasks.fx, "fx_market", lambda made: replace(made, worst=1 / made.worst), FX,
        "limit on the wrong side of the mid: USD.CAD",
    )._replace(settings={"fx": {"enabled": "true", "order_type": "LMT"}}),
    "what is sold is bought": built(SELL, "side is not the approved one: VTI", side=other_side),
    "one share more is sold than was approved": built(SELL, "more than was approved: VTI", quantity=more("1")),
    "all that is held is sold": built(SELL, "more than was approved: VTI", quantity=lambda order: D(300)),
    "more is sold than is held": built(SELL, "more sold than held: VTI", quantity=lambda order: D(301)),
    "half a share is sold": built(SELL, "not a whole number of shares: VTI", quantity=more("-0.5")),
    "nothing is sold": built(SELL, "quantity not above 0: VTI", quantity=lambda order: D(0)),
    "a sell's limit lies a tick below the bid": built(
        SELL, "limit beyond the market: VTI", limit_price=lambda order: D("99.99")
    ),
    "a sell is priced as a buy": built(
        SELL, "limit on the wrong side of the mid: VTI", limit_price=lambda order: D("100.03")
    ),
    "a limit lies between two ticks": built(SELL, "limit between two ticks: VTI", limit_price=dearer("0.003")),
    "a limit is a hundredth": built(
        SELL, "price worse than was approved: VTI", limit_price=lambda order: order.limit_price / 100
    ),
    "a limit has the wrong sign": built(SELL, "limit not above 0: VTI", limit_price=lambda order: -order.limit_price),
    "a limit order lacks its limit": built(SELL, "no limit_price: VTI", limit_price=lambda order: None),
    "a limit order goes at the market": built(
        SELL, "not an order type of the settings: VTI",
        order_type=lambda order: OrderType.MKT, limit_price=lambda order: None,
    ),
    "an order is for another account": built(
        SELL, "order for another account: VTI", account_id=lambda order: "DU7654321"
    ),
    "an order has the reference of another run": built(
        SELL, "not an order reference of this run: VTI", ref=lambda order: "RB-ZZZZZZZZZZZZ-S1-1"
    ),
    "an order is of the same ticker elsewhere": built(
        SELL, "not the contract that was approved: VTI", contract=contract_with(con_id=1)
    ),
    "an order is in CAD": built(SELL, "in the wrong currency: VTI", contract=contract_with(currency=CAD)),
    "an order works outside regular hours": built(
        SELL, "not the trading hours of the settings: VTI", outside_rth=lambda order: True
    ),
    "the limits of sells are those of buys": wraps(
        tasks.sells, "limit_for", lambda made: made._replace(limit_price=D("100.03")), SELL,
        "limit on the wrong side of the mid: VTI",
    ),
    "what is bought is sold": built(BUY, "side does not fit the stage: BND, GLD", side=other_side),
    "one share more is bought than was approved": wraps(
        tasks.buys, "resize_buys", lambda lines: tuple(line._replace(quantity=line.quantity + 1) for line in lines),
        BUY, "more than was approved: BND, GLD",
    ),
    "half a share is bought": built(BUY, "not a whole number of shares: BND, GLD", quantity=more("-0.5")),
    "a buy's limit lies below the bid": built(
        BUY, "limit on the wrong side of the mid: BND",
        limit_price=lambda order: D("71.98") if order.contract.symbol == BND else order.limit_price,
    ),
    "both buys have one reference": built(
        BUY, "order reference used twice: BND, GLD", ref=lambda order: f"{order.ref[:-3]}1-1"
    ),
    "each buy is sent twice": wraps(
        tasks.buys, "stage_orders", lambda orders: [*orders, *orders], BUY, "two orders in one symbol: BND, GLD"
    ),
    "a buy has the reference of the sell": built(
        BUY, "order reference of an earlier order: BND",
        ref=lambda order: order.ref.replace("-B1-", "-S1-"),
    ),
}  # fmt: skip


def refusals(outcome):
    return [error.in_full for error in outcome.errors if error.exit_code is ExitCode.DATA]


async def test_without_a_fault_all_three_stages_are_sent(tmp_path):
    sound = rehearsal(tmp_path)
    outcome = await sound.run()
    assert (outcome.exit_code, refusals(outcome)) == (ExitCode.DONE, [])
    assert [(order.stage, order.contract.symbol) for order in sound.sent()] == [
        (FX, USD_CAD), (SELL, VTI), (BUY, BND), (BUY, GLD),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fault", [*QUICK.values(), *(pytest.param(each, marks=pytest.mark.slow) for each in MORE.values())],
    ids=[*QUICK, *MORE],
)  # fmt: skip
async def test_a_fault_in_an_order_stops_its_stage_before_any_of_it_is_sent(fault, tmp_path, monkeypatch):
    faulty = rehearsal(tmp_path, settings=fault.settings)
    fault.mutate(monkeypatch)
    outcome = await faulty.run()
    (refused,) = refusals(outcome)
    assert f"data gate {fault.stage} orders: " in refused
    assert fault.message in refused
    before = {FX: [], SELL: [FX], BUY: [FX, SELL]}[fault.stage]
    assert [order.stage for order in faulty.sent()] == before


@pytest.mark.slow
async def test_buys_that_count_on_money_that_did_not_come_are_not_sent(tmp_path, monkeypatch):
    """Nothing is converted, and the code sizes the buys as if it had been."""
    monkeypatch.setattr(tasks.buys, "resize_buys", lambda plan, now, settings: plan.buys)
    faulty = rehearsal(tmp_path, fills=scripted(USD_CAD, fill_fraction=0))
    assert any("buys cost more than the cash there is: BND, GLD" in each for each in refusals(await faulty.run()))
    assert [order.stage for order in faulty.sent()] == [FX, SELL]


# --- further attempts -------------------------------------------------------------------------------

NEXT = {
    "the whole line is sent again": ("more than was approved: VTI", lambda order: replace(order, quantity=D(90))),
    "the remainder is bought back": (
        "side does not fit the stage: VTI", lambda order: replace(order, side=Side.BUY)
    ),
    "the remainder has the reference of the first attempt": (
        "order reference of an earlier order: VTI",
        lambda order: replace(order, ref=order.ref.replace("-S1-2", "-S1-1")),
    ),
    "the remainder goes below the bid": (
        "limit beyond the market: VTI", lambda order: replace(order, limit_price=D("99.90"))
    ),
    "a part of the remainder is forgotten": (
        "less sold than was approved: VTI", lambda order: replace(order, quantity=order.quantity - 1)
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "change"), [pytest.param(*each, marks=pytest.mark.slow) if place else each
                            for place, each in enumerate(NEXT.values())],
    ids=NEXT,
)  # fmt: skip
async def test_a_fault_in_a_further_attempt_keeps_it_from_being_sent(message, change, tmp_path, monkeypatch):
    real = Attempts.next_order
    monkeypatch.setattr(Attempts, "next_order", lambda *args: change(real(*args)))
    faulty = rehearsal(tmp_path, fills=scripted(fill_fraction=D("0.5")))
    outcome = await faulty.run()
    assert any("data gate SELL orders sent again: " in each and message in each for each in refusals(outcome))
    assert [order.attempt for order in faulty.sent() if order.side is Side.SELL] == [1]


# --- on the way to the broker and back --------------------------------------------------------------


def sent_with(**changes):
    """A fault in how LiveIB writes an order on the wire: each change gives a field of ib_async's order."""
    real = core.broker.ib.client._order_of

    def wrong(order, *, is_what_if):
        made = real(order, is_what_if=is_what_if)
        for name, change in changes.items():
            setattr(made, name, change(order))
        return made

    return lambda patch: patch.setattr(core.broker.ib.client, "_order_of", wrong)


def received_with(change):
    """A fault in how LiveIB reads an execution."""
    real = core.broker.ib.fills.fill_of
    return lambda patch: patch.setattr(core.broker.ib.fills, "fill_of", lambda row: change(real(row)))


MOVED = "position changed by something else than our fills"
PAID = "cash changed by something else than our fills and commissions"
ON_THE_WAY = {
    "a share more is sold than was said": (
        sent_with(totalQuantity=lambda order: int(order.quantity) + 1), "more filled than ordered"
    ),
    # an execution of the other side is not among our fills
    "what is to be sold is bought": (
        sent_with(action=lambda order: "BUY", lmtPrice=lambda order: 251.0), MOVED
    ),
    "executions are read with the other side": (received_with(lambda fill: replace(fill, side=Side.BUY)), MOVED),
    "a price is read in another currency": (
        received_with(lambda fill: replace(fill, price=fill.price * D("1.36"))), PAID
    ),
    "a cent of a price is lost": (received_with(lambda fill: replace(fill, price=fill.price - D("0.01"))), PAID),
    "a dollar of a price is lost": (
        received_with(lambda fill: replace(fill, price=fill.price - 1)), "filled at a worse price than its limit"
    ),
    "executions are read without a price": (
        received_with(lambda fill: replace(fill, price=D(0))), "price not above 0"
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("mutate", "message"), ON_THE_WAY.values(), ids=ON_THE_WAY)
def test_a_fault_on_the_way_to_the_broker_and_back_is_found_in_the_fills(mutate, message, tmp_path, monkeypatch):
    mutate(monkeypatch)
    # one sell, over the wire
    outcome = rehearse(
        "e2e_one_overweight_sells_only", tmp_path, ("settings:", "settings:\n  execution: {preflight: false}"),
        venue=ScenarioBroker.GATEWAY,
    ).outcome  # fmt: skip
    (verdict,) = (each for each in outcome.gates if each.table == "fills")
    assert message in [fault.message for fault in verdict.faults]
