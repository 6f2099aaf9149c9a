"""FakeIB keeps the contract of every broker, and the script of a rehearsal besides."""

from __future__ import annotations

from datetime import timedelta

import pytest
from broker_contract import BrokerContract, Rig, drain, of_kind, states
from builders import contract
from worlds import VTI, account, earlier, fake, held, order, quoted, world

from core.broker.fake import FakeIB, FakeOptions
from core.broker.port import RehearsalBroker
from core.errors import ConnectionLost, PacingExceeded
from core.model import (
    USD,
    BrokerKind,
    Fill,
    MarketDataType,
    Order,
    OrderState,
    OrderUpdate,
    RejectReason,
    Side,
    Symbol,
)
from core.money import D
from core.sim.venue.script import FaultScript
from core.sim.venue.world import Change, Fault, FaultKind, FillScript, Point


class TestFakeIB(BrokerContract):
    @pytest.fixture
    def start(self):
        async def start(a_world):
            broker = FakeIB.of(a_world)
            return Rig(broker, lambda: FakeIB(broker.exchange, FaultScript(world())))

        return start


async def opened(options=None, **changes):
    broker = fake(options, **changes)
    await broker.connect()
    return broker


def test_it_is_a_rehearsal_without_a_port():
    broker = fake()
    assert (broker.kind, broker.port) == (BrokerKind.FAKE, None)
    assert isinstance(broker, RehearsalBroker)


async def test_the_world_moves_when_the_run_reaches_the_point_and_only_once():
    change = Change(Point.BEFORE_BUYS, {VTI: quoted("98.00", "98.01")}, (held("VTI", "3"),), {USD: D(50)})
    broker = await opened(changes=(change,), account=account(open_orders=(earlier(limit_price=D("98.50")),)))
    broker.reach("before_sells")
    assert (await broker.snapshot()).cash[USD] == D(100_000)
    broker.reach("before_buys")
    broker.reach("before_buys")
    snapshot = await broker.snapshot()
    assert (snapshot.cash[USD], snapshot.positions[0].quantity) == (D(50) - D("980.10"), D(13))
    (fill,) = of_kind(await drain(broker), Fill)
    assert (fill.price, fill.order_ref) == (D("98.01"), "RB-EARLIER-B1-1")


async def test_what_happens_to_another_clients_order_is_no_event_of_ours():
    change = Change(Point.APPROVAL, {VTI: quoted("80.00", "80.01")})
    broker = await opened(changes=(change,), account=account(open_orders=(earlier(ref="by hand"),)))
    broker.reach("approval")
    assert await drain(broker) == []
    assert [fill.order_ref for fill in await broker.executions()] == ["by hand"]


async def test_the_script_throws_the_kill_switch():
    engaged = []
    broker = await opened(
        FakeOptions(on_kill_switch=lambda: engaged.append("engaged")),
        faults=(Fault("before_sells", FaultKind.KILL_SWITCH),),
    )
    broker.reach("approval")
    assert engaged == []
    broker.reach("before_sells")
    broker.reach("before_sells")
    assert engaged == ["engaged"]


async def test_a_kill_switch_engaged_at_an_order_lets_that_order_through():
    engaged = []
    options = FakeOptions(on_kill_switch=lambda: engaged.append("engaged"))
    broker = await opened(options, faults=(Fault("order:VTI", FaultKind.KILL_SWITCH),))
    await broker.place(order())
    assert engaged == ["engaged"]
    assert states(await drain(broker))[-1] is OrderState.FILLED


async def test_a_connection_that_breaks_between_stages_stays_down_as_long_as_scripted():
    broker = await opened(faults=(Fault("before_sells", FaultKind.DISCONNECT, times=2),))
    broker.reach("before_sells")
    with pytest.raises(ConnectionLost):
        await broker.snapshot()
    with pytest.raises(ConnectionLost):
        await broker.connect()
    await broker.connect()
    assert broker.is_connected


async def test_a_fault_of_a_stage_waits_for_the_next_read():
    faults = (Fault("before_buys", FaultKind.PACING), Fault("before_buys", FaultKind.CONTRACT_NOT_FOUND))
    broker = await opened(faults=faults)
    broker.reach("before_buys")
    with pytest.raises(PacingExceeded):
        await broker.quotes([contract()])
    assert (await broker.quotes([contract()]))[VTI].bid == D("100.00")


@pytest.mark.parametrize("point", ["connect", "snapshot", "quotes", "before_fx", "order:VTI"])
async def test_a_stale_fault_makes_the_next_quotes_an_hour_old(point):
    broker = await opened(faults=(Fault(point, FaultKind.STALE),))
    await broker.snapshot()
    await broker.place(order())
    broker.reach("before_fx")
    ages = [broker.now() - (await broker.quotes([contract()]))[VTI].taken_at for _ in range(2)]
    assert ages == [timedelta(hours=1), timedelta(0)]


@pytest.mark.parametrize(
    ("kind", "reject_reason", "code"),
    [
        (FaultKind.FRACTIONAL_REFUSED, RejectReason.FRACTION, 10243),
        (FaultKind.CONTRACT_NOT_FOUND, RejectReason.CONTRACT, 200),
        (FaultKind.PACING, RejectReason.PACING, 100),
    ],
)
async def test_a_fault_at_an_order_refuses_that_order_once(kind, reject_reason, code):
    broker = await opened(faults=(Fault("order:VTI", kind),))
    await broker.place(order())
    await broker.place(order(ref="RB-AAAAAAAAAAAA-B1-2"))
    first, *_, last = of_kind(await drain(broker), OrderUpdate)
    assert (first.state, first.reject_reason, first.code) == (OrderState.REJECTED, reject_reason, code)
    assert last.state is OrderState.FILLED


async def test_a_refused_fraction_of_a_stage_waits_for_the_next_order():
    broker = await opened(faults=(Fault("quotes", FaultKind.FRACTIONAL_REFUSED),))
    await broker.quotes([contract()])
    await broker.place(order(quantity="0.5"))
    assert states(await drain(broker)) == [OrderState.REJECTED]


async def test_pacing_at_connect_is_raised_there():
    broker = fake(faults=(Fault("connect", FaultKind.PACING),))
    with pytest.raises(PacingExceeded):
        await broker.connect()
    await broker.connect()


async def test_our_own_rate_limit_costs_venue_time_and_stays_below_the_gateways():
    broker = await opened()
    before = broker.now()
    for _ in range(100):
        await broker.open_orders()
    assert broker.now() - before == timedelta(seconds=2)


async def test_more_than_fifty_messages_in_a_second_are_refused():
    broker = await opened(FakeOptions(messages_per_second=1000))
    for _ in range(50):
        await broker.open_orders()
    with pytest.raises(PacingExceeded):
        await broker.open_orders()
    await broker.place(order())
    (update,) = await drain(broker)
    assert (update.state, update.reject_reason) == (OrderState.REJECTED, RejectReason.PACING)
    await broker.sleep(1)
    await broker.open_orders()


async def test_a_what_if_is_a_message_and_never_logged_as_an_order():
    broker = await opened(FakeOptions(messages_per_second=1000))
    for _ in range(50):
        await broker.what_if(order())
    with pytest.raises(PacingExceeded):
        await broker.what_if(order())
    assert broker.log[-1].what == "what if BUY 10 VTI"
    assert not any(isinstance(entry.what, Order) for entry in broker.log)


async def test_a_quote_whose_kind_is_scripted_keeps_it():
    broker = await opened(quotes={VTI: quoted("1", "2", data_type=MarketDataType.FROZEN)})
    assert (await broker.quotes([contract()]))[VTI].data_type is MarketDataType.FROZEN


async def test_an_order_that_is_lost_leaves_no_trace():
    broker = await opened(fills={VTI: FillScript(is_lost=True)})
    await broker.place(order())
    assert await drain(broker, 120) == []
    assert await broker.open_orders() == await broker.completed_orders() == await broker.executions() == ()


async def test_the_log_holds_what_was_sent_and_received_in_order():
    broker = await opened()
    await broker.place(order())
    await drain(broker)
    await broker.disconnect()
    names = [entry.what if isinstance(entry.what, str) else type(entry.what).__name__ for entry in broker.log]
    assert names == ["connect", "Order", "OrderUpdate", "Fill", "CommissionReport", "OrderUpdate", "disconnect"]
    assert [entry.is_sent for entry in broker.log] == [True, True, False, False, False, False, True]


async def test_two_rehearsals_of_one_world_are_the_same_to_the_byte():
    logs = []
    for _ in range(2):
        broker = await opened(commission=D(1), fills={Symbol("BND"): FillScript(delay_seconds=D("1.5"))})
        await broker.place(order())
        await broker.place(order("BND", limit="72.01", ref="RB-AAAAAAAAAAAA-B2-1"))
        await broker.place(order(side=Side.SELL, limit="200", ref="RB-AAAAAAAAAAAA-S1-1"))
        await drain(broker, 5)
        await broker.cancel(order(ref="RB-AAAAAAAAAAAA-S1-1").ref)
        await drain(broker)
        broker.exchange.audit()
        logs.append(repr(broker.log))
    assert logs[0] == logs[1]


async def test_the_calendar_knows_holidays_and_short_days():
    broker = await opened(as_of=world().as_of.replace(month=11, day=23))
    hours = (await broker.resolve([VTI], {}))[VTI].liquid_hours
    assert "20261126:CLOSED" in hours
    assert "20261127:0930-20261127:1300" in hours
