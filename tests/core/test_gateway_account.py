"""The account on the wire: complete, exact, and sent again when it moves."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import NOW
from gateway_clients import (
    VTI_STOCK,
    briefly,
    limit_order,
    logged_in,
    market_order,
    options,
    serving,
    session,
)
from worlds import ACCOUNT, VTI, account, earlier, held, scripted

from core.clock import AutojumpClock
from core.model import CAD, USD
from core.money import D
from core.sim.gateway import ClientLimits
from core.sim.venue.world import Change, Point


def values(received):
    """Tag and currency → value, of the messages 6, 63 and 73."""
    places = {"6": (2, 4, 3), "63": (4, 6, 5), "73": (5, 7, 6)}
    return {
        (fields[places[fields[0]][0]], fields[places[fields[0]][1]]): fields[places[fields[0]][2]]
        for fields in received
        if fields[0] in places
    }


@pytest.mark.parametrize("base", [USD, CAD])
async def test_the_download_equals_the_exchange_to_the_last_digit(base):
    async with session(account=account(base_currency=base)) as (gateway, wire):
        wire.send(6, 2, 1, ACCOUNT)
        received = await wire.until("accountDownloadEnd")
        shown, truth = values(received), gateway.exchange.snapshot()
        assert shown["NetLiquidation", base] == f"{truth.net_liq.amount:f}"
        assert shown["ExcessLiquidity", base] == f"{truth.excess_liquidity.amount:f}"
        assert shown["BuyingPower", base] == f"{truth.buying_power.amount:f}"
        assert shown["MaintMarginReq", base] == f"{truth.maintenance_margin.amount:f}"
        for currency in (USD, CAD):
            assert Decimal(shown["CashBalance", currency]) == truth.cash[currency]
            assert Decimal(shown["TotalCashBalance", currency]) == truth.cash[currency]
            assert Decimal(shown["ExchangeRate", currency]) == truth.rates[currency]
            assert shown["RealCurrency", currency] == currency
        assert Decimal(shown["ExchangeRate", base]) == 1
        assert shown["RealCurrency", "BASE"] == "BASE"
        assert received[-1] == ("54", "1", ACCOUNT)


async def test_equity_less_margin_is_what_is_available_and_buys_at_work_count():
    async with session() as (_, wire):
        wire.request("placeOrder", 1, VTI_STOCK, limit_order())
        await wire.all()
        wire.send(6, 2, 1, ACCOUNT)
        figures = values(await wire.all())
        tags = ("InitMarginReq", "MaintMarginReq", "EquityWithLoanValue", "AvailableFunds", "ExcessLiquidity")
        shown = {tag: Decimal(figures[tag, USD]) for tag in tags}
        assert shown["InitMarginReq"] - shown["MaintMarginReq"] == D("248.75")
        assert shown["EquityWithLoanValue"] - shown["InitMarginReq"] == shown["AvailableFunds"]
        assert shown["EquityWithLoanValue"] - shown["MaintMarginReq"] == shown["ExcessLiquidity"]


async def test_a_fill_is_sent_to_subscribers_and_to_no_other_client():
    async with session(client=1) as (_, trader), logged_in(_, 2) as subscriber, logged_in(_, 3) as bystander:
        subscriber.send(6, 2, 1, ACCOUNT)
        subscriber.send(61, 1)
        await subscriber.all()
        trader.request("placeOrder", 1, VTI_STOCK, market_order(quantity=5))
        assert await trader.only("updatePortfolio") == []
        received = await subscriber.all()
        assert values(received)["CashBalance", "USD"] == "99499.90"
        assert [fields[13] for fields in received if fields[0] == "7"] == ["15"]
        assert [fields[14] for fields in received if fields[0] == "61"] == ["15"]
        assert await bystander.all() == []


async def test_a_fill_that_comes_by_time_alone_is_sent_as_well():
    clock = AutojumpClock(NOW)
    fills = scripted(delay_seconds=D(5))
    async with serving(clock=clock, fills=fills) as gateway, logged_in(gateway) as wire:
        wire.request("placeOrder", 1, VTI_STOCK, market_order(quantity=5))
        wire.send(61, 1)
        assert ["execDetails", "1"] not in briefly(await wire.all())
        await clock.sleep(5)
        received = await wire.all()
        assert briefly(received)[:4] == [
            ["execDetails", "1"],
            ["openOrder", "1"],
            ["orderStatus", "Filled"],
            ["commissionReport"],
        ]
        assert [fields[14] for fields in received if fields[0] == "61"] == ["15"]


class EarlyClock(AutojumpClock):
    """Wakes a millisecond too soon the first time, as the timers of a real loop may."""

    is_early = True

    def call_at(self, at, callback):
        early, self.is_early = timedelta(milliseconds=self.is_early), False
        return super().call_at(at - early, callback)


async def test_a_timer_that_comes_too_soon_comes_again():
    clock = EarlyClock(NOW)
    async with serving(clock=clock, fills=scripted(delay_seconds=D(5))) as gateway, logged_in(gateway) as wire:
        wire.request("placeOrder", 1, VTI_STOCK, market_order())
        await wire.all()
        await clock.sleep(6)
        assert briefly(await wire.until("execDetails")) == [["execDetails", "1"]]


@pytest.mark.parametrize(("pause", "at_once", "later"), [(1, 0, 1), (9, 1, 1)])
async def test_what_is_due_happens_while_the_gateway_runs_whoever_is_connected(pause, at_once, later):
    clock = AutojumpClock(NOW)
    async with serving(clock=clock, fills=scripted(delay_seconds=D(5))) as gateway:
        async with logged_in(gateway) as wire:
            wire.request("placeOrder", 1, VTI_STOCK, market_order())
            await wire.all()
        await gateway.stop()
        await clock.sleep(pause)
        assert len(gateway.exchange.executions()) == 0
        await gateway.start()
        assert len(gateway.exchange.executions()) == at_once
        await clock.sleep(9)
        assert len(gateway.exchange.executions()) == later


async def test_only_what_changed_is_sent_again():
    async with session(account=account(positions=(held(), held("BND")))) as (gateway, wire):
        wire.send(6, 2, 1, ACCOUNT)
        wire.send(61, 1)
        await wire.all()
        gateway.move(Change(Point.BEFORE_BUYS, positions=(held(quantity="11"),)))
        received = await wire.all()
        assert [fields[3] for fields in received if fields[0] == "7"] == ["VTI"]
        assert [fields[4] for fields in received if fields[0] == "61"] == ["VTI"]
        gateway.move(Change(Point.BEFORE_BUYS, cash={CAD: D(4_000)}))
        changed = set(values(await wire.all()))
        assert ("CashBalance", "CAD") in changed
        assert ("CashBalance", "USD") not in changed


async def test_after_unsubscribing_nothing_more_is_sent():
    async with session() as (gateway, wire):
        for request in ((6, 2, 1, ACCOUNT), (61, 1), (76, 1, 5, ACCOUNT, "", 0), (62, 1, 6, "All", "NetLiquidation")):
            wire.send(*request)
        wire.send(92, 7, ACCOUNT, "")
        wire.send(94, 8, ACCOUNT, "", gateway.exchange.contracts[VTI].con_id)
        await wire.all()
        for request in ((6, 2, 0, ACCOUNT), (64, 1), (77, 1, 5), (63, 1, 6), (93, 7), (95, 8)):
            wire.send(*request)
        await wire.all()
        gateway.move(Change(Point.BEFORE_BUYS, cash={USD: D(1)}, positions=(held(quantity="3"),)))
        assert await wire.all() == []


@pytest.mark.parametrize(
    ("request_", "end"),
    [((76, 1, 5, ACCOUNT, "", 0), "accountUpdateMultiEnd"), ((76, 1, 5, "", "", 1), "accountUpdateMultiEnd")],
)
async def test_figures_by_number_end_with_their_number(request_, end):
    async with session() as (_, wire):
        wire.send(*request_)
        received = await wire.until(end)
        assert received[-1] == ("74", "1", "5")
        assert values(received)["CashBalance", "CAD"] == "5000"
        assert (("BuyingPower", "USD") in values(received)) is not bool(request_[5])


async def test_a_summary_has_the_tags_asked_for_and_the_ledger_where_that_is_one():
    async with session() as (_, wire):
        wire.send(62, 1, 6, "All", "NetLiquidation,BuyingPower")
        shown = values(await wire.until("accountSummaryEnd"))
        assert {tag for tag, _ in shown} == {"NetLiquidation", "BuyingPower"}
        wire.send(62, 1, 7, "All", "$LEDGER:ALL")
        shown = values(await wire.until("accountSummaryEnd"))
        assert ("ExchangeRate", "CAD") in shown
        assert not any(tag == "NetLiquidation" for tag, _ in shown)


async def test_a_third_summary_at_a_time_is_refused_until_one_is_cancelled():
    async with session() as (_, wire):
        for req_id in (6, 7, 8):
            wire.send(62, 1, req_id, "All", "NetLiquidation")
        assert [fields[2:4] for fields in await wire.only("error")] == [("8", "322")]
        wire.send(63, 1, 6)
        wire.send(62, 1, 8, "All", "NetLiquidation")
        assert await wire.only("error") == []


@pytest.mark.parametrize("request_", [(6, 2, 1, "DU7654321"), (76, 1, 5, "DU7654321", "", 0)])
async def test_somebody_elses_account_is_refused(request_):
    async with session() as (_, wire):
        wire.send(*request_)
        assert briefly(await wire.all()) == [["error", "321"]]


async def test_only_so_many_subscriptions_are_kept():
    limits = ClientLimits(subscriptions=3)
    async with serving(options(limits=limits)) as gateway, logged_in(gateway) as wire:
        for req_id in range(5):
            wire.send(92, req_id, ACCOUNT, "")
        received = briefly(await wire.all())
        assert received == [["pnl"]] * 3 + [["error", "321"]] * 2


async def test_profit_is_what_the_holdings_are_above_their_cost():
    async with session() as (gateway, wire):
        wire.send(92, 7, ACCOUNT, "")
        wire.send(94, 8, ACCOUNT, "", gateway.exchange.contracts[VTI].con_id)
        wire.send(94, 9, ACCOUNT, "", 4711)
        total, one, none = await wire.all()
        assert total[:2] == ("94", "7")
        assert total[3] == "-999.90"
        assert (one[2], one[4], one[6]) == ("10", "-999.90", "1000.10")
        assert (none[2], none[4], none[6]) == ("0", "0", "0")


async def test_orders_of_before_the_world_began_are_listed_and_have_ids_of_the_trading_client():
    mine, hand = earlier(), earlier(ref="")
    async with session(account=account(open_orders=(mine, hand))) as (_, wire):
        wire.send(16, 1)
        listed = [fields for fields in await wire.until("openOrderEnd") if fields[0] == "5"]
        assert [(fields[1], fields[23], fields[24]) for fields in listed] == [
            ("1", "RB-EARLIER-B1-1", "42"),
            ("0", "", "0"),
        ]
        wire.send(8, 1, 1)
        assert (await wire.receive())[2] == "2"
