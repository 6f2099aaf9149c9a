"""What can be held against a real account: the part of every broker's contract that needs no world of its own.

It runs on the simulated gateway, on a clock that runs, and on a real paper gateway where a person provides one. It
buys one share at 2 % below the market, and cancels it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal

import pytest
from broker_contract import CALLS, drain, of_kind
from live import closed, opened
from worlds import ACCOUNT, order, quoted, world

from core.broker.ib import LiveIB, LiveOptions
from core.clock import RunningClock
from core.errors import ConnectionLost, ContractNotFound
from core.model import (
    CAD,
    USD,
    USD_CAD,
    AccountId,
    MarketDataType,
    Notice,
    OrderState,
    OrderUpdate,
    SecurityType,
    Stage,
    Symbol,
)
from core.model.refs import order_ref, run_id_of
from core.money import D

SCHD, NOPE = Symbol("SCHD"), Symbol("NOSUCHETF")
CLIENT = 78
VARIABLES = ("IB_PAPER_HOST", "IB_PAPER_PORT", "IB_PAPER_ACCOUNT")
PATIENCE_SECONDS = 5
BELOW = D("0.98")
CLOCKS_APART = timedelta(seconds=5)
COMMAND = ".venv/bin/pytest tests/contract -k paper -n 0"


@dataclass(frozen=True)
class Place:
    """An account at a gateway, and how a client of it is made."""

    account: AccountId
    client: Callable[[], LiveIB]


class PaperContract:
    @pytest.fixture
    async def broker(self, place):
        broker = place.client()
        await broker.connect()
        yield broker
        await broker.disconnect()

    @pytest.fixture
    async def low_order(self, place, broker):
        """A function from an attempt to an order that rests; what still works of them at the end is cancelled."""
        run = run_id_of(f"paper {datetime.now(UTC)}")
        sent = []
        await broker.market_data_type(MarketDataType.DELAYED)
        contract = (await broker.resolve([SCHD], {}))[SCHD]
        quote = (await broker.quotes([contract]))[SCHD]
        price = next((one for one in (quote.bid, quote.last, quote.previous_close) if one), None)
        assert price is not None, f"no price of {SCHD} to stay below of: look for market-data subscriptions and {quote}"

        def make(attempt):
            ref = order_ref(run, Stage.BUY, 1, attempt)
            sent.append(ref)
            limit = str((price * BELOW).quantize(Decimal("0.01"), ROUND_DOWN))
            return order(SCHD, quantity="1", limit=limit, ref=ref, contract=contract, account_id=place.account)

        yield make
        if not broker.is_connected:
            await broker.connect()
        for working in await broker.open_orders():
            if working.order_ref in sent:
                await broker.cancel(working.order_ref)
                await drain(broker, PATIENCE_SECONDS)

    @pytest.mark.parametrize("name", sorted(CALLS))
    async def test_nothing_is_answered_without_a_connection(self, place, name):
        with pytest.raises(ConnectionLost):
            await CALLS[name](place.client())

    async def test_the_gateway_manages_the_account(self, place, broker):
        assert place.account in await broker.accounts()

    async def test_the_snapshot_is_of_the_account_in_its_own_currency(self, place, broker):
        snapshot = await broker.snapshot()
        assert snapshot.account_id == place.account
        assert snapshot.net_liq.currency == snapshot.base_currency
        assert snapshot.rates[snapshot.base_currency] == 1
        assert all(rate > 0 for rate in snapshot.rates.values())
        assert snapshot.net_liq.amount > 0

    async def test_cash_and_holdings_add_up_to_the_accounts_value(self, broker):
        snapshot = await broker.snapshot()
        assert {USD, snapshot.base_currency} <= set(snapshot.cash) <= set(snapshot.rates)
        # the broker has no mark for some, as after its nightly reset, and counts these as nothing
        held = [
            one
            for one in snapshot.positions
            if one.contract.security_type is not SecurityType.CASH and one.market_value is not None
        ]
        cash = sum(amount * snapshot.rates[currency] for currency, amount in snapshot.cash.items())
        worth = cash + sum(one.market_value * snapshot.rates[one.contract.currency] for one in held)
        assert abs(worth - snapshot.net_liq.amount) <= snapshot.net_liq.amount * D("0.01")
        for one in held:
            assert abs(one.quantity * one.market_price - one.market_value) <= abs(one.market_value) * D("0.01")

    async def test_the_account_reads_the_same_a_second_time(self, broker):
        first, second = await broker.snapshot(), await broker.snapshot()
        assert second.taken_at > first.taken_at
        assert (second.cash.keys(), second.rates.keys()) == (first.cash.keys(), first.rates.keys())
        assert [one.contract for one in second.positions] == [one.contract for one in first.positions]

    async def test_a_quote_has_a_price_or_the_reason_why_there_is_none(self, broker):
        await broker.market_data_type(MarketDataType.DELAYED)
        contracts = await broker.resolve([SCHD, USD_CAD], {})
        quotes = await broker.quotes(list(contracts.values()))
        assert quotes.keys() == contracts.keys()
        for quote in quotes.values():
            prices = [one for one in (quote.bid, quote.ask, quote.last, quote.previous_close) if one is not None]
            assert all(price > 0 for price in prices)
            assert quote.taken_at <= broker.now() + CLOCKS_APART

    async def test_the_executions_of_the_day_are_complete(self, broker):
        fills = await broker.executions()
        assert len({fill.exec_id for fill in fills}) == len(fills)
        assert all(fill.shares > 0 and fill.price > 0 and fill.symbol for fill in fills)
        assert [fill.at for fill in fills] == sorted(fill.at for fill in fills)

    async def test_a_second_client_under_the_same_number_is_refused_and_the_first_stays(self, place, broker):
        with pytest.raises(ConnectionLost, match=f"already has a client {CLIENT}"):
            await place.client().connect()
        assert place.account in await broker.accounts()
        assert (await broker.snapshot()).account_id == place.account

    async def test_an_etf_and_the_currency_pair_are_found_with_their_price_steps(self, broker):
        found = await broker.resolve([SCHD, USD_CAD], {})
        etf, pair = found[SCHD], found[USD_CAD]
        assert (etf.security_type, etf.currency, etf.ticks[0].increment) == (SecurityType.ETF, USD, D("0.01"))
        assert (pair.security_type, pair.currency, pair.exchange) == (SecurityType.CASH, CAD, "IDEALPRO")
        assert pair.ticks[0].increment == D("0.00005")
        assert etf.con_id > 0
        assert etf.liquid_hours

    async def test_an_unknown_symbol_is_named(self, broker):
        with pytest.raises(ContractNotFound, match=NOPE):
            await broker.resolve([SCHD, NOPE], {})

    async def test_an_order_rests_is_listed_and_is_cancelled(self, broker, low_order):
        mine = low_order(1)
        await broker.place(mine)
        (first, *_) = of_kind(await drain(broker, PATIENCE_SECONDS), OrderUpdate)
        assert (first.state, first.order_ref) == (OrderState.WORKING, mine.ref)
        (working,) = [one for one in await broker.open_orders() if one.order_ref == mine.ref]
        assert (working.limit_price, working.quantity, working.filled) == (mine.limit_price, D(1), D(0))
        await broker.cancel(mine.ref)
        last = of_kind(await drain(broker, PATIENCE_SECONDS), OrderUpdate)[-1]
        assert last.state is OrderState.CANCELLED
        assert mine.ref not in {one.order_ref for one in await broker.open_orders()}
        (ended,) = [one for one in await broker.completed_orders() if one.order_ref == mine.ref]
        assert (ended.state, ended.filled) == (OrderState.CANCELLED, D(0))

    async def test_an_order_outlives_the_connection_and_is_cancelled_by_its_reference(self, broker, low_order):
        mine = low_order(2)
        await broker.place(mine)
        await drain(broker, PATIENCE_SECONDS)
        await broker.disconnect()
        await broker.connect()
        assert mine.ref in {one.order_ref for one in await broker.open_orders()}
        await broker.cancel(mine.ref)
        last = of_kind(await drain(broker, PATIENCE_SECONDS), OrderUpdate)[-1]
        assert (last.state, last.order_ref) == (OrderState.CANCELLED, mine.ref)

    async def test_a_cancel_of_an_unknown_order_is_reported(self, broker, low_order):
        await broker.cancel(low_order(3).ref)
        assert 10147 in {notice.code for notice in of_kind(await drain(broker, PATIENCE_SECONDS), Notice)}

    async def test_a_what_if_reports_margins_and_places_nothing(self, broker, low_order):
        mine = low_order(4)
        effect = await broker.what_if(mine)
        assert effect.initial_margin.after > effect.initial_margin.before
        assert effect.currency == (await broker.snapshot()).base_currency
        assert mine.ref not in {one.order_ref for one in await broker.open_orders()}


class TestSimulatedGateway(PaperContract):
    @pytest.fixture
    async def place(self):
        quotes = {SCHD: quoted("30.50", "30.51", "30.50"), USD_CAD: quoted("1.36500", "1.36505")}
        a_world = world(quotes=quotes)
        # fast, so that waiting for nothing to arrive takes no time worth mentioning
        venue = await opened(a_world, clock=RunningClock(a_world.as_of, speed=50))
        yield Place(ACCOUNT, lambda: venue.client(client_id=CLIENT))
        await closed(venue)


def paper_place(environment):
    """The person's own paper gateway. Skips without one; an account that is no paper account is never touched."""
    if not all(environment.get(name) for name in VARIABLES):
        pytest.skip(f"no real paper gateway: set {', '.join(VARIABLES)} and run `{COMMAND}`")
    host, port, account = (environment[name] for name in VARIABLES)
    if not account.startswith(("DU", "DF")):
        pytest.fail("this is no paper account, whose id begins with DU or DF: nothing was done", pytrace=False)
    return Place(AccountId(account), lambda: LiveIB(LiveOptions(host, int(port), CLIENT, AccountId(account))))


class TestRealPaperGateway(PaperContract):
    @pytest.fixture
    def place(self):
        return paper_place(os.environ)


def test_without_a_paper_gateway_the_skip_says_how_to_name_one():
    with pytest.raises(pytest.skip.Exception) as skip:
        paper_place({"IB_PAPER_HOST": "127.0.0.1", "IB_PAPER_PORT": "4002"})
    assert all(name in skip.value.msg for name in VARIABLES)
    assert skip.value.msg.endswith("run `.venv/bin/pytest tests/contract -k paper -n 0`")


@pytest.mark.parametrize("account", ["U1234567", "F1234567", "du1234567", "XDU123456", "I1234567"])
def test_an_account_that_is_no_paper_account_is_refused_before_anything_is_sent(account):
    with pytest.raises(pytest.fail.Exception, match="no paper account"):
        paper_place({"IB_PAPER_HOST": "127.0.0.1", "IB_PAPER_PORT": "4002", "IB_PAPER_ACCOUNT": account})


@pytest.mark.parametrize("account", ["DU1234567", "DF1234567"])
def test_a_paper_account_is_taken_as_named(account):
    place = paper_place({"IB_PAPER_HOST": "127.0.0.1", "IB_PAPER_PORT": "4002", "IB_PAPER_ACCOUNT": account})
    assert (place.account, place.client().port) == (account, 4002)
