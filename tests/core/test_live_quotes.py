"""What the ticks of one subscription make of a quote, and when it is complete."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import NOW

from core.broker.ib.dispatcher import Farms
from core.broker.ib.messages import HaltTick, LastTradeTick, MarketDataTypeRow, TickValue
from core.broker.ib.quotes import QuoteSubscription
from core.clock import AutojumpClock
from core.model import USD_CAD, MarketDataType, Symbol
from core.money import D

VTI = Symbol("VTI")
ID = 9


def price(kind, text, size=100):
    return TickValue(ID, kind, None if text is None else D(text), None if size is None else D(size))


def size(kind, number):
    return TickValue(ID, kind, None, D(number))


def last_trade(seconds):
    """The last trade so many seconds ago."""
    return LastTradeTick(ID, NOW - timedelta(seconds=seconds))


IMAGE = (price(1, "100.00"), price(2, "100.02"), price(4, "100.01"), price(9, "99.50", 0))


@pytest.fixture
def clock():
    return AutojumpClock(NOW)


def subscribed(clock, *ticks, farms=None, is_snapshot=False):
    subscription = QuoteSubscription(VTI, clock, farms or Farms(), is_snapshot=is_snapshot)
    for tick in ticks:
        subscription.handle(tick)
    return subscription


def prices(quote):
    return quote.bid, quote.ask, quote.last, quote.previous_close


async def test_an_image_with_a_recent_trade_is_complete(clock):
    subscription = subscribed(clock, *IMAGE, last_trade(0))
    assert subscription.done.done()
    assert prices(subscription.quote()) == (D("100.00"), D("100.02"), D("100.01"), D("99.50"))
    assert subscription.quote().taken_at == NOW


@pytest.mark.parametrize(
    "absent",
    [price(1, "-1", 0), price(1, "-1"), price(1, "100.00", 0), price(1, "0"), price(1, None), size(0, 0)],
)
async def test_a_side_without_a_price_or_a_size_is_absent(clock, absent):
    assert subscribed(clock, *IMAGE, absent).quote().bid is None


async def test_a_last_price_needs_no_size(clock):
    assert subscribed(clock, price(4, "100.01", 0)).quote().last == D("100.01")


async def test_delayed_ticks_are_prices_too(clock):
    ticks = MarketDataTypeRow(ID, 3), price(66, "1"), price(67, "2"), price(68, "3"), price(75, "4"), last_trade(0)
    subscription = subscribed(clock, *ticks)
    assert subscription.done.done()
    assert prices(subscription.quote()) == (D(1), D(2), D(3), D(4))
    assert subscription.quote().data_type is MarketDataType.DELAYED


@pytest.mark.parametrize(
    ("number", "kind"),
    [(1, MarketDataType.LIVE), (2, MarketDataType.FROZEN), (3, MarketDataType.DELAYED),
     (4, MarketDataType.DELAYED_FROZEN)],
)  # fmt: skip
async def test_the_quote_has_the_reported_market_data_type(clock, number, kind):
    assert subscribed(clock, MarketDataTypeRow(ID, number)).quote().data_type is kind


async def test_delayed_ticks_are_never_live_whatever_type_is_reported(clock):
    assert subscribed(clock, price(66, "100.00")).quote().data_type is MarketDataType.DELAYED
    subscription = subscribed(clock, MarketDataTypeRow(ID, 1), price(1, "100.00"), price(68, "99.00"))
    assert subscription.quote().data_type is MarketDataType.DELAYED
    assert (
        subscribed(clock, MarketDataTypeRow(ID, 4), price(66, "100.00")).quote().data_type
        is MarketDataType.DELAYED_FROZEN
    )


async def test_an_incomplete_image_is_not_complete_with_a_trade(clock):
    assert not subscribed(clock, *IMAGE[:3], last_trade(0)).done.done()


async def test_an_old_trade_without_an_update_is_the_age_of_the_quote(clock):
    subscription = subscribed(clock, *IMAGE, last_trade(3600))
    assert not subscription.done.done()
    assert subscription.quote().taken_at == NOW - timedelta(hours=1)


@pytest.mark.parametrize("tick", [price(1, "100.01"), size(0, 200), size(8, 12345), price(4, "100.01")])
async def test_a_later_tick_is_an_update_however_old_the_last_trade(clock, tick):
    subscription = subscribed(clock, *IMAGE, size(0, 100), size(8, 12000), last_trade(3600))
    await clock.sleep(0.5)
    subscription.handle(tick)
    assert subscription.done.done()
    assert subscription.quote().taken_at == NOW + timedelta(seconds=0.5)


async def test_the_sizes_that_follow_their_prices_at_once_are_no_update(clock):
    subscription = subscribed(clock, *IMAGE, last_trade(3600), size(0, 100), size(3, 100), size(0, 100))
    assert not subscription.done.done()


async def test_without_a_trade_a_quote_is_as_old_as_its_arrival(clock):
    subscription = subscribed(clock, *IMAGE)
    await clock.sleep(2)
    assert subscription.quote().taken_at == NOW


@pytest.mark.parametrize(
    ("ticks", "age"),
    [((), 60), ((last_trade(30),), 30), ((last_trade(3600),), 3600), ((last_trade(0),), 0)],
    ids=["no trade", "a trade after the loss", "a trade before it", "a trade just now"],
)
@pytest.mark.parametrize("is_snapshot", [False, True], ids=["stream", "snapshot"])
async def test_while_a_farm_is_broken_an_image_without_a_trade_is_as_old_as_the_loss(clock, ticks, age, is_snapshot):
    farms = Farms()
    farms.handle(2103, "Market data farm connection is broken:usfarm", NOW - timedelta(seconds=60))
    subscription = subscribed(clock, *IMAGE, *ticks, farms=farms, is_snapshot=is_snapshot)
    assert subscription.quote().taken_at == NOW - timedelta(seconds=age)
    await clock.sleep(0.5)
    subscription.handle(price(1, "100.01"))
    assert subscription.quote().taken_at == NOW + timedelta(seconds=0.5)


async def test_the_farm_that_has_been_broken_for_longest_counts_until_each_is_ok():
    farms = Farms()
    for number, name in enumerate(("usfarm", "usfarm.nj", "usfarm")):
        farms.handle(2103, f"Market data farm connection is broken:{name}", NOW + timedelta(seconds=number))
    assert farms.lost_since(VTI) == NOW
    farms.handle(2104, "Market data farm connection is OK:usfarm", NOW)
    assert farms.lost_since(VTI) == NOW + timedelta(seconds=1)
    farms.handle(2104, "Market data farm connection is OK:usfarm.nj", NOW)
    assert farms.lost_since(VTI) is None


@pytest.mark.parametrize(
    ("farm", "shares", "currencies"),
    [
        ("usfarm", True, False),
        ("usfarm.nj", True, False),
        ("cashfarm", False, True),
        ("usbond", False, False),
        ("usopt", False, False),
        ("usfuture", False, False),
        ("jfarm", False, False),
        ("eufarmnj", False, False),
        ("newfarm", True, True),
    ],
)
async def test_a_broken_farm_counts_for_what_it_may_serve(farm, shares, currencies):
    farms = Farms()
    farms.handle(2103, f"Market data farm connection is broken:{farm}", NOW)
    assert (farms.lost_since(VTI) is not None, farms.lost_since(USD_CAD) is not None) == (shares, currencies)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (2104, "Market data farm connection is OK:usfarm.nj"),
        (2108, "Market data farm connection is inactive but should be available upon demand.usfarm.nj"),
        (1102, "Connectivity … restored - data maintained. All data farms are connected: usfarm.nj; secdefnj."),
        (
            1101,
            "The following farms are connected: usfarm.nj; secdefil. The following farms are not connected: jfarm.",
        ),
    ],
)
async def test_every_report_that_a_farm_is_connected_again_clears_it(code, text):
    farms = Farms()
    farms.handle(2103, "Market data farm connection is broken:usfarm.nj", NOW)
    farms.handle(2119, "Market data farm is connecting:usfarm.nj", NOW)
    assert farms.lost_since(VTI) == NOW
    farms.handle(code, text, NOW)
    assert farms.lost_since(VTI) is None
    assert farms.is_up["usfarm.nj"]


async def test_farms_that_are_not_connected_after_a_loss_of_ibkr_are_broken():
    farms = Farms()
    farms.handle(1102, "All is well. The following farms are not connected: cashhmds; usfarm; cashfarm.", NOW)
    assert farms.is_up == {"cashhmds": False, "usfarm": False, "cashfarm": False}
    assert farms.lost_since(VTI) == farms.lost_since(USD_CAD) == NOW


async def test_a_quote_is_fresh_while_a_farm_that_does_not_serve_it_is_broken(clock):
    farms = Farms()
    farms.handle(2103, "Market data farm connection is broken:usbond", NOW - timedelta(seconds=60))
    assert subscribed(clock, *IMAGE, farms=farms).quote().taken_at == NOW


async def test_a_trade_time_ahead_of_our_clock_makes_no_quote_of_the_future(clock):
    assert subscribed(clock, *IMAGE, last_trade(-5)).quote().taken_at == NOW


async def test_without_a_tick_the_quote_is_empty(clock):
    quote = subscribed(clock).quote()
    assert prices(quote) == (None, None, None, None)
    assert quote.taken_at == NOW


async def test_a_halt_and_its_end_are_in_the_quote(clock):
    assert subscribed(clock, HaltTick(ID, is_halted=True)).quote().is_halted
    assert not subscribed(clock, HaltTick(ID, is_halted=True), HaltTick(ID, is_halted=False)).quote().is_halted


async def test_a_snapshot_is_complete_only_at_its_end_message(clock):
    subscription = subscribed(clock, *IMAGE, last_trade(0), is_snapshot=True)
    assert not subscription.done.done()
    subscription.complete()
    assert subscription.done.done()
    assert subscription.quote().is_snapshot
