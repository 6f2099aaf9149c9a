"""Contracts, price steps and quotes on the wire."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import NOW
from gateway_clients import VTI_STOCK, briefly, dial, logged_in, options, serving, session
from ib_async import Stock
from worlds import VTI, account, held, quoted

from core.clock import AutojumpClock
from core.model import CAD, MarketDataType, Symbol
from core.money import D
from core.sim.gateway import ClientLimits
from core.sim.venue.world import Change, Fault, FaultKind, Point, Values

BND_STOCK = Stock("BND", "SMART", "USD")
STREAM = ("", False, False, [])
SNAPSHOT = ("", True, False, [])
EPOCH = int(NOW.timestamp())


def ticks(received):
    """What was sent of each kind of tick."""
    return {fields[3]: fields[4] for fields in received if fields[0] in ("1", "45", "46")}


def contract_request(con_id=0, symbol="", security_type="", exchange="", currency="", primary=""):
    """The contract's fields of a request."""
    return (con_id, symbol, security_type, "", 0, "", "", exchange, primary, currency, "", "")


async def details(wire, **contract):
    wire.send(9, 8, 5, *contract_request(**contract), 0, "", "", "")
    return await wire.all()


@pytest.mark.parametrize(
    "contract",
    [
        {"symbol": "VTI", "primary": "ARCA"},
        {"symbol": "VTI", "security_type": "STK", "exchange": "SMART", "currency": "USD"},
        {"symbol": "VTI"},
        {"symbol": "VTI", "exchange": "ARCA", "currency": "USD"},
        {"con_id": VTI},
        {"con_id": VTI, "exchange": "SMART"},
    ],
)
async def test_a_contract_is_found_by_the_fields_that_are_set_and_shown_at_the_requested_exchange(contract):
    async with session() as (gateway, wire):
        if "con_id" in contract:
            contract = contract | {"con_id": gateway.exchange.contracts[VTI].con_id}
        found, end = await details(wire, **contract)
        assert found[:4] == ("10", "5", "VTI", "STK")
        assert found[7] == contract.get("exchange", "SMART")
        assert found[12] == str(gateway.exchange.contracts[VTI].con_id)
        assert end == ("52", "1", "5")


@pytest.mark.parametrize(
    "contract",
    [
        {"symbol": "NOPE", "security_type": "STK"},
        {"symbol": "VTI", "security_type": "OPT"},
        {"symbol": "VTI", "currency": "CAD"},
        {"symbol": "VTI", "primary": "NYSE"},
        {"con_id": 4711},
        {"symbol": "EUR", "security_type": "CASH", "currency": "USD"},
        {"symbol": "USD", "security_type": "CASH", "currency": "CAD", "exchange": "SMART"},
        {},
    ],
)
async def test_an_unknown_contract_is_error_200_and_nothing_else(contract):
    async with session() as (_, wire):
        assert [fields[2:4] for fields in await details(wire, **contract)] == [("5", "200")]


async def test_a_rule_has_its_steps_and_an_unknown_rule_is_an_error_without_an_id():
    async with session(quotes={VTI: quoted("1", "2", min_tick=D("0.05"))}) as (_, wire):
        found, _ = await details(wire, symbol="VTI")
        rule = found[-6].split(",")[0]
        wire.send(91, rule)
        wire.send(91, 1)
        assert await wire.receive() == ("93", rule, "1", "0", "0.05")
        assert (await wire.receive())[2:4] == ("-1", "321")


async def test_a_line_begins_with_its_kind_its_time_the_day_and_the_market_and_a_size_comes_later():
    clock = AutojumpClock(NOW)
    async with serving(clock=clock) as gateway, logged_in(gateway) as wire:
        wire.request("reqMktData", 5, VTI_STOCK, *STREAM)
        received = await wire.all()
        assert received[0] == ("58", "1", "5", "1")
        assert received[1][:3] == ("81", "5", "0.01")
        assert [fields[3:5] for fields in received[2:]] == [
            ("45", str(EPOCH)),
            ("49", "0"),
            ("6", "100.02"),
            ("7", "100.00"),
            ("1", "100.00"),
            ("2", "100.02"),
            ("4", "100.01"),
        ]
        await clock.sleep(1)
        assert briefly(await wire.all()) == [["tickSize"]]


async def test_a_missing_side_is_minus_one_and_a_close_and_a_halt_are_sent():
    quote = quoted("5", None, None, previous_close=D("4.5"), is_halted=True)
    async with session(quotes={VTI: quote}) as (_, wire):
        wire.request("reqMktData", 5, VTI_STOCK, *STREAM)
        shown = ticks(await wire.all())
        assert [shown[kind] for kind in ("1", "2", "4", "9", "49")] == ["5", "-1", "-1", "4.5", "1"]


@pytest.mark.parametrize(("age", "stamp"), [("0", EPOCH), ("0.4", EPOCH), ("1", EPOCH - 1), ("3600", EPOCH - 3600)])
async def test_an_old_quote_has_its_age_in_its_stamp_rounded_up_and_shows_no_life(age, stamp):
    clock = AutojumpClock(NOW)
    quotes = {VTI: quoted("1", "2", "1", age_seconds=D(age))}
    async with serving(clock=clock, quotes=quotes) as gateway, logged_in(gateway) as wire:
        wire.request("reqMktData", 5, VTI_STOCK, *STREAM)
        assert ticks(await wire.all())["45"] == str(stamp)
        await clock.sleep(5)
        assert bool(await wire.all()) is (age == "0")


@pytest.mark.parametrize(
    ("wanted", "listed", "kind", "bid", "stamp"),
    [
        (1, MarketDataType.LIVE, "1", "1", "45"),
        (2, MarketDataType.LIVE, "2", "1", "45"),
        (3, MarketDataType.LIVE, "3", "66", "88"),
        (4, MarketDataType.LIVE, "4", "66", "88"),
        (1, MarketDataType.DELAYED, "3", "66", "88"),
        (1, MarketDataType.FROZEN, "2", "1", "45"),
    ],
)
async def test_the_kind_of_data_is_the_one_asked_for_or_the_one_there_is(wanted, listed, kind, bid, stamp):
    async with session(quotes={VTI: quoted("1", "2", "1", data_type=listed)}) as (_, wire):
        wire.send(59, 1, wanted)
        wire.request("reqMktData", 5, VTI_STOCK, *STREAM)
        received = await wire.all()
        assert [fields[3] for fields in received if fields[0] == "58"] == [kind]
        assert {bid, stamp} <= set(ticks(received))


async def test_delayed_data_is_announced_and_its_bid_and_ask_come_last():
    async with session(quotes={VTI: quoted("1", "3", "2", data_type=MarketDataType.DELAYED)}) as (_, wire):
        wire.request("reqMktData", 5, VTI_STOCK, *STREAM)
        received = await wire.all()
        assert briefly(received)[:3] == [["tickReqParams"], ["marketDataType"], ["error", "10167"]]
        kinds = [fields[3] for fields in received[3:]]
        assert kinds == ["68", "88", "49", "72", "73", "74", "66", "67"]
        wire.request("reqMktData", 6, VTI_STOCK, *SNAPSHOT)
        assert briefly(await wire.all())[:2] == [["marketDataType"], ["tickReqParams"]]


async def test_there_is_no_fifth_kind_of_data():
    async with session() as (_, wire):
        wire.send(59, 1, 5)
        assert briefly(await wire.all()) == [["error", "321"]]


async def test_a_snapshot_shows_what_only_snapshots_show_and_ends_by_itself():
    clock = AutojumpClock(NOW)
    quotes = {VTI: quoted(None, None, snapshot=Values(D(1), D(2), D("1.5")))}
    async with serving(clock=clock, quotes=quotes) as gateway, logged_in(gateway) as wire:
        wire.request("reqMktData", 5, VTI_STOCK, *SNAPSHOT)
        shown = ticks(await wire.all())
        assert [shown[kind] for kind in ("1", "2", "4")] == ["1", "2", "1.5"]
        await clock.sleep(1)
        assert await wire.all() == [("57", "1", "5")]
        wire.request("cancelMktData", 5)
        assert briefly(await wire.all()) == [["error", "300"]]


async def test_a_line_sends_what_moves_until_it_is_cancelled():
    async with session() as (gateway, wire):
        wire.request("reqMktData", 5, VTI_STOCK, *STREAM)
        wire.request("reqMktData", 6, BND_STOCK, *STREAM)
        await wire.all()
        gateway.move(Change(Point.BEFORE_BUYS, {VTI: quoted("101", "102", "101.5")}))
        received = await wire.all()
        assert {fields[2] for fields in received} == {"5"}
        assert [ticks(received)[kind] for kind in ("1", "2", "4")] == ["101", "102", "101.5"]
        wire.request("cancelMktData", 5)
        await wire.all()
        gateway.move(Change(Point.BEFORE_BUYS, {VTI: quoted("103", "104", "103.5")}))
        assert await wire.all() == []


async def test_the_hundred_and_first_line_is_error_101_until_one_is_given_back():
    clock = AutojumpClock(NOW)
    async with serving(options(limits=ClientLimits(lines=3)), clock=clock) as gateway, logged_in(gateway) as wire:
        for req_id in range(4):
            wire.request("reqMktData", req_id, VTI_STOCK, *STREAM)
        assert [fields[2:4] for fields in await wire.only("error")] == [("3", "101")]
        wire.request("cancelMktData", 0)
        wire.request("reqMktData", 3, VTI_STOCK, *STREAM)
        wire.request("reqMktData", 3, VTI_STOCK, *STREAM)
        assert [fields[2:4] for fields in await wire.only("error")] == [("3", "102")]
    assert ClientLimits().lines == 100


async def test_an_unknown_symbol_has_no_quote():
    async with session() as (_, wire):
        wire.request("reqMktData", 5, Stock("NOPE", "SMART", "USD"), *STREAM)
        assert briefly(await wire.all()) == [["error", "200"]]


def faulty(kind, times=1):
    return {"faults": (Fault(Point.QUOTES, kind, times),)}


@pytest.mark.parametrize(("kind", "code"), [(FaultKind.PACING, "100"), (FaultKind.CONTRACT_NOT_FOUND, "200")])
async def test_the_script_refuses_the_first_quote_of_a_batch(kind, code):
    async with session(**faulty(kind)) as (_, wire):
        for req_id, contract in ((5, VTI_STOCK), (6, BND_STOCK)):
            wire.request("reqMktData", req_id, contract, *STREAM)
        received = await wire.all()
        assert [fields[2:4] for fields in received if fields[0] == "4"] == [("5", code)]
        assert {fields[2] for fields in received if fields[0] == "1"} == {"6"}


@pytest.mark.parametrize("how", [STREAM, SNAPSHOT])
async def test_the_script_shows_one_batch_an_hour_old(how):
    clock = AutojumpClock(NOW)
    async with serving(clock=clock, **faulty(FaultKind.STALE)) as gateway, logged_in(gateway) as wire:
        for batch in (EPOCH - 3600, EPOCH - 3600), (EPOCH, EPOCH):
            for req_id, contract in ((5, VTI_STOCK), (6, BND_STOCK)):
                wire.request("reqMktData", req_id, contract, *how)
            stamps = [int(fields[4]) for fields in await wire.only("tickString")]
            late = (clock.now() - NOW) / timedelta(seconds=1)
            assert stamps == [stamp + -int(-late // 1) for stamp in batch]
            await clock.sleep(1)
            assert (["tickSize"] in briefly(await wire.all())) is (how == STREAM and batch[0] == EPOCH)
            if how == STREAM:
                wire.request("cancelMktData", 5)
                wire.request("cancelMktData", 6)


async def test_there_is_no_history():
    async with session() as (_, wire):
        wire.request("reqHistoricalData", 5, VTI_STOCK, "", "1 D", "1 day", "TRADES", True, 1, False, [])
        wire.send(25, 1, 5)
        assert briefly(await wire.all()) == [["error", "162"], ["error", "366"]]


async def test_a_foreign_listing_is_what_it_is():
    positions = (held("XIC", "7", "30", currency=CAD),)
    async with session(account=account(positions=positions), quotes={Symbol("XIC"): quoted("31", "32")}) as (_, wire):
        found, _ = await details(wire, symbol="XIC", currency="CAD")
        assert (found[8], found[-4]) == ("CAD", "ETF")
        assert (await details(wire, symbol="XIC", currency="USD"))[0][3] == "200"


async def test_a_line_ends_with_its_connection():
    clock = AutojumpClock(NOW)
    async with serving(clock=clock) as gateway:
        wire = await dial(gateway)
        await wire.receive()
        wire.send(71, 2, 9, "")
        wire.request("reqMktData", 5, VTI_STOCK, *STREAM)
        await wire.all()
        await wire.close()
        await clock.sleep(1)
        gateway.move(Change(Point.BEFORE_BUYS, {VTI: quoted("101", "102")}))
        assert gateway._state.sessions == {}
