"""What every broker behind the port must do, as one suite.

A subclass provides the fixture `start`: an async function from a World to a Rig, which is a broker of
that world and a way to open another connection to the same venue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from builders import contract
from worlds import ACCOUNT, VTI, account, earlier, held, order, quoted, scripted, world

from core.broker.port import Broker
from core.errors import (
    ConnectionLost,
    ContractNotFound,
    FractionRefused,
    FundsInsufficient,
    NoAnswer,
    OrderRejected,
    PacingExceeded,
)
from core.model import (
    CAD,
    USD,
    USD_CAD,
    CommissionReport,
    Fill,
    MarketDataType,
    Notice,
    OrderState,
    OrderType,
    OrderUpdate,
    RejectReason,
    SecurityType,
    Side,
    Symbol,
)
from core.money import D
from core.sim.venue.contracts import con_id_of
from core.sim.venue.world import Fault, FaultKind, SimQuote, Values

BND, SHOP, NOPE = Symbol("BND"), Symbol("SHOP"), Symbol("NOPE")

CALLS = {
    "accounts": lambda broker: broker.accounts(),
    "snapshot": lambda broker: broker.snapshot(),
    "resolve": lambda broker: broker.resolve([VTI], {}),
    "quotes": lambda broker: broker.quotes([listed()]),
    "market_data_type": lambda broker: broker.market_data_type(MarketDataType.LIVE),
    "place": lambda broker: broker.place(order()),
    "what_if": lambda broker: broker.what_if(order()),
    "cancel": lambda broker: broker.cancel(order().ref),
    "next_event": lambda broker: broker.next_event(1),
    "open_orders": lambda broker: broker.open_orders(),
    "completed_orders": lambda broker: broker.completed_orders(),
    "executions": lambda broker: broker.executions(),
}


@dataclass
class Rig:
    """A broker not yet connected, and how to make another one on the same venue."""

    broker: Broker
    again: Callable[[], Broker]


Start = Callable[..., Awaitable[Rig]]


def listed(symbol="VTI"):
    """The contract as the venue lists it."""
    return contract(symbol, con_id=con_id_of(Symbol(symbol)))


async def drain(broker, seconds=1.0):
    """The events until none came for so long."""
    events = []
    while (event := await broker.next_event(seconds)) is not None:
        events.append(event)
    return events


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


def states(events):
    return [event.state for event in of_kind(events, OrderUpdate)]


class BrokerContract:
    @pytest.fixture
    async def connected(self, start):
        """A function from the changes of a world to a connected broker."""

        async def connect(**changes):
            rig = await start(world(**changes))
            await rig.broker.connect()
            return rig.broker

        return connect

    @pytest.mark.parametrize("name", sorted(CALLS))
    async def test_nothing_is_answered_without_a_connection(self, start, name):
        rig = await start(world())
        with pytest.raises(ConnectionLost):
            await CALLS[name](rig.broker)

    async def test_connecting_and_disconnecting_twice_is_the_same_as_once(self, start):
        broker = (await start(world())).broker
        await broker.disconnect()
        assert not broker.is_connected
        await broker.connect()
        await broker.connect()
        assert broker.is_connected
        await broker.disconnect()
        await broker.disconnect()
        assert not broker.is_connected

    async def test_a_refused_connection_is_lost_and_can_be_tried_again(self, start):
        rig = await start(world(faults=(Fault("connect", FaultKind.DISCONNECT),)))
        with pytest.raises(ConnectionLost):
            await rig.broker.connect()
        await rig.broker.connect()
        assert await rig.broker.accounts() == (ACCOUNT,)

    async def test_venue_time_passes_by_sleeping(self, connected):
        broker = await connected()
        before = broker.now()
        await broker.sleep(90)
        assert broker.now() - before >= timedelta(seconds=90)
        assert broker.now().utcoffset() == timedelta(0)

    async def test_the_snapshot_keeps_currencies_apart_with_their_rates(self, connected):
        broker = await connected(account=account(base_currency=CAD, positions=()))
        snapshot = await broker.snapshot()
        assert snapshot.account_id == ACCOUNT
        assert snapshot.base_currency == CAD
        assert {currency: snapshot.cash[currency] for currency in (USD, CAD)} == {USD: D(100_000), CAD: D(5_000)}
        assert snapshot.rates[CAD] == 1
        assert abs(snapshot.rates[USD] - D("1.36")) < D("0.001")
        assert snapshot.net_liq.currency == CAD
        assert abs(snapshot.net_liq.amount - D("141002.50")) < D(1)

    async def test_the_snapshot_distinguishes_etfs_from_shares_and_values_both(self, connected):
        shop = held("SHOP", "7", "55", security_type=SecurityType.STOCK, currency=CAD)
        broker = await connected(
            account=account(positions=(shop, held())), quotes={SHOP: quoted(last="60"), VTI: quoted(last="100")}
        )
        positions = (await broker.snapshot()).positions
        assert [(one.contract.symbol, one.contract.security_type, one.contract.currency) for one in positions] == [
            (SHOP, SecurityType.STOCK, CAD),
            (VTI, SecurityType.ETF, USD),
        ]
        assert [(one.quantity, one.average_cost, one.market_value) for one in positions] == [
            (D(7), D(55), D(420)),
            (D(10), D(200), D(1000)),
        ]

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            (FaultKind.DISCONNECT, ConnectionLost),
            (FaultKind.PACING, PacingExceeded),
            (FaultKind.CONTRACT_NOT_FOUND, ContractNotFound),
        ],
    )
    async def test_a_snapshot_that_cannot_be_completed_raises_and_is_whole_when_asked_again(self, start, kind, error):
        broker = (await start(world(faults=(Fault("snapshot", kind),)))).broker
        await broker.connect()
        with pytest.raises(error):
            await broker.snapshot()
        await broker.connect()
        assert len((await broker.snapshot()).positions) == 1

    async def test_orders_of_every_client_are_seen(self, connected):
        orders = (earlier(filled=D(4)), earlier("BND", ref="by hand", side=Side.SELL, limit_price=None))
        broker = await connected(account=account(open_orders=orders, positions=(held(), held("BND"))))
        seen = await broker.open_orders()
        assert [(one.order_ref, one.symbol, one.side, one.quantity, one.filled, one.limit_price) for one in seen] == [
            ("RB-EARLIER-B1-1", VTI, Side.BUY, D(10), D(4), D("90.00")),
            ("by hand", BND, Side.SELL, D(10), D(0), None),
        ]
        assert [one.order_type for one in seen] == [OrderType.LMT, OrderType.MKT]
        assert (await broker.snapshot()).working_orders == seen

    async def test_contracts_resolve_to_etfs_in_usd_and_to_the_currency_pair(self, connected):
        broker = await connected()
        found = await broker.resolve([VTI, USD_CAD], {VTI: "ARCA"})
        assert (found[VTI].security_type, found[VTI].currency, found[VTI].exchange) == (SecurityType.ETF, USD, "ARCA")
        assert (found[USD_CAD].security_type, found[USD_CAD].currency) == (SecurityType.CASH, CAD)
        assert found[USD_CAD].con_id == 15016062
        assert found[VTI].ticks[-1].increment == D("0.01")
        assert found[USD_CAD].ticks[-1].increment == D("0.00005")
        assert "20260302:0930-20260302:1600" in found[VTI].liquid_hours

    async def test_an_override_in_digits_is_the_conid(self, connected):
        broker = await connected()
        plain = await broker.resolve([VTI], {})
        named = await broker.resolve([VTI], {VTI: str(plain[VTI].con_id)})
        assert named[VTI].con_id == plain[VTI].con_id

    async def test_every_symbol_that_does_not_resolve_is_named(self, connected):
        shop = held("SHOP", security_type=SecurityType.STOCK)
        broker = await connected(account=account(positions=(shop,)))
        with pytest.raises(ContractNotFound) as error:
            await broker.resolve([VTI, SHOP, NOPE], {})
        assert "SHOP" in error.value.message
        assert "NOPE" in error.value.message
        assert "VTI" not in error.value.message

    async def test_an_absent_value_is_none_and_not_a_number(self, connected):
        quotes = {VTI: quoted(bid="-1", ask="0"), BND: SimQuote()}
        broker = await connected(quotes=quotes)
        contracts = await broker.resolve([VTI, BND], {})
        answer = await broker.quotes(list(contracts.values()))
        for symbol in (VTI, BND):
            assert (answer[symbol].bid, answer[symbol].ask, answer[symbol].last) == (None, None, None)

    async def test_a_snapshot_quote_is_marked_and_may_know_more(self, connected):
        broker = await connected(quotes={VTI: SimQuote(snapshot=Values(bid=D("72.00"), ask=D("72.02")))})
        contracts = list((await broker.resolve([VTI], {})).values())
        streamed = (await broker.quotes(contracts))[VTI]
        assert (streamed.bid, streamed.is_snapshot) == (None, False)
        snapshot = (await broker.quotes(contracts, is_snapshot=True))[VTI]
        assert (snapshot.bid, snapshot.ask, snapshot.is_snapshot) == (D("72.00"), D("72.02"), True)

    async def test_a_quote_has_its_time_and_its_market_data_type(self, connected):
        broker = await connected(quotes={VTI: quoted("1", "2", age_seconds=D(30), is_halted=True)})
        await broker.market_data_type(MarketDataType.DELAYED)
        quote = (await broker.quotes(list((await broker.resolve([VTI], {})).values())))[VTI]
        assert timedelta(seconds=30) <= broker.now() - quote.taken_at < timedelta(seconds=32)
        assert quote.data_type is MarketDataType.DELAYED
        assert quote.is_halted

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            (FaultKind.DISCONNECT, ConnectionLost),
            (FaultKind.PACING, PacingExceeded),
        ],
    )
    async def test_quotes_that_fail_raise_and_come_when_asked_again(self, start, kind, error):
        broker = (await start(world(faults=(Fault("quotes", kind),)))).broker
        await broker.connect()
        with pytest.raises(error):
            await broker.quotes([listed()])
        await broker.connect()
        assert (await broker.quotes([listed()]))[VTI].bid == D("100.00")

    async def test_a_quote_of_an_unknown_contract_is_empty_with_the_brokers_words_and_spoils_no_other(self, connected):
        broker = await connected()
        taken = await broker.quotes([listed("NOPE"), listed()])
        nope = taken[Symbol("NOPE")]
        assert (nope.bid, nope.ask, nope.last) == (None, None, None)
        assert nope.refusal.text == "No security definition has been found for the request (200)"
        assert nope.refusal.is_unknown
        assert "TWS" in nope.refusal.next_step
        assert (taken[VTI].bid, taken[VTI].refusal) == (D("100.00"), None)

    async def test_a_contract_that_is_not_found_when_quotes_are_asked_for_is_that_of_the_first(self, start):
        broker = (await start(world(faults=(Fault("quotes", FaultKind.CONTRACT_NOT_FOUND),)))).broker
        await broker.connect()
        for is_refused in (True, False):
            taken = await broker.quotes([listed(), listed("BND")])
            assert (taken[VTI].bid is None, taken[VTI].refusal is not None) == (is_refused, is_refused)
            assert taken[BND].bid is not None

    async def test_a_marketable_order_works_fills_and_is_filled_in_this_order(self, connected):
        broker = await connected(commission=D(1))
        await broker.place(order(limit="100.05"))
        events = await drain(broker)
        (fill,) = of_kind(events, Fill)
        (paid,) = of_kind(events, CommissionReport)
        assert states(events)[0] is OrderState.WORKING
        assert states(events)[-1] is OrderState.FILLED
        assert (fill.shares, fill.price, fill.side, fill.order_ref) == (D(10), D("100.02"), Side.BUY, order().ref)
        assert (paid.exec_id, paid.commission, paid.currency) == (fill.exec_id, D(1), USD)
        assert events.index(fill) < events.index(paid)
        assert events.index(fill) < events.index(of_kind(events, OrderUpdate)[-1])

    async def test_a_fill_shows_in_account_executions_and_completed_orders(self, connected):
        broker = await connected(commission=D(1))
        await broker.place(order(side=Side.SELL, limit=None, ref="RB-A-S1-1", quantity="4"))
        await drain(broker)
        snapshot = await broker.snapshot()
        assert snapshot.cash[USD] == D("100399.00")  # + 4 × 100.00 − 1.00
        assert snapshot.positions[0].quantity == D(6)
        (execution,) = await broker.executions()
        assert (execution.shares, execution.price, execution.commission) == (D(4), D("100.00"), D(1))
        (ended,) = await broker.completed_orders()
        assert (ended.order_ref, ended.state, ended.filled) == ("RB-A-S1-1", OrderState.FILLED, D(4))
        assert await broker.open_orders() == ()

    async def test_a_conversion_moves_cash_from_one_currency_to_the_other(self, connected):
        broker = await connected()
        await broker.place(order(USD_CAD, quantity="1000", limit=None, ref="RB-A-F1-1"))
        (fill,) = of_kind(await drain(broker), Fill)
        snapshot = await broker.snapshot()
        assert (fill.price, snapshot.cash[USD], snapshot.cash[CAD]) == (D("1.36005"), D(101_000), D("3639.95"))

    async def test_a_resting_order_works_until_its_cancel_is_confirmed(self, connected):
        broker = await connected()
        await broker.place(order(limit="99.00"))
        before = broker.now()
        assert states(await drain(broker, 5)) == [OrderState.WORKING]
        assert broker.now() - before >= timedelta(seconds=5)
        (working,) = await broker.open_orders()
        assert (working.limit_price, working.order_ref) == (D("99.00"), order().ref)
        await broker.cancel(order().ref)
        events = await drain(broker)
        assert states(events)[-1] is OrderState.CANCELLED
        assert await broker.open_orders() == ()
        assert [one.state for one in await broker.completed_orders()] == [OrderState.CANCELLED]

    async def test_what_filled_before_the_cancel_counts(self, connected):
        broker = await connected(fills=scripted(fill_fraction=D("0.5")))
        await broker.place(order(quantity="5"))
        await drain(broker)
        (working,) = await broker.open_orders()
        assert working.filled == D(2)
        await broker.cancel(order().ref)
        last = of_kind(await drain(broker), OrderUpdate)[-1]
        assert (last.state, last.filled) == (OrderState.CANCELLED, D(2))
        (ended,) = await broker.completed_orders()
        assert (ended.quantity, ended.filled) == (D(5), D(2))

    async def test_a_fill_in_time_is_awaited_and_a_later_one_is_not(self, connected):
        broker = await connected(fills=scripted(delay_seconds=D(20)))
        await broker.place(order())
        assert of_kind(await drain(broker, 5), Fill) == []
        assert len(of_kind(await drain(broker, 30), Fill)) == 1

    async def test_a_cancel_of_a_filled_order_reports_it_as_filled(self, connected):
        broker = await connected()
        await broker.place(order())
        await drain(broker)
        await broker.cancel(order().ref)
        (update,) = of_kind(await drain(broker), OrderUpdate)
        assert (update.state, update.filled) == (OrderState.FILLED, D(10))

    async def test_a_cancel_of_an_unknown_order_changes_nothing_and_is_reported(self, connected):
        broker = await connected()
        await broker.cancel(order(ref="RB-NONE-B1-1").ref)
        (notice,) = await drain(broker)
        assert isinstance(notice, Notice)
        assert (notice.code, notice.order_ref) == (10147, "RB-NONE-B1-1")

    async def test_an_order_that_ended_before_we_connected_cannot_be_cancelled(self, connected):
        broker = await connected()
        await broker.place(order())
        await drain(broker)
        await broker.disconnect()
        await broker.connect()
        await broker.cancel(order().ref)
        assert [event.code for event in await drain(broker)] == [10147]

    async def test_our_order_of_an_earlier_run_is_cancelled_by_its_reference(self, connected):
        broker = await connected(account=account(open_orders=(earlier(filled=D(4)),)))
        await broker.cancel(earlier().order_ref)
        last = of_kind(await drain(broker), OrderUpdate)[-1]
        assert (last.state, last.filled) == (OrderState.CANCELLED, D(4))

    async def test_another_clients_order_stays(self, connected):
        broker = await connected(account=account(open_orders=(earlier(ref="by hand"),)))
        await broker.cancel(earlier(ref="by hand").order_ref)
        assert of_kind(await drain(broker), OrderUpdate) == []
        assert len(await broker.open_orders()) == 1

    @pytest.mark.parametrize(
        ("code", "reject_reason"),
        [
            (201, RejectReason.REJECTED),
            (10243, RejectReason.FRACTION),
            (200, RejectReason.CONTRACT),
            (100, RejectReason.PACING),
        ],
    )
    async def test_a_rejection_keeps_the_brokers_code_and_what_it_means(self, connected, code, reject_reason):
        broker = await connected(fills=scripted(reject=code))
        await broker.place(order())
        (update,) = of_kind(await drain(broker), OrderUpdate)
        assert (update.state, update.code, update.reject_reason) == (OrderState.REJECTED, code, reject_reason)
        assert update.reason
        assert [one.state for one in await broker.completed_orders()] == [OrderState.REJECTED]

    async def test_a_buy_beyond_the_margin_is_rejected_as_such(self, connected):
        broker = await connected(account=account(excess_liquidity=D(100)))
        await broker.place(order(quantity="5"))  # needs 125.03
        (update,) = of_kind(await drain(broker), OrderUpdate)
        assert (update.state, update.code, update.reject_reason) == (OrderState.REJECTED, 201, RejectReason.MARGIN)

    async def test_a_what_if_reports_what_a_buy_would_take_and_places_nothing(self, connected):
        broker = await connected(commission=D(1))
        before = await broker.snapshot()
        effect = await broker.what_if(order())
        assert effect.currency == USD
        assert abs(effect.initial_margin.change - D("250.05")) <= D("0.01")  # a quarter of 10 × 100.02
        assert abs(effect.maintenance_margin.change - D("250.05")) <= D("0.01")
        assert effect.maintenance_margin.before == before.maintenance_margin.amount
        excess = effect.equity_with_loan.before - effect.maintenance_margin.before
        assert abs(excess - before.excess_liquidity.amount) <= D("0.01")
        assert (effect.equity_with_loan.change, effect.commission, effect.commission_currency) == (D(-1), D(1), USD)
        assert await drain(broker, 60) == []
        assert await broker.open_orders() == await broker.completed_orders() == await broker.executions() == ()
        assert (await broker.snapshot()).cash == before.cash

    async def test_an_earlier_what_if_does_not_count(self, connected):
        broker = await connected(account=account(excess_liquidity=D(300)))
        first, again = await broker.what_if(order()), await broker.what_if(order())
        assert first == again

    async def test_a_what_if_is_in_the_base_currency(self, connected):
        broker = await connected(account=account(base_currency=CAD))
        effect = await broker.what_if(order())
        assert (effect.currency, abs(effect.initial_margin.change - D("340.07")) <= D("0.01")) == (CAD, True)

    async def test_a_sell_frees_margin(self, connected):
        broker = await connected()
        effect = await broker.what_if(order(side=Side.SELL, limit="100.00"))
        assert effect.initial_margin.change < D(-249)

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"account": account(excess_liquidity=D(100))}, FundsInsufficient),
            ({"fills": scripted(what_if_reject=201)}, OrderRejected),
            ({"fills": scripted(what_if_reject=10243)}, FractionRefused),
            ({"fills": scripted(what_if_reject=200)}, ContractNotFound),
        ],
    )
    async def test_a_what_if_is_refused_as_the_order_would_be(self, connected, changes, error):
        broker = await connected(**changes)
        with pytest.raises(error, match="would reject BUY 5 VTI"):
            await broker.what_if(order(quantity="5"))
        assert await drain(broker) == []

    async def test_a_what_if_that_is_never_answered_is_given_up_for_that_order_alone(self, connected):
        broker = await connected(fills=scripted(what_if_unanswered=True))
        before = broker.now()
        with pytest.raises(NoAnswer, match="did not answer within 20 s whether it would accept BUY 10 VTI"):
            await broker.what_if(order())
        assert abs((broker.now() - before).total_seconds() - 20) < 1
        assert (await broker.what_if(order("BND", limit="72.01"))).initial_margin.change > 0

    async def test_an_order_outlives_the_connection_and_fills_meanwhile(self, start):
        rig = await start(world(fills=scripted(delay_seconds=D(10), fill_fraction=D("0.5"))))
        await rig.broker.connect()
        await rig.broker.place(order())
        await drain(rig.broker)
        await rig.broker.disconnect()
        await rig.broker.sleep(60)
        again = rig.again()
        await again.connect()
        assert [(one.order_ref, one.filled) for one in await again.open_orders()] == [(order().ref, D(5))]
        assert [(fill.order_ref, fill.shares) for fill in await again.executions()] == [(order().ref, D(5))]
        assert await again.next_event(1) is None
        await again.cancel(order().ref)
        assert states(await drain(again))[-1] is OrderState.CANCELLED

    async def test_an_order_may_have_arrived_although_the_connection_broke(self, start):
        rig = await start(world(faults=(Fault("order:VTI", FaultKind.DISCONNECT),)))
        await rig.broker.connect()
        with pytest.raises(ConnectionLost):
            await rig.broker.place(order())
        assert not rig.broker.is_connected
        with pytest.raises(ConnectionLost):
            await rig.broker.open_orders()
        again = rig.again()
        await again.connect()
        (ended,) = await again.completed_orders()
        assert (ended.order_ref, ended.state, ended.filled) == (order().ref, OrderState.FILLED, D(10))
        assert [fill.order_ref for fill in await again.executions()] == [order().ref]

    async def test_events_not_taken_before_the_connection_broke_are_dropped(self, connected):
        broker = await connected()
        await broker.place(order())
        await broker.disconnect()
        await broker.connect()
        assert await broker.next_event(5) is None
        assert len(await broker.executions()) == 1

    async def test_events_of_several_orders_come_in_order_of_time(self, connected):
        later = {VTI: scripted(delay_seconds=D(8))[VTI], BND: scripted("BND", delay_seconds=D(3))[BND]}
        broker = await connected(fills=later)
        await broker.place(order())
        await broker.place(order("BND", limit="72.01", ref="RB-AAAAAAAAAAAA-B2-1"))
        fills = of_kind(await drain(broker, 20), Fill)
        assert [fill.symbol for fill in fills] == [BND, VTI]
        assert [event.at for event in fills] == sorted(event.at for event in fills)
