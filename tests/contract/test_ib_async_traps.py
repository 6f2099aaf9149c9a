"""What ib_async makes of a gateway's messages by itself: the reasons why we take them before it does.

Each of these is as it should not be. A release of ib_async that changes one is welcome, and is to be looked at.
"""

from __future__ import annotations

import asyncio
import inspect
from datetime import UTC, datetime

import pytest
from ib_async import IB, CommissionReport, Execution, LimitOrder, Order, OrderState, StartupFetch, Stock, Wrapper
from ib_async.decoder import Decoder
from live import venue_of
from worlds import world

from core.broker.ib.client import disable_ib_async_logging
from core.broker.ib.wrapper import GatewayWrapper
from core.sim.gateway.faults import Omit, Refuse
from core.sim.wire.fields import UNSET_FLOAT

CLIENT, NEXT_ID, ACCOUNT = 7, 10, "DU1234567"
SHARE = Stock("VTI", "SMART", "USD", conId=1)
EXECUTION = "0000e1a7.5c46793a.01.01"
CORRECTION = "0000e1a7.5c46793a.01.02"


@pytest.fixture(autouse=True)
def _quiet():
    disable_ib_async_logging()


@pytest.fixture
def ib():
    """A client that thinks it is connected; what it writes to its socket is in `ib.written`."""
    ib = IB()
    client = ib.client
    client.connState, client._apiReady = client.CONNECTED, True
    client._serverVersion = client.decoder.serverVersion = 178
    client.updateReqId(NEXT_ID)
    ib.wrapper.clientId, ib.wrapper.lastTime = CLIENT, datetime.now(UTC)
    ib.written = []
    client.conn.sendMsg = ib.written.append
    yield ib
    client.connState = client.DISCONNECTED


def order(quantity=100.0, **more):
    return LimitOrder("BUY", quantity, 10.0, account=ACCOUNT, **more)


def execution(exec_id, shares, **more):
    values = {"orderId": NEXT_ID, "clientId": CLIENT, "permId": 99, "price": 10.0, "time": datetime.now(UTC)}
    return Execution(execId=exec_id, shares=shares, **(values | more))


def acknowledge(ib, trade):
    known = Order(orderId=trade.order.orderId, clientId=CLIENT, permId=99, totalQuantity=trade.order.totalQuantity)
    ib.wrapper.openOrder(trade.order.orderId, SHARE, known, OrderState(status="Submitted"))


async def test_orders_past_45_in_a_second_wait_in_memory_and_vanish_with_the_connection(ib):
    trades = [ib.placeOrder(SHARE, order(orderRef=f"ref {number}")) for number in range(60)]
    assert len(ib.written) == 45
    ib.client._onSocketDisconnected("")
    assert len(ib.written) == 45
    assert {trade.orderStatus.status for trade in trades} == {"PendingSubmit"}
    assert ib.trades() == []


async def test_without_a_limit_of_its_own_everything_is_written_at_once(ib):
    ib.client.MaxRequests = 0
    for number in range(60):
        ib.placeOrder(SHARE, order(orderRef=f"ref {number}"))
    assert len(ib.written) == 60


@pytest.mark.parametrize("code", [103, 161, 201, 4711, 10147, 10148, 10349])
async def test_an_error_code_alone_makes_an_order_cancelled_until_the_broker_says_that_it_works(ib, code):
    trade = ib.placeOrder(SHARE, order())
    ib.wrapper.error(trade.order.orderId, code, "text", "")
    assert (trade.orderStatus.status, trade.isDone()) == ("Cancelled", True)
    ib.wrapper.orderStatus(trade.order.orderId, "Submitted", 0, 100, 0, 99, 0, 0, CLIENT, "")
    assert (trade.orderStatus.status, trade.isDone()) == ("Submitted", False)


@pytest.mark.parametrize("code", [321, 399, 404, 434, 2109])
async def test_a_rejection_may_count_as_a_warning_that_leaves_the_order_open_for_ever(ib, code):
    trade = ib.placeOrder(SHARE, order())
    ib.wrapper.error(trade.order.orderId, code, "text", "")
    assert (trade.orderStatus.status, trade.isDone()) == ("ValidationError", False)


async def test_a_warning_after_the_fill_opens_a_filled_order_again(ib):
    trade = ib.placeOrder(SHARE, order())
    ib.wrapper.orderStatus(trade.order.orderId, "Filled", 100, 0, 10, 99, 0, 10, CLIENT, "")
    assert trade.isDone()
    ib.wrapper.error(trade.order.orderId, 2109, "text", "")
    assert not trade.isDone()


async def test_a_repeated_execution_counts_once_and_a_corrected_one_twice(ib):
    trade = ib.placeOrder(SHARE, order())
    acknowledge(ib, trade)
    for _ in range(2):
        ib.wrapper.execDetails(-1, SHARE, execution(EXECUTION, 60.0))
    assert trade.filled() == 60
    ib.wrapper.execDetails(-1, SHARE, execution(CORRECTION, 50.0))
    assert trade.filled() == 110


async def test_a_commission_that_comes_before_its_execution_is_lost(ib):
    trade = ib.placeOrder(SHARE, order())
    acknowledge(ib, trade)
    ib.wrapper.commissionReport(CommissionReport(execId=EXECUTION, commission=1.0, currency="USD"))
    ib.wrapper.execDetails(-1, SHARE, execution(EXECUTION, 60.0))
    assert trade.fills[0].commissionReport.commission == 0


async def test_an_execution_is_credited_to_whatever_order_now_has_its_id(ib):
    trade = ib.placeOrder(SHARE, order(orderRef="new"))
    ib.wrapper.execDetails(-1, SHARE, execution("aa.bb.01.01", 30.0, orderRef="old", permId=42))
    assert (trade.order.orderRef, trade.filled()) == ("new", 30)


async def test_filled_without_its_executions_is_done_with_nothing_filled(ib):
    trade = ib.placeOrder(SHARE, order())
    ib.wrapper.orderStatus(trade.order.orderId, "Filled", 100, 0, 10, 99, 0, 10, CLIENT, "")
    assert (trade.isDone(), trade.fills) == (True, [])


async def test_the_status_of_an_order_that_it_does_not_know_is_dropped(ib):
    ib.wrapper.orderStatus(555, "Filled", 10, 0, 10, 1234, 0, 10, CLIENT, "")
    assert ib.trades() == []


async def test_a_refused_what_if_is_an_empty_list(ib):
    asked = ib.whatIfOrderAsync(SHARE, order())
    ib.wrapper.error(NEXT_ID, 201, "rejected", "")
    assert await asked == []


@pytest.mark.parametrize("code", [321, 399])
async def test_a_what_if_refused_with_a_warning_is_never_answered(ib, code):
    asked = ib.whatIfOrderAsync(SHARE, order())
    ib.wrapper.error(NEXT_ID, code, "text", "")
    assert not asked.done()


async def test_a_what_if_without_margins_is_no_answer(ib):
    asked = ib.whatIfOrderAsync(SHARE, order())
    shown = Order(orderId=NEXT_ID, whatIf=True)
    ib.wrapper.openOrder(NEXT_ID, SHARE, shown, OrderState(status="PreSubmitted", initMarginChange=UNSET_FLOAT))
    assert not asked.done()
    with pytest.raises(ValueError, match="could not convert"):
        ib.wrapper.openOrder(NEXT_ID, SHARE, shown, OrderState(status="PreSubmitted", initMarginChange=""))


async def test_an_error_to_a_request_is_an_empty_answer(ib):
    asked = ib.reqContractDetailsAsync(SHARE)
    ib.wrapper.error(NEXT_ID, 200, "no security", "")
    assert await asked == []


@pytest.mark.parametrize("code", [321, 399, 434, 2104])
async def test_a_request_refused_with_a_warning_is_never_answered(ib, code):
    asked = ib.reqContractDetailsAsync(SHARE)
    ib.wrapper.error(NEXT_ID, code, "text", "")
    assert not asked.done()


async def test_the_loss_of_the_connection_forgets_every_order(ib):
    ib.placeOrder(SHARE, order())
    ib.wrapper.connectionClosed()
    assert ib.trades() == []


async def test_restored_connectivity_makes_it_send_a_request_of_its_own(ib, monkeypatch):
    asked = []

    async def ask():
        asked.append("summary")

    monkeypatch.setattr(ib, "reqAccountSummaryAsync", ask)
    ib.errorEvent.emit(-1, 1102, "restored", None)
    assert len(asked) == 0  # it is a task by now
    await asyncio.sleep(0)
    assert asked == ["summary"]


def decoded(fields):
    """What a decoder makes of one message: the executions that its wrapper received."""
    emitted = []

    class Listening(Wrapper):
        def execDetails(self, reqId, contract, execution):  # noqa: N802, N803 - the names are ib_async's
            emitted.append(execution)

    ib = IB()
    decoder = Decoder(Listening(ib), 178)
    decoder.interpret(list(fields))
    return emitted


EXECUTION_FIELDS = (
    *("11", "-1", "10", "1", "VTI", "STK", "", "0.0", "", "", "ARCA", "USD", "VTI", "VTI", EXECUTION),
    *("20260302 15:30:00 US/Eastern", ACCOUNT, "ARCA", "BOT", "10", "100.0", "99", "7", "0", "10", "100.0", "ref"),
    *("", "0.0", "", "1", "0"),
)


def test_a_fill_whose_time_zone_has_a_name_of_several_words_is_lost():
    assert len(decoded(EXECUTION_FIELDS)) == 1
    at = EXECUTION_FIELDS.index("20260302 15:30:00 US/Eastern")
    strange = (*EXECUTION_FIELDS[:at], "20260302 15:30:00 Central European Standard Time", *EXECUTION_FIELDS[at + 1 :])
    assert decoded(strange) == []


def test_a_permid_written_as_a_fraction_loses_the_whole_message():
    assert decoded("99.0" if text == "99" else text for text in EXECUTION_FIELDS) == []


async def test_connecting_goes_on_without_an_answer_unless_configured_otherwise():
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("openOrderEnd", Omit(), times=None)
        lenient, strict = IB(), IB()
        where = {"port": venue.gateway.port, "timeout": 0.3, "fetchFields": StartupFetch.ORDERS_OPEN}
        await lenient.connectAsync(clientId=1, **where)
        assert lenient.isConnected()
        with pytest.raises(ConnectionError, match="open orders request timed out"):
            await strict.connectAsync(clientId=2, raiseSyncErrors=True, **where)
        lenient.disconnect()


async def test_a_client_id_in_use_is_a_mere_time_out():
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("startApi", Refuse(326))
        with pytest.raises(TimeoutError):
            await IB().connectAsync(port=venue.gateway.port, clientId=1, timeout=0.3)


async def test_connecting_always_subscribes_to_the_positions():
    async with venue_of(world()) as venue:
        ib = IB()
        await ib.connectAsync(port=venue.gateway.port, clientId=1, fetchFields=StartupFetch.ORDERS_OPEN)
        ib.disconnect()
        sent = [entry.message for entry in venue.gateway.log if entry.message.startswith("req")]
        assert sorted(sent) == ["reqOpenOrders", "reqPositions"]


@pytest.mark.parametrize("name", sorted(name for name in vars(GatewayWrapper) if not name.startswith("_")))
def test_every_callback_that_we_override_still_exists(name):
    theirs = inspect.signature(getattr(Wrapper, name))
    ours = inspect.signature(getattr(GatewayWrapper, name))
    takes_all = any(each.kind is each.VAR_POSITIONAL for each in ours.parameters.values())
    assert takes_all or list(ours.parameters) == list(theirs.parameters)
