"""What LiveIB reads: contracts and the account, where the gateway does less than it should or more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from broker_contract import BND, NOPE, SHOP, drain, listed
from live import sent, venue_of
from worlds import ACCOUNT, VTI, account, earlier, held, order, quoted, world

from core.errors import (
    ConnectionLost,
    ContractNotFound,
    FractionRefused,
    FundsInsufficient,
    NoAnswer,
    OrderRejected,
    PacingExceeded,
)
from core.model import CAD, USD, USD_CAD, SecurityType, Side, Symbol
from core.money import D
from core.sim.gateway.faults import (
    OTHER_CON_ID,
    ChangedFirst,
    ChangeFields,
    Channel,
    Delay,
    Drop,
    Duplicate,
    Envelope,
    HalfOpen,
    Match,
    Omit,
    Only,
    Refuse,
    Subject,
)
from core.sim.venue.contracts import con_id_of

MANY = tuple(Symbol(f"S{number:03d}") for number in range(120))
FOREIGN = held("SHOP", "7", "55", security_type=SecurityType.STOCK, currency=CAD)


@dataclass(frozen=True)
class Late:
    """An error about something else comes just before the message."""

    subject: Subject
    code: int

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        channel.send_error(self.subject, self.code, "")
        channel.pass_on(envelope)


LONDON = {16: "SMART,LSEETF,BATEUK", 20: "LSEETF", 25: "Europe/London"}
TORONTO = {16: "SMART,TSE,CHIX", 20: "TSE", 25: "US/Eastern"}
UNTOLD = {16: "", 20: "", 25: "Europe/London"}
NEW_YORK = {16: "SMART,NASDAQ,BYX", 20: "", 25: "EST (Eastern Standard Time)"}
NOTHING_TOLD = {16: "", 20: "", 25: ""}


def only(symbol):
    return Match(symbol=symbol)


# contracts


async def test_a_contract_is_requested_once_in_a_clients_life():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        for _ in range(2):
            await client.resolve([VTI, USD_CAD], {})
            await client.snapshot()
        await client.disconnect()
        await client.connect()
        await client.resolve([VTI], {})
        # VTI as a target and as a holding, and the pair
        assert sent(venue, "reqContractDetails") == ["reqContractDetails"] * 3
        assert sent(venue, "reqMarketRule") == ["reqMarketRule"] * 2


async def test_two_contracts_under_one_symbol_are_ambiguous():
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("contractDetails", Duplicate(OTHER_CON_ID), only("VTI"))
        client = await venue.connected()
        with pytest.raises(ContractNotFound, match="VTI is ambiguous"):
            await client.resolve([VTI, BND], {})
        assert (await client.resolve([VTI], {}))[VTI].con_id == con_id_of(VTI)


async def test_every_symbol_at_fault_is_named_with_its_fault():
    async with venue_of(world(account=account(positions=(FOREIGN,)))) as venue:
        client = await venue.connected()
        with pytest.raises(ContractNotFound) as error:
            await client.resolve([VTI, SHOP, NOPE], {})
        assert error.value.faults == ("SHOP is not an ETF in USD (STK, CAD)", "NOPE is unknown")


@pytest.mark.parametrize(
    ("fields", "where"),
    [(LONDON, "LSEETF, Europe/London"), (TORONTO, "TSE, US/Eastern"), (UNTOLD, "Europe/London")],
)
@pytest.mark.parametrize("overrides", [{}, {VTI: str(con_id_of(VTI))}])
async def test_an_etf_in_usd_that_is_listed_elsewhere_is_not_traded(fields, where, overrides):
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("contractDetails", ChangeFields(fields), only("VTI"))
        client = await venue.connected()
        with pytest.raises(ContractNotFound) as error:
            await client.resolve([VTI, BND], overrides)
        assert error.value.faults == (f"VTI is not an ETF listed in the US ({where})",)


@pytest.mark.parametrize("fields", [NEW_YORK, NOTHING_TOLD])
async def test_an_etf_of_the_us_is_traded_however_its_listing_is_reported(fields):
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("contractDetails", ChangeFields(fields), only("VTI"))
        client = await venue.connected()
        assert (await client.resolve([VTI], {}))[VTI].security_type is SecurityType.ETF


async def test_an_etf_in_usd_that_is_listed_elsewhere_is_held_as_any_share_and_so_is_never_sold():
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("contractDetails", ChangeFields(LONDON), only("VTI"))
        client = await venue.connected()
        (position,) = (await client.snapshot()).positions
        assert (position.contract.symbol, position.contract.security_type) == (VTI, SecurityType.STOCK)
        assert position.contract.primary_exchange == "LSEETF"


@pytest.mark.parametrize(
    ("override", "text"),
    [(str(con_id_of(BND)), "VTI is BND at the broker"), ("123456789", "VTI is unknown")],
)
async def test_a_conid_of_another_symbol_is_refused(override, text):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        with pytest.raises(ContractNotFound, match=text):
            await client.resolve([VTI], {VTI: override})


@pytest.mark.parametrize("fault", [Omit(), Refuse(321), ChangeFields({3: "0", 4: "0"})])
async def test_without_a_market_rule_the_smallest_tick_counts(fault):
    quotes = {VTI: quoted("100.00", "100.02", min_tick=D("0.05"))}
    async with venue_of(world(quotes=quotes)) as venue:
        name = "reqMarketRule" if isinstance(fault, Refuse) else "marketRule"
        venue.gateway.faults.on(name, fault, times=None)
        client = await venue.connected()
        before = venue.clock.now()
        found = (await client.resolve([VTI], {}))[VTI]
        assert [band.increment for band in found.ticks] == [D("0.05")]
        assert venue.clock.now() - before < timedelta(seconds=6)


async def test_the_rule_of_the_exchange_that_is_traded_at_counts():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        rules = ",".join(map(str, range(1, 27)))
        venue.gateway.faults.on("contractDetails", ChangeFields({36: rules}), only("VTI"))
        venue.gateway.faults.on("marketRule", Omit(), times=None)
        await client.resolve([VTI], {VTI: "ARCA"})
        asked = [entry.fields[1] for entry in venue.gateway.log if entry.message == "reqMarketRule"]
        assert asked == ["2"]


@pytest.mark.parametrize("code", [321, 399, 434])
async def test_a_warning_to_a_contract_request_ends_it(code):
    async with venue_of(world()) as venue:
        venue.gateway.faults.on("reqContractDetails", Refuse(code))
        client = await venue.connected()
        before = venue.clock.now()
        if code == 399:  # a notice: the answer itself may still come
            with pytest.raises(ConnectionLost, match="did not answer"):
                await client.resolve([VTI], {})
        else:
            with pytest.raises(ConnectionLost, match=f"refused to report a contract: .*{code}"):
                await client.resolve([VTI], {})
            assert venue.clock.now() - before < timedelta(seconds=1)


# the account


@pytest.mark.parametrize(
    ("message", "call", "text"),
    [
        ("accountDownloadEnd", "snapshot", "while reading the snapshot"),
        ("positionEnd", "snapshot", "while reading the snapshot"),
        ("openOrderEnd", "snapshot", "while reading the snapshot"),
        ("openOrderEnd", "open_orders", "while reading the open orders"),
        ("completedOrdersEnd", "completed_orders", "while reading the completed orders"),
        ("execDetailsEnd", "executions", "while reading the executions"),
    ],
)
async def test_an_answer_without_its_end_is_lost(message, call, text):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on(message, Omit())
        with pytest.raises(ConnectionLost, match=text):
            await getattr(client, call)()
        await client.connect()
        await getattr(client, call)()


async def test_the_remainder_of_an_abandoned_answer_is_not_taken_for_the_next_one():
    """The list of the first request comes slowly, and ends while the second is under way."""
    async with venue_of(world(account=account(open_orders=(earlier(),)))) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("openOrderEnd", Delay(22))
        with pytest.raises(ConnectionLost):
            await client.open_orders()
        await client.connect()
        venue.gateway.faults.on("openOrder", Delay(5))
        venue.gateway.faults.on("openOrderEnd", Delay(6))
        assert [one.order_ref for one in await client.open_orders()] == [earlier().order_ref]


async def test_an_answer_to_a_request_before_the_run_was_stopped_is_not_taken_for_the_next_one():
    async with venue_of(world(account=account(open_orders=(earlier(),)))) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("openOrderEnd", Delay(5))
        asking = asyncio.ensure_future(client.open_orders())
        await venue.clock.sleep(1)
        asking.cancel()
        await asyncio.wait((asking,))
        with pytest.raises(ConnectionLost, match="left an answer unfinished"):
            await client.open_orders()
        await client.connect()
        assert [one.order_ref for one in await client.open_orders()] == [earlier().order_ref]


async def test_a_figure_that_is_missing_is_named():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("updateAccountValue", ChangeFields({2: "Something"}), times=None)
        with pytest.raises(ConnectionLost, match="NetLiquidation"):
            await client.snapshot()


UNSET = "1.7976931348623157E308"
PRICE, VALUE, AVERAGE_COST = 14, 15, 16


@pytest.mark.parametrize(
    ("unset", "fields"),
    [
        ((PRICE, VALUE, AVERAGE_COST), (None, None, None)),
        ((PRICE, VALUE), (D(200), None, None)),
        ((AVERAGE_COST,), (None, D(72), D(2160))),
    ],
)
async def test_a_figure_that_is_unset_after_the_reset_is_absent_for_that_holding_alone(unset, fields):
    async with venue_of(world(account=account(positions=(held(), held("BND", "30"))))) as venue:
        client = await venue.connected()
        before = await client.snapshot()
        venue.gateway.faults.on("updatePortfolio", ChangeFields(dict.fromkeys(unset, UNSET)), only("BND"), times=None)
        bnd, vti = (await client.snapshot()).positions
        assert (bnd.quantity, bnd.average_cost, bnd.market_price, bnd.market_value) == (D(30), *fields)
        assert vti == before.positions[1]


@pytest.mark.parametrize("name", ["NetLiquidation", "ExcessLiquidity", "BuyingPower", "MaintMarginReq", "CashBalance"])
async def test_a_total_that_is_unset_after_the_reset_is_not_reported(name):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("updateAccountValue", Only(name, ChangeFields({3: UNSET})), times=None)
        with pytest.raises(ConnectionLost, match=f"the gateway did not report {name}"):
            await client.snapshot()


NOT_READY = ChangeFields({3: "false"})


async def test_an_account_that_is_not_ready_is_requested_again():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("updateAccountValue", NOT_READY, skip=1)
        assert len((await client.snapshot()).positions) == 1
        assert sent(venue, "reqAccountUpdates") == ["reqAccountUpdates"] * 4


@pytest.mark.parametrize("call", [lambda client: client.snapshot(), lambda client: client.what_if(order())])
async def test_an_account_that_stays_unready_is_an_error(call):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("updateAccountValue", Only("AccountReady", NOT_READY), times=None)
        with pytest.raises(ConnectionLost, match="not ready at the broker, whose server is resetting") as raised:
            await call(client)
        assert "wait a few minutes" in raised.value.next_step


async def test_rows_of_an_earlier_download_are_not_in_the_next():
    async with venue_of(world(account=account(positions=(held(), held("BND"))))) as venue:
        client = await venue.connected()
        assert len((await client.snapshot()).positions) == 2
        venue.gateway.faults.on("updatePortfolio", Omit(), only("BND"), times=None)
        venue.gateway.faults.on("position", Omit(), only("BND"), times=None)
        assert [one.contract.symbol for one in (await client.snapshot()).positions] == [VTI]


async def test_holdings_and_positions_that_disagree_for_good_are_an_error():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        rule = venue.gateway.faults.on("position", ChangeFields({14: "13"}), times=None)
        with pytest.raises(ConnectionLost, match="disagree on VTI: 10 and 13"):
            await client.snapshot()
        rule.left = 1
        assert (await client.snapshot()).positions[0].quantity == D(10)


async def test_another_accounts_rows_are_ignored():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        before = await client.snapshot()
        venue.gateway.faults.on("updatePortfolio", Duplicate({2: "1", 13: "99", 19: "DU7654321"}), times=None)
        venue.gateway.faults.on("position", Duplicate({2: "DU7654321", 3: "1", 14: "99"}), times=None)
        venue.gateway.faults.on("updateAccountValue", Duplicate({3: "99", 5: "DU7654321"}), times=None)
        after = await client.snapshot()
        assert replace(after, taken_at=before.taken_at) == before


async def test_a_currency_held_as_a_position_and_a_holding_of_another_kind():
    pair = held("USD.CAD", "500", "1.35", security_type=SecurityType.CASH, currency=CAD)
    bond = held("T 4 1 2", "3", "99", security_type=SecurityType.OTHER)
    async with venue_of(world(account=account(positions=(pair, bond)))) as venue:
        client = await venue.connected()
        positions = (await client.snapshot()).positions
        kinds = {one.contract.symbol: (one.contract.security_type, one.contract.currency) for one in positions}
        assert kinds == {USD_CAD: (SecurityType.CASH, CAD), Symbol("T 4 1 2"): (SecurityType.OTHER, USD)}
        assert sent(venue, "reqContractDetails") == ["reqContractDetails"]


async def test_orders_that_other_clients_sent_are_seen_and_a_market_order_has_no_limit():
    orders = (earlier(ref="by hand", limit_price=None),)
    async with venue_of(world(account=account(open_orders=orders))) as venue:
        client = await venue.connected()
        (seen,) = (await client.snapshot()).working_orders
        assert (seen.order_ref, seen.limit_price) == ("by hand", None)


# what-if


async def test_a_what_if_is_in_the_accounts_currency_and_places_nothing():
    async with venue_of(world(account=account(base_currency=CAD, positions=()), commission=D("1.05"))) as venue:
        client = await venue.connected()
        effect = await client.what_if(order(quantity="100", limit="100.00"))
        assert effect.currency == CAD
        assert effect.initial_margin.change == D("3400.06")  # 100 × 100.00 × 1.360025 × 25 %
        assert (effect.commission, effect.commission_currency) == (D("1.05"), USD)
        assert await client.open_orders() == await client.completed_orders() == ()
        assert await client.next_event(1) is None


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (order(quantity="100000"), FundsInsufficient),
        (order(side=Side.SELL, quantity="100", limit="99.00"), OrderRejected),
        (order(limit="99.001"), OrderRejected),
        (order("NOPE"), ContractNotFound),
    ],
)
async def test_a_what_if_that_would_be_refused_raises_as_the_order_would_be(asked, error):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        with pytest.raises(error, match="the broker would reject"):
            await client.what_if(asked)


async def test_of_a_what_if_answered_twice_the_one_with_its_margins_counts():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        plain = await client.what_if(order())
        venue.gateway.faults.on("openOrder", ChangedFirst({97: UNSET, 103: ""}), Match(is_what_if=True))
        assert await client.what_if(order()) == plain


async def test_a_fraction_that_would_be_refused():
    async with venue_of(world(quotes={VTI: replace(quoted("100.00", "100.02"), is_fractional=False)})) as venue:
        client = await venue.connected()
        with pytest.raises(FractionRefused):
            await client.what_if(order(quantity="0.5"))


@pytest.mark.parametrize("fields", [{97: "1.7976931348623157E308"}, {97: ""}, {94: ""}])
async def test_a_what_if_without_margins_is_awaited_and_then_given_up_for_that_order_alone(fields):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("openOrder", ChangeFields(fields))
        with pytest.raises(NoAnswer, match=r"did not answer within .* whether it would accept BUY 10 VTI"):
            await client.what_if(order())
        assert client.is_connected
        assert (await client.what_if(order())).initial_margin.change > 0


async def test_the_accounts_of_the_gateway():
    async with venue_of(world()) as venue:
        assert await (await venue.connected()).accounts() == (ACCOUNT,)


async def test_the_brokers_text_on_an_unknown_contract_is_passed_on():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqAccountUpdates", Refuse(200, "VTI is unknown"))
        with pytest.raises(ContractNotFound) as error:
            await client.snapshot()
        assert error.value.message == "the broker finds no contract: VTI is unknown"


@pytest.mark.parametrize("message", ["reqAccountUpdates", "reqPositions", "reqAllOpenOrders"])
async def test_a_read_that_the_gateway_refuses_is_lost_with_its_text(message):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on(message, Refuse(321, "Error validating request: it is not valid."))
        before = venue.clock.now()
        with pytest.raises(ConnectionLost, match=r"refused to report the snapshot: .*it is not valid\. \(321\)"):
            await client.snapshot()
        assert venue.clock.now() - before < timedelta(seconds=2)


async def test_a_dead_connection_has_no_quotes_rather_than_empty_ones():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqMktData", HalfOpen(), skip=1)
        with pytest.raises(ConnectionLost, match="while reading the quotes"):
            await client.quotes([listed(), listed("BND")])
        assert not client.is_connected
        await client.connect()
        assert (await client.quotes([listed()]))[VTI].bid == D("100.00")


async def test_a_symbol_without_ticks_on_a_working_connection_has_an_empty_quote():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqMktData", Omit(), only("BND"))
        taken = await client.quotes([listed(), listed("BND")])
        assert (taken[VTI].bid, taken[BND].bid, taken[BND].ask) == (D("100.00"), None, None)
        assert client.is_connected


async def test_a_subscription_that_is_refused_under_way_is_cancelled():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("tickPrice", Refuse(10197), only("BND"))
        taken = await client.quotes([listed(), listed("BND")])
        assert (taken[BND].bid, taken[BND].refusal is None, taken[VTI].refusal) == (None, False, None)
        assert len(sent(venue, "reqMktData")) == len(sent(venue, "cancelMktData")) == 2


@pytest.mark.parametrize("trouble", ["IBKR goes and comes back", "the run is stopped", "a snapshot does not end"])
async def test_subscriptions_that_were_left_open_are_cancelled_before_others_begin(trouble):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        is_snapshot = trouble == "a snapshot does not end"
        venue.gateway.faults.on("tickPrice", Omit(), times=4)
        venue.gateway.faults.on("tickSnapshotEnd", Omit())
        asking = asyncio.ensure_future(client.quotes([listed()], is_snapshot=is_snapshot))
        await venue.clock.sleep(21 if is_snapshot else 1)
        if trouble == "IBKR goes and comes back":
            venue.gateway.broadcast(1100)
            await venue.clock.sleep(1)
            venue.gateway.broadcast(1102)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await client.connect()
        await client.quotes([listed()])
        assert sent(venue, "reqMktData", "cancelMktData") == ["reqMktData", "cancelMktData"] * 2


async def test_a_connection_that_breaks_while_many_quotes_wait_names_what_was_read():
    quotes = {symbol: quoted("100.00", "100.02", "100.01") for symbol in MANY}
    async with venue_of(world(quotes=quotes)) as venue:
        client = await venue.connected()
        contracts = tuple((await client.resolve(MANY, {})).values())
        venue.gateway.faults.on("reqMktData", Drop(), skip=100)
        with pytest.raises(ConnectionLost, match="the connection broke while reading the quotes"):
            await client.quotes(contracts)


async def test_a_connection_that_breaks_while_many_contracts_are_requested_names_them():
    quotes = {symbol: quoted("100.00", "100.02", "100.01") for symbol in MANY}
    async with venue_of(world(quotes=quotes)) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqContractDetails", Drop(), skip=60)
        with pytest.raises(ConnectionLost, match="the connection broke while reading the contracts"):
            await client.resolve(MANY, {})
        await client.connect()
        assert len(await client.resolve(MANY, {})) == len(MANY)


async def test_a_holding_that_smart_does_not_know_is_requested_where_it_is_listed():
    async with venue_of(world(account=account(positions=(held(), held("BND"))))) as venue:
        client = await venue.connected()
        before = await client.snapshot()
        again = await venue.connected(client_id=44)
        venue.gateway.faults.on("reqContractDetails", Refuse(200), only("BND"))
        contracts = {one.contract.symbol: one.contract for one in (await again.snapshot()).positions}
        known = {one.contract.symbol: one.contract for one in before.positions}
        assert contracts == known
        asked = [entry.fields for entry in venue.gateway.log if entry.message == "reqContractDetails"]
        assert ["ARCA" in fields for fields in asked] == [False] * 4 + [True]


async def test_a_holding_that_only_its_conid_finds_is_requested_without_an_exchange():
    async with venue_of(world(account=account(positions=(FOREIGN,)))) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqContractDetails", Refuse(200), only("SHOP"), times=2)
        (shop,) = (await client.snapshot()).positions
        assert (shop.contract.symbol, shop.contract.currency, shop.contract.primary_exchange) == (SHOP, CAD, "TSE")
        assert shop.contract.liquid_hours


async def test_a_holding_without_details_is_as_the_portfolio_reports_it():
    stub = held("STUB", "30", "1.50", security_type=SecurityType.STOCK)
    async with venue_of(world(account=account(positions=(held(), stub)))) as venue:
        client = await venue.connected()
        rule = venue.gateway.faults.on("reqContractDetails", Refuse(200), only("STUB"), times=None)
        position = (await client.snapshot()).positions[0]
        contract = position.contract
        assert (position.quantity, position.average_cost) == (D(30), D("1.50"))
        assert (contract.symbol, contract.con_id) == ("STUB", con_id_of(Symbol("STUB")))
        assert (contract.security_type, contract.currency) == (SecurityType.STOCK, USD)
        assert [(band.low_edge, band.increment) for band in contract.ticks] == [(0, D("0.01"))]
        assert (contract.liquid_hours, contract.trading_hours) == ("", "")
        rule.left = 0
        assert (await client.snapshot()).positions[0].contract.liquid_hours


async def test_a_target_that_smart_does_not_know_is_unknown_though_it_is_held():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        assert (await client.snapshot()).positions[0].contract.symbol == VTI
        venue.gateway.faults.on("reqContractDetails", Refuse(200), only("VTI"), times=None)
        assert (await client.snapshot()).positions[0].contract.security_type is SecurityType.ETF
        with pytest.raises(ContractNotFound, match="VTI is unknown"):
            await client.resolve([VTI], {})


async def test_a_connection_that_breaks_over_the_contracts_of_the_holdings_fails_the_snapshot():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqContractDetails", Drop())
        with pytest.raises(ConnectionLost, match="the connection broke while reading the snapshot"):
            await client.snapshot()


@pytest.mark.parametrize(("about", "is_emitted"), [(999, ()), (-1, None)])
async def test_a_late_error_of_another_request_refuses_no_list(about, is_emitted):
    """One of none in particular may be the list's, and then it is lost: it is no matter of contracts."""
    async with venue_of(world()) as venue:
        client = await venue.connected()
        late = Late(Subject(about), 200)
        venue.gateway.faults.on("openOrderEnd", late)
        if is_emitted is None:
            with pytest.raises(ConnectionLost, match="refused to report the open orders"):
                await client.open_orders()
        else:
            assert await client.open_orders() == is_emitted


async def test_too_many_messages_of_no_request_in_particular_are_pacing():
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.faults.on("reqAllOpenOrders", Refuse(100))
        with pytest.raises(PacingExceeded):
            await client.open_orders()
        assert await client.open_orders() == ()


@pytest.mark.parametrize(
    ("code", "is_emitted"), [(2103, True), (2105, True), (2148, True), (2104, False), (2158, False)]
)
async def test_warnings_of_the_gateway_are_notices_and_information_is_not(code, is_emitted):
    async with venue_of(world()) as venue:
        client = await venue.connected()
        venue.gateway.broadcast(code, "the gateway's text")
        assert [(event.code, event.text) for event in await drain(client)] == (
            [(code, "the gateway's text")] if is_emitted else []
        )
