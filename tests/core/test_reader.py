"""Reading with retries: what is repeated, how often, on which clock, and how quotes are completed."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, quote
from input_builders import made_settings
from planning_builders import plan_settings
from worlds import ACCOUNT, VTI, account, fake, held, quoted, world

from core.broker.fake import FakeIB
from core.broker.ib import LiveIB, LiveOptions
from core.clock import RunningClock
from core.errors import ConnectionLost, ConnectionRefused, ContractNotFound, MarketDataMissing, PacingExceeded
from core.execution.reader import Reader
from core.market.quotes import completed
from core.model import MarketDataType, Quote, QuoteRefusal, SecurityType, Symbol, Targets
from core.money import D
from core.sim.venue.world import Fault, FaultKind, SimQuote, Values

SETTINGS = plan_settings(stale_quote_seconds=10.0, fallback_to_snapshot=True)
MARKET = frozenset({"bid", "ask"})
BND = Symbol("BND")

TWO_SIDED = ("100.00", "100.02", "100.01")


def reader(broker: object, attempts: int = 4) -> tuple[Reader, list[str]]:
    messages: list[str] = []
    return Reader(broker, attempts, messages.append), messages  # type: ignore[arg-type]  # FakeIB is a Broker


async def take(broker: object, settings=SETTINGS, *, refuse_not_live: bool = False):
    """The quotes and warnings of every contract the broker lists."""
    contracts = tuple(broker.exchange.contracts.values())
    return await reader(broker)[0].take_quotes(contracts, settings, refuse_not_live=refuse_not_live)


def empty(symbol: str = "VTI") -> Quote:
    return quote(symbol, bid=None, ask=None, last=None)


def asked(broker: object) -> list[str]:
    """What was sent for VTI's quote."""
    return [entry.what for entry in broker.log if entry.what == "quote VTI"]


async def test_a_read_opens_the_connection_first():
    broker = fake()
    assert (await reader(broker)[0].accounts()) == ("DU1234567",)
    assert broker.is_connected


async def test_connecting_twice_connects_once():
    broker = fake()
    await reader(broker)[0].connect()
    await reader(broker)[0].connect()
    assert [entry.what for entry in broker.log] == ["connect"]


@pytest.mark.parametrize("kind", [FaultKind.DISCONNECT, FaultKind.PACING])
async def test_a_read_that_met_trouble_is_tried_again_on_the_venues_clock(kind):
    broker = fake(faults=(Fault("snapshot", kind, 2),))
    start = broker.now()
    its, messages = reader(broker)
    assert (await its.take_snapshot()).account_id == "DU1234567"
    assert broker.now() - start == timedelta(seconds=1 + 2)
    assert ["; try 2 of 4 in 1 s" in messages[0], "; try 3 of 4 in 2 s" in messages[1]] == [True, True]
    assert messages[0].startswith("reading the account: ")


@pytest.mark.parametrize(
    ("kind", "error"), [(FaultKind.DISCONNECT, ConnectionLost), (FaultKind.PACING, PacingExceeded)]
)
async def test_out_of_tries_the_failure_says_how_many_there_were(kind, error):
    broker = fake(faults=(Fault("snapshot", kind, 3),))
    with pytest.raises(error, match=r"^reading the account: .*\(3 tries\)") as raised:
        await reader(broker, 3)[0].take_snapshot()
    assert raised.value.next_step


async def test_an_address_where_nobody_listens_is_tried_for_15_seconds_at_most_however_patient_the_settings():
    clock = RunningClock(NOW, speed=50)
    with socket.socket() as unresponsive:
        unresponsive.bind(("127.0.0.1", 0))
        port = unresponsive.getsockname()[1]
        its, messages = reader(LiveIB(LiveOptions("127.0.0.1", port, 42, ACCOUNT), clock), attempts=10)
        with pytest.raises(ConnectionRefused, match=rf"^connecting: 127\.0\.0\.1:{port} refused .*\(5 tries\)"):
            await its.connect()
    assert timedelta(seconds=15) <= clock.now() - NOW < timedelta(seconds=45)
    assert messages[0] == f"connecting: 127.0.0.1:{port} refused the connection; try 2 of 5 in 1 s"


async def test_a_gateway_that_refuses_the_connection_is_tried_again_and_then_named():
    broker = fake(faults=(Fault("connect", FaultKind.DISCONNECT, 9),))
    with pytest.raises(ConnectionLost, match=r"connecting: .*refused.*\(2 tries\)"):
        await reader(broker, 2)[0].connect()


async def test_waits_double_up_to_half_a_minute():
    broker = fake(faults=(Fault("snapshot", FaultKind.PACING, 7),))
    start = broker.now()
    await reader(broker, 8)[0].take_snapshot()
    assert broker.now() - start == timedelta(seconds=1 + 2 + 4 + 8 + 16 + 30 + 30)


async def test_a_contract_that_does_not_exist_is_not_asked_for_again():
    broker = fake()
    start = broker.now()
    with pytest.raises(ContractNotFound, match="NOPE"):
        await reader(broker)[0].resolve([Symbol("NOPE")], {})
    assert broker.now() == start


async def test_resolving_passes_the_overrides_on():
    found = await reader(fake())[0].resolve([VTI], {VTI: "NYSE"})
    assert found[VTI].exchange == "NYSE"


@pytest.mark.parametrize(("enabled", "expected"), [("false", {"BND", "VTI"}), ("true", {"BND", "VTI", "USD.CAD"})])
async def test_the_universe_is_every_target_and_every_held_etf_in_usd(enabled, expected):
    broker = fake(account=account(positions=(held("VTI"), held("AAPL", security_type=SecurityType.STOCK))))
    its, _ = reader(broker)
    before = await its.take_snapshot()
    targets = Targets({Symbol("BND"): D(1)}, D(1), D(0), D(1))
    settings = made_settings({"fx": {"enabled": enabled}})
    assert set(await its.resolve_universe(targets, before, settings)) == expected


async def test_a_held_symbol_is_quoted_only_where_the_broker_has_no_mark_for_it():
    broker = fake(
        account=account(positions=(held("IEF"), held("RSX"))),
        quotes=dict.fromkeys((VTI, Symbol("IEF")), quoted(*TWO_SIDED)),
    )
    its, _ = reader(broker)
    before = await its.take_snapshot()
    targets = Targets({Symbol("VTI"): D(1)}, D(1), D(0), D(1))
    settings = made_settings({"rebalance": {"hold_symbols": "ief, rsx"}})
    assert set(await its.resolve_universe(targets, before, settings)) == {"VTI", "RSX"}


async def test_the_kind_of_market_data_that_is_set_is_asked_for():
    taken = await take(fake(), plan_settings(market_data_type=MarketDataType.DELAYED))
    assert taken.quotes[VTI].data_type is MarketDataType.DELAYED
    assert taken.warnings == ("quotes are not live but delayed: BND, USD.CAD, VTI",)


async def test_fresh_two_sided_quotes_are_asked_for_once():
    broker = fake()
    taken = await take(broker)
    assert (taken.quotes[VTI].bid, taken.quotes[VTI].is_snapshot, taken.warnings) == (D("100.00"), False, ())
    assert len(asked(broker)) == 1


async def test_a_stale_quote_is_asked_for_once_more_and_the_fresh_answer_counts():
    broker = fake(faults=(Fault("quotes", FaultKind.STALE, 1),))
    taken = await take(broker)
    assert broker.now() - taken.quotes[VTI].taken_at < timedelta(seconds=1)
    assert len(asked(broker)) == 2


async def test_a_quote_that_stays_stale_keeps_its_time_for_the_plan():
    broker = fake(quotes={VTI: quoted(*TWO_SIDED, age_seconds=D(60))})
    taken = await take(broker)
    assert broker.now() - taken.quotes[VTI].taken_at >= timedelta(seconds=60)


async def test_a_symbol_without_any_value_gets_a_snapshot():
    only = SimQuote(snapshot=Values(D("72.00"), D("72.02")))
    taken = await take(fake(quotes={VTI: only}))
    assert (taken.quotes[VTI].is_snapshot, taken.quotes[VTI].bid) == (True, D("72.00"))


async def test_no_snapshot_is_requested_unless_the_settings_allow_it():
    only = SimQuote(snapshot=Values(D("72.00"), D("72.02")))
    broker = fake(quotes={VTI: only})
    taken = await take(broker, plan_settings(fallback_to_snapshot=False))
    assert (taken.quotes[VTI].is_snapshot, taken.quotes[VTI].bid) == (False, None)
    assert len(asked(broker)) == 2


async def test_a_last_price_without_bid_and_ask_takes_them_from_a_snapshot():
    half = SimQuote(Values(last=D("72.50")), snapshot=Values(D("72.00"), D("72.02")))
    taken = (await take(fake(quotes={VTI: half}))).quotes[VTI]
    assert (taken.last, taken.bid, taken.ask, taken.is_snapshot) == (D("72.50"), D("72.00"), D("72.02"), False)


class SlowSnapshots(FakeIB):
    async def quotes(self, contracts, *, is_snapshot=False):
        if is_snapshot:
            await self.sleep(11)  # as on a live gateway where a side is missing
        return await super().quotes(contracts, is_snapshot=is_snapshot)


async def test_quotes_that_grow_stale_while_a_snapshot_is_awaited_are_asked_for_once_more():
    quotes = {VTI: quoted(*TWO_SIDED), Symbol("BND"): SimQuote(snapshot=Values(D("72.00"), D("72.01")))}
    broker = SlowSnapshots.of(world(quotes=quotes))
    taken = await take(broker)
    assert taken.quotes[VTI].taken_at == broker.now()
    assert asked(broker) == ["quote VTI"] * 2


async def test_a_symbol_without_a_quote_keeps_its_empty_quote():
    taken = (await take(fake(quotes={VTI: SimQuote()}))).quotes[VTI]
    assert (taken.bid, taken.ask, taken.last) == (None, None, None)


async def test_a_halted_symbol_with_a_last_price_is_not_asked_for_a_snapshot():
    broker = fake(quotes={VTI: quoted(*TWO_SIDED, is_halted=True)})
    assert (await take(broker)).quotes[VTI].is_halted
    assert len(asked(broker)) == 2


async def test_data_that_is_not_live_is_a_warning_naming_the_symbols():
    broker = fake(quotes={VTI: quoted(*TWO_SIDED, data_type=MarketDataType.DELAYED_FROZEN)})
    assert (await take(broker)).warnings == ("quotes are not live but delayed frozen: VTI",)


async def test_data_that_is_not_live_is_refused_where_money_is_real():
    broker = fake(quotes={VTI: quoted(*TWO_SIDED, data_type=MarketDataType.DELAYED)})
    with pytest.raises(MarketDataMissing, match="not live but delayed: VTI"):
        await take(broker, refuse_not_live=True)


@pytest.mark.parametrize(
    ("streamed", "snapshot", "expected"),
    [
        (empty(), quote(is_snapshot=True), quote(is_snapshot=True)),
        (empty(), empty(), empty()),
        (quote(), quote(bid=D(1), is_snapshot=True), quote()),
        (quote(bid=None), empty(), quote(bid=None)),
        (quote(bid=None), quote(bid=D("99.98"), last=D(5)), quote(bid=D("99.98"), filled=MARKET)),
        (quote(bid=D(101)), quote(), quote(filled=MARKET)),
        (quote(bid=D(101), last=None), quote(bid=None, last=D(7), is_snapshot=True), None),
    ],
)
def test_a_snapshot_completes_only_what_the_stream_lacks(streamed, snapshot, expected):
    assert completed(streamed, snapshot, SETTINGS) == (snapshot if expected is None else expected)


REFUSAL = QuoteRefusal("Not subscribed. (354)", "subscribe")


@pytest.mark.parametrize("streamed", [empty(), quote(bid=None)])
def test_a_snapshot_that_is_refused_adds_the_brokers_words(streamed):
    assert completed(streamed, replace(empty(), refusal=REFUSAL), SETTINGS) == replace(streamed, refusal=REFUSAL)


class Refusing(FakeIB):
    """Sends no market data of BND from the given request on."""

    asked, after = 0, 0

    async def quotes(self, contracts, *, is_snapshot=False):
        self.asked += BND in {each.symbol for each in contracts}
        taken = dict(await super().quotes(contracts, is_snapshot=is_snapshot))
        for symbol in {BND} & taken.keys() if self.asked > self.after else ():
            taken[symbol] = replace(empty(symbol), refusal=REFUSAL)
        return taken


@pytest.mark.parametrize("after", [0, 1])
async def test_data_that_the_broker_refuses_is_a_warning_in_its_words_and_an_empty_quote(after):
    one_sided = SimQuote(Values(bid=D("72.00")))
    broker = Refusing.of(world(quotes={VTI: quoted(*TWO_SIDED), BND: one_sided}))
    broker.after = after
    taken = await take(broker)
    assert taken.warnings == ("the broker sends no market data of BND: Not subscribed. (354)",)
    assert (taken.quotes[BND].bid, taken.quotes[BND].refusal) == (None, REFUSAL)
    assert taken.quotes[VTI].bid == D("100.00")
    assert broker.asked == after + 1


def test_bid_and_ask_bring_their_own_time_and_kind():
    later = NOW + timedelta(seconds=3)
    snapshot = quote(taken_at=later, data_type=MarketDataType.DELAYED)
    merged = completed(quote(ask=None, last=D(98)), snapshot, SETTINGS)
    assert (merged.last, merged.taken_at, merged.data_type) == (D(98), later, MarketDataType.DELAYED)
