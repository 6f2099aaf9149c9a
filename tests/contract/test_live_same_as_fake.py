"""Whatever is asked, in whatever order: LiveIB over the gateway and FakeIB give the same account, orders and fills."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from broker_contract import drain
from fuzzing import FUZZ_CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from live import venue_of
from worlds import account, earlier, held, order, scripted, world

from core.broker.fake import FakeIB
from core.errors import RebalanceError
from core.model import (
    CAD,
    USD_CAD,
    AccountSnapshot,
    CommissionReport,
    Fill,
    Notice,
    OrderRef,
    OrderState,
    OrderUpdate,
    SecurityType,
    Side,
    Symbol,
)
from core.money import D, nearest_to_low
from core.sim.world import Change, FillScript, Point, SimQuote, Values

BND, IJR = Symbol("BND"), Symbol("IJR")
SYMBOLS = ("VTI", "BND", "IJR", "USD.CAD")
LIMITS = (None, "50.00", "72.01", "100.02", "100.001", "1.36005", "1.3", "500")
SHOP = held("SHOP", "7", "55", security_type=SecurityType.STOCK, currency=CAD)
FILLS = (
    {},
    scripted("BND", delay_seconds=D(3), fill_fraction=D("0.5")),
    scripted("IJR", reject=201) | scripted("BND", price=D("71.98")),
    scripted("IJR", reject=10243) | scripted("VTI", is_lost=True),
    {BND: FillScript(delay_seconds=D("1.5")), IJR: FillScript(fill_fraction=D("0.25"))},
)
MOVES = (Change(Point.APPROVAL, {Symbol("VTI"): SimQuote(Values(D("49.00"), D("49.01"), D("49.00")))}),)


NOTHING_TO_CANCEL = (10147, 10148)


@dataclass(frozen=True)
class Place:
    """An order; `again` places it under the reference of the first one."""

    symbol: str
    side: Side
    quantity: str
    limit: str | None
    again: bool


@dataclass(frozen=True)
class Cancel:
    """The order that was placed as this one, or none of ours."""

    number: int


COMMANDS = st.lists(
    st.one_of(
        st.builds(
            Place,
            st.sampled_from(SYMBOLS),
            st.sampled_from(Side),
            st.sampled_from(("0", "0.5", "1", "3", "10", "400", "5000")),
            st.sampled_from(LIMITS),
            st.sampled_from((False, False, False, True)),
        ),
        st.builds(Cancel, st.integers(0, 8)),
        st.sampled_from(("wait", "reconnect", "snapshot", "quotes", "what if", "move")),
    ),
    max_size=9,
)


def ref_of(number):
    return OrderRef(f"RB-AAAAAAAAAAAA-B{number}-1")


async def play(broker, commands, move):
    """What every command was answered, and what was told of it."""
    await broker.connect()
    told, placed = [], 0
    for command in commands:
        if isinstance(command, Place):
            placed += 1
        try:
            answer = await obey(broker, command, placed, move)
        except RebalanceError as error:
            answer = type(error), error.message
        told.append((answer, sorted_out(await drain(broker, 5))))
    told.append([bare(fill) for fill in await broker.executions()])
    told.append([replace(one, reason="") for one in await broker.completed_orders()])
    told.append(await broker.open_orders())
    told.append(timeless(await broker.snapshot()))
    return told


async def obey(broker, command, placed, move):
    match command:
        case Place():
            number = 1 if command.again else placed
            asked = order(
                command.symbol, command.side, command.quantity, command.limit, ref=ref_of(number), outside_rth=False
            )
            await broker.place(asked)
        case Cancel():
            await broker.cancel(ref_of(command.number) if command.number else earlier().order_ref)
        case "reconnect":
            await broker.disconnect()
            await broker.connect()
        case "snapshot":
            return timeless(await broker.snapshot())
        case "quotes":
            found = await broker.resolve([Symbol("VTI"), BND, USD_CAD], {})
            return {
                key: replace(one, taken_at=None) for key, one in (await broker.quotes(list(found.values()))).items()
            }
        case "what if":
            return await broker.what_if(order("IJR", quantity="20", limit="50.00", ref="RB-ASK-B1-1"))
        case "move":
            move()
    return None


def timeless(snapshot: AccountSnapshot):
    """The snapshot without its time, an average cost no longer than a float carries it."""
    positions = tuple(
        replace(one, average_cost=nearest_to_low(one.average_cost, D("1E-9"))) for one in snapshot.positions
    )
    return replace(snapshot, taken_at=None, positions=positions)


def sorted_out(events):
    """Each kind of event in its order: a cost may come before or after the last word on its order.

    An order that ended on an earlier connection is not known any more to a client of a gateway, so that what is
    said of cancelling it differs.
    """
    told = [event for event in events if getattr(event, "code", None) not in NOTHING_TO_CANCEL]
    kinds = (OrderUpdate, Fill, CommissionReport, Notice)
    return [[bare(event) for event in told if isinstance(event, kind)] for kind in kinds]


def bare(event):
    """The event without its time, and a rejection without the permId that comes only later over the wire."""
    if isinstance(event, OrderUpdate) and event.state is OrderState.REJECTED:
        event = replace(event, perm_id=0)
    return event if isinstance(event, CommissionReport) else replace(event, at=None)


def a_world(fills):
    return world(
        quotes=world().quotes | {IJR: SimQuote(Values(D("50.00"), D("50.02"), D("50.01")), is_fractional=False)},
        account=account(
            base_currency=CAD,
            positions=(held(), held("BND", "100", "71.33"), SHOP),
            open_orders=(earlier(filled=D(4)), earlier("IJR", ref="by hand", limit_price=D("20"))),
        ),
        fills=fills,
        commission=D("1.05"),
        changes=MOVES,
    )


async def on_fake(commands, fills):
    broker = FakeIB.of(a_world(fills))
    return await play(broker, commands, lambda: broker.reach("approval"))


async def on_gateway(commands, fills):
    async with venue_of(a_world(fills)) as venue, asyncio.timeout(60):
        return await play(venue.client(), commands, lambda: venue.gateway.reach("approval"))


@settings(max_examples=max(FUZZ_CASES // 10, 1))
@given(COMMANDS, st.sampled_from(FILLS))
def test_the_same_commands_give_the_same_on_both(commands, fills):
    both = [asyncio.run(play_on(commands, fills)) for play_on in (on_fake, on_gateway)]
    for number, (faked, live) in enumerate(zip(*both, strict=True)):
        assert faked == live, f"after {[*commands, 'the end'][: number + 1]}"
