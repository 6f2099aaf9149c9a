"""What LiveIB reads of the market: quotes, snapshots, farms, data that is late or not given."""

from __future__ import annotations

from datetime import timedelta

import pytest
from broker_contract import BND, listed
from live import sent, venue_of
from worlds import VTI, quoted, world

from core.errors import (
    ConnectionLost,
    PacingExceeded,
)
from core.model import USD_CAD, MarketDataType, Symbol
from core.money import D
from core.sim.gateway import GatewayOptions
from core.sim.gateway.faults import (
    Delay,
    ErrorAfter,
    ErrorBefore,
    Match,
    Omit,
    Refuse,
)
from core.sim.venue.world import SimQuote, Values

MANY = tuple(Symbol(f"S{number:03d}") for number in range(120))


def only(symbol):
    return Match(symbol=symbol)


async def test_many_quotes_take_no_more_market_data_lines_than_an_account_has():
    quotes = {symbol: quoted("100.00", "100.02", "100.01") for symbol in MANY}
    async with venue_of(world(quotes=quotes), GatewayOptions(latency_seconds=0.1)) as venue:
        client = await venue.connected()
        contracts = tuple((await client.resolve(MANY, {})).values())
        before = venue.clock.now()
        taken = await client.quotes(contracts)
        assert {quote.bid for quote in taken.values()} == {D("100.00")}
        assert list(taken) == list(MANY)
        seconds = (venue.clock.now() - before).total_seconds()
        assert 2 * len(MANY) / 45 <= seconds <= 2 * len(MANY) / 45 + 3
        lines = most = 0
        for entry in venue.gateway.log:
            lines += {"reqMktData": 1, "cancelMktData": -1}.get(entry.message, 0)
            most = max(most, lines)
        assert most <= 95
        assert lines == 0


async def test_a_quote_without_any_tick_is_empty_after_a_moment():
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("tickPrice", Omit(), times=None)
        client = await venue.connected()
        before = venue.clock.now()
        quote = (await client.quotes([listed()]))[VTI]
        assert (quote.bid, quote.ask, quote.last) == (None, None, None)
        assert venue.clock.now() - before < timedelta(seconds=3)


@pytest.mark.parametrize("code", [354, 10089, 10090, 10091, 10197])
async def test_data_that_is_not_given_is_missing_of_that_symbol_alone(code):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqMktData", Refuse(code), only("BND"))
        taken = await client.quotes([listed(), listed("BND")])
        assert (taken[BND].bid, taken[BND].ask, taken[BND].last) == (None, None, None)
        assert taken[BND].refusal.text.endswith(f"({code})")
        assert (taken[VTI].bid, taken[VTI].refusal) == (D("100.00"), None)
        assert (await client.quotes([listed(), listed("BND")]))[BND].refusal is None


async def test_delayed_data_instead_of_live_is_only_a_notice():
    async with venue_of(world(quotes={VTI: quoted("1", "2", data_type=MarketDataType.DELAYED)})) as venue:
        venue.gateway.faults.on("marketDataType", ErrorBefore(10167))
        client = await venue.connected()
        quote = (await client.quotes([listed()]))[VTI]
        assert (quote.bid, quote.data_type) == (D(1), MarketDataType.DELAYED)


@pytest.mark.parametrize("code", [100, 101])
async def test_too_many_lines_or_messages_are_pacing(code):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqMktData", Refuse(code))
        with pytest.raises(PacingExceeded):
            await client.quotes([listed()])


async def test_a_snapshot_that_takes_eleven_seconds_is_awaited():
    values = Values(bid=D("72.00"), ask=D("72.02"))
    async with venue_of(world(quotes={VTI: SimQuote(snapshot=values)})) as venue:
        venue.gateway.faults.on("tickSnapshotEnd", Delay(11))
        client = await venue.connected()
        quote = (await client.quotes([listed()], is_snapshot=True))[VTI]
        assert (quote.bid, quote.is_snapshot) == (D("72.00"), True)
        assert sent(venue, "cancelMktData") == []


async def test_a_snapshot_that_never_ends_is_lost():
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("tickSnapshotEnd", Omit())
        client = await venue.connected()
        with pytest.raises(ConnectionLost, match="a snapshot did not end within 20 s"):
            await client.quotes([listed()], is_snapshot=True)


CASHFARM = ":cashfarm"
BROKEN, IS_OK = "Market data farm connection is broken", "Market data farm connection is OK"


async def image_of_the_pair(venue, client, omitted=("tickSize", "tickString")):
    """A quote of USD.CAD of which the gateway sends a first image, without an update or a trade time."""
    for name in omitted:
        venue.gateway.faults.on(name, Omit(), only("USD.CAD"), times=None)
    contracts = await client.resolve([USD_CAD], {})
    return (await client.quotes(tuple(contracts.values())))[USD_CAD]


async def test_a_first_image_while_a_market_data_farm_is_down_is_as_old_as_its_loss():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        lost_at = venue.clock.now()
        venue.gateway.broadcast(2103, BROKEN + CASHFARM)
        await venue.clock.sleep(60)
        quote = await image_of_the_pair(venue, client)
        assert quote.bid is not None
        assert abs(quote.taken_at - lost_at) < timedelta(seconds=1)
        venue.gateway.broadcast(2103, BROKEN + CASHFARM)  # reported again, it is not lost anew
        assert (await image_of_the_pair(venue, client)).taken_at == quote.taken_at


@pytest.mark.parametrize(
    ("codes", "omitted"),
    [
        ({2103: BROKEN, 2104: IS_OK}, ("tickSize", "tickString")),
        ({2103: BROKEN}, ("tickSize",)),
        ({2105: "HMDS data farm connection is broken"}, ("tickSize", "tickString")),
        ({2157: "Sec-def data farm connection is broken"}, ("tickSize", "tickString")),
    ],
    ids=["it is back", "a trade was just now", "a farm of the past", "a farm of definitions"],
)
async def test_a_quote_is_current_though_a_farm_was_lost_when(codes, omitted):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        for code, text in codes.items():
            venue.gateway.broadcast(code, text + CASHFARM)
            await venue.clock.sleep(60)
        quote = await image_of_the_pair(venue, client, omitted)
        assert venue.clock.now() - quote.taken_at < timedelta(seconds=3)


async def test_a_farm_that_is_connected_again_does_not_clear_another():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.broadcast(2103, BROKEN + CASHFARM)
        venue.gateway.broadcast(2103, BROKEN + ":usfarm")
        venue.gateway.broadcast(2104, IS_OK + ":usfarm")
        await venue.clock.sleep(60)
        quote = await image_of_the_pair(venue, client)
        assert venue.clock.now() - quote.taken_at >= timedelta(seconds=60)


LATE = timedelta(seconds=4)
BEFORE_BID = 3  # of delayed data: last, high and low


def delayed(**more):
    return world(quotes={VTI: quoted("100.00", "100.02", "100.01", data_type=MarketDataType.DELAYED, **more)})


async def test_bid_and_ask_of_delayed_data_are_awaited():
    async with venue_of(delayed()) as venue:
        client = await venue.connected()
        await client.market_data_type(MarketDataType.DELAYED)
        venue.gateway.faults.on("tickPrice", Delay(LATE.total_seconds()), skip=BEFORE_BID, times=2)
        started = venue.clock.now()
        quote = (await client.quotes([listed()]))[VTI]
        assert (quote.bid, quote.ask, quote.last) == (D("100.00"), D("100.02"), D("100.01"))
        assert quote.data_type is MarketDataType.DELAYED
        assert LATE <= venue.clock.now() - started < LATE + timedelta(seconds=1)


async def test_delayed_data_whose_bid_and_ask_never_come_is_taken_without_them():
    async with venue_of(delayed()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("tickPrice", Omit(), skip=BEFORE_BID, times=2)
        started = venue.clock.now()
        quote = (await client.quotes([listed()]))[VTI]
        assert (quote.bid, quote.ask, quote.last) == (None, None, D("100.01"))
        assert venue.clock.now() - started < timedelta(seconds=11)


async def test_an_error_while_delayed_data_is_awaited_is_a_refusal():
    async with venue_of(delayed()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("marketDataType", ErrorAfter(10168, seconds=4))
        venue.gateway.faults.on("tickPrice", Omit(), skip=BEFORE_BID, times=2)
        quote = (await client.quotes([listed()]))[VTI]
        assert "not subscribed" in quote.refusal.text
        assert quote.last is None


@pytest.mark.parametrize("code", [354, 10089, 10090, 10091, 10168, 10186, 10197])
async def test_a_quote_that_is_not_subscribed_names_the_way_to_the_data(code):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqMktData", Refuse(code), only("VTI"))
        refusal = (await client.quotes([listed()]))[VTI].refusal
        assert f"({code})" in refusal.text
        assert "subscribe to the data" in refusal.next_step
        assert "market_data_type = delayed" in refusal.next_step


async def test_a_refusal_with_another_code_is_left_to_the_brokers_words():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqMktData", Refuse(420, "Invalid Real-time Query"), only("VTI"))
        refusal = (await client.quotes([listed()]))[VTI].refusal
        assert refusal == ("Invalid Real-time Query (420)", "read the broker's reason", False)
