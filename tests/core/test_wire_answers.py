"""Every answer has the fields of its kind, and the real client makes the same values of them, without a complaint."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal

import ib_async as ib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async.objects import BarData, CommissionReport, PriceIncrement
from ib_async.util import UNSET_DOUBLE
from tws_client import TwsClient

from core.model import (
    CAD,
    USD,
    USD_CAD,
    Contract,
    MarginChange,
    MarginEffect,
    MarketDataType,
    SecurityType,
    Symbol,
    TickBand,
)
from core.sim.wire import account, contracts, listings, market, names, orders, session
from core.sim.wire.contracts import ContractFields
from core.sim.wire.market import TickType
from core.sim.wire.placing import OrderTerms

D = Decimal
AT = datetime(2026, 4, 13, 19, 27, 4, tzinfo=UTC)
DU = "DU1234567"
CENT = (TickBand(D(0), D("0.01")),)
BANDS = (TickBand(D(0), D("0.0001")), TickBand(D(1), D("0.01")))
SPY = Contract(
    Symbol("SPY"), 756733, SecurityType.ETF, USD, BANDS, primary_exchange="ARCA",
    liquid_hours="20260413:0930-20260413:1600;20260414:CLOSED", trading_hours="20260413:0400-20260413:2000",
)  # fmt: skip
PAIR = Contract(USD_CAD, 15016062, SecurityType.CASH, CAD, (TickBand(D(0), D("0.00005")),), "IDEALPRO", "IDEALPRO")
SHARE = contracts.contract_fields_of(SPY)
TERMS = OrderTerms("BUY", D("10.5"), "LMT", D("99.95"), account=DU, order_ref="RB-1-B1-1", outside_rth=True)
ORDER = listings.OrderFields(11, 42, 1000001, SHARE, TERMS, "Submitted")
STATUS = orders.StatusFields(11, 42, 1000001, "Submitted", D(4), D("6.5"), D("99.9"), D("99.8"))
FILL = orders.ExecutionFields(
    "0000e0d5.1.01.01", 11, 42, 1000001, SHARE, DU, "ARCA", "BOT", D(4), D("99.9"), D(4), D("99.9"), AT, "RB-1-B1-1"
)
HOLDING = account.HoldingFields(DU, SHARE, D("7.25"), D("90.1"), D("99.9"), D("724.275"), D("71.05"), D(0))
VALUE = account.ValueFields("NetLiquidation", "100000.00", "CAD")
PROFIT = account.ProfitFields(D("1.5"), D("-2.5"), None)
BAR = market.Bar("20260413", D(1), D("2.5"), D("0.5"), D(2), D(1000), D("1.75"), 12)

ANSWERS = [
    (session.managed_accounts((DU, "DU2")), 3, "managedAccounts", (f"{DU},DU2",)),
    (session.next_valid_id(7), 3, "nextValidId", (7,)),
    (session.current_time(AT), 3, "currentTime", (1776108424,)),
    (session.error(-1, 399, "Order Message:\nheld"), 6, "error", (-1, 399, "Order Message:\nheld", "")),
    (account.account_value(DU, VALUE), 6, "updateAccountValue", ("NetLiquidation", "100000.00", "CAD", DU)),
    (account.account_time(AT), 3, "updateAccountTime", ("15:27",)),
    (account.account_download_end(DU), 3, "accountDownloadEnd", (DU,)),
    (
        account.account_update_multi(3, DU, VALUE), 8, "accountUpdateMulti",
        (3, DU, "", "NetLiquidation", "100000.00", "CAD"),
    ),
    (account.account_update_multi_end(3), 3, "accountUpdateMultiEnd", (3,)),
    (account.account_summary(3, DU, VALUE), 7, "accountSummary", (3, DU, "NetLiquidation", "100000.00", "CAD")),
    (account.account_summary_end(3), 3, "accountSummaryEnd", (3,)),
    (account.position_end(), 2, "positionEnd", ()),
    (account.pnl(3, PROFIT), 5, "pnl", (3, 1.5, -2.5, UNSET_DOUBLE)),
    (account.pnl_single(3, D(4), PROFIT, D(400)), 7, "pnlSingle", (3, 4.0, 1.5, -2.5, UNSET_DOUBLE, 400.0)),
    (account.pnl(3, account.ProfitFields(None, None, D(0))), 5, "pnl", (3, UNSET_DOUBLE, UNSET_DOUBLE, 0.0)),
    (contracts.contract_details_end(9), 3, "contractDetailsEnd", (9,)),
    (contracts.market_rule(26, BANDS), 7, "marketRule", (26, [PriceIncrement(0.0, 0.0001), PriceIncrement(1.0, 0.01)])),
    (market.market_data_type(5, MarketDataType.DELAYED), 4, "marketDataType", (5, 3)),
    (market.tick_req_params(5, D("0.01")), 5, "tickReqParams", (5, 0.01, "9c0001", 3)),
    (market.tick_price(5, TickType.BID, D("99.95"), D(200)), 7, "priceSizeTick", (5, 1, 99.95, 200.0)),
    (market.tick_price(5, TickType.ASK, None, D(200)), 7, "priceSizeTick", (5, 2, -1.0, 0.0)),
    (market.tick_size(5, TickType.VOLUME, D(1000)), 5, "tickSize", (5, 8, 1000.0)),
    (market.tick_generic(5, TickType.HALTED, D(1)), 5, "tickGeneric", (5, 49, 1.0)),
    (market.tick_timestamp(5, TickType.LAST_TIMESTAMP, AT), 5, "tickString", (5, 45, "1776108424")),
    (market.tick_snapshot_end(5), 3, "tickSnapshotEnd", (5,)),
    (orders.order_status(STATUS), 12, "orderStatus", (11, "Submitted", 4.0, 6.5, 99.9, 1000001, 0, 99.8, 42, "", 0.0)),
    (orders.execution_end(8), 3, "execDetailsEnd", (8,)),
    (
        orders.commission_report(orders.CommissionFields("e1", D("1.05"), "USD")), 8, "commissionReport",
        (CommissionReport("e1", 1.05, "USD", UNSET_DOUBLE, UNSET_DOUBLE, 0),),
    ),
    (listings.open_order_end(), 2, "openOrderEnd", ()),
    (listings.completed_orders_end(), 1, "completedOrdersEnd", ()),
]  # fmt: skip


def heard(fields):
    """The one call that the real client makes of an answer."""
    (call,) = TwsClient().hear(fields)
    return call


def shown(contract):
    """What the client understood of a contract, in the order of `ContractFields`."""
    return (
        contract.conId, contract.symbol, contract.secType, contract.exchange,
        contract.primaryExchange, contract.currency, contract.localSymbol, contract.tradingClass,
    )  # fmt: skip


@pytest.mark.parametrize(("fields", "count", "name", "values"), ANSWERS, ids=[answer[2] for answer in ANSWERS])
def test_an_answer_has_its_fields_and_is_understood(fields, count, name, values):
    assert len(fields) == count
    assert heard(fields) == (name, values)


def test_messages_have_their_names_both_ways():
    for fields, _, name, _ in ANSWERS:
        assert names.answer_name(fields[0]) == {"priceSizeTick": "tickPrice"}.get(name, name)
        assert names.ANSWER_IDS[names.answer_name(fields[0])] == int(fields[0])
    assert {name: msg_id for msg_id, name in names.REQUEST_NAMES.items()} == names.REQUEST_IDS
    assert len(names.REQUEST_IDS) == len(names.REQUEST_NAMES)
    assert [names.answer_name(text) for text in ("178", "", "x", "-1", "٣", "1" * 5000)] == ["unknown"] * 6
    assert names.request_name("3") == "placeOrder"


def test_the_handshake_tells_version_and_time():
    client = TwsClient()
    client.client._serverVersion = 0
    client.client.connState = client.client.CONNECTING
    assert client.hear(session.server_version(AT)) == [("connectAck", ())]
    assert client.client.serverVersion() == 178
    assert session.server_version(AT) == ("178", "20260413 15:27:04 EDT")


def test_bars_are_heard_before_the_end_of_the_history():
    fields = market.historical_data(6, ("20260412", "20260413"), [BAR])
    assert len(fields) == 13
    assert TwsClient().hear(fields) == [
        ("historicalData", (6, BarData("20260413", 1.0, 2.5, 0.5, 2.0, 1000.0, 1.75, 12))),
        ("historicalDataEnd", (6, "20260412", "20260413")),
    ]


def test_a_holding_is_shown_with_its_mark_and_where_it_is_listed():
    fields = account.portfolio(HOLDING)
    name, (contract, *figures) = heard(fields)
    assert (len(fields), name) == (20, "updatePortfolio")
    assert shown(contract) == (756733, "SPY", "STK", "", "ARCA", "USD", "SPY", "SPY")
    assert figures == [7.25, 99.9, 724.275, 90.1, 71.05, 0.0, DU]


def test_a_position_is_shown_at_the_exchange_where_it_is_listed():
    fields = account.position(HOLDING)
    name, (holder, contract, quantity, cost) = heard(fields)
    assert (len(fields), name, holder, quantity, cost) == (16, "position", DU, 7.25, 90.1)
    assert shown(contract) == (756733, "SPY", "STK", "ARCA", "", "USD", "SPY", "SPY")


def test_contract_details_of_a_share_tell_hours_rules_and_kind():
    fields = contracts.contract_details(9, contracts.detail_fields_of(replace(SPY, fractional=True)))
    name, (req_id, details) = heard(fields)
    assert (len(fields), name, req_id) == (42, "contractDetails", 9)
    assert shown(details.contract) == (756733, "SPY", "STK", "SMART", "ARCA", "USD", "SPY", "SPY")
    assert (details.stockType, details.minTick, details.timeZoneId) == ("ETF", 0.0001, "US/Eastern")
    assert (details.liquidHours, details.tradingHours) == (SPY.liquid_hours, SPY.trading_hours)
    exchanges = details.validExchanges.split(",")
    assert (exchanges[:2], len(exchanges)) == (["SMART", "ARCA"], 26)
    assert details.marketRuleIds == ",".join([str(contracts.rule_id_of(BANDS))] * 26)
    assert (details.minSize, details.sizeIncrement, details.suggestedSizeIncrement) == (0.0001, 0.0001, 100)
    assert [tag.tag for tag in details.secIdList] == ["ISIN"]


def test_contract_details_of_a_pair_name_base_and_quote_apart():
    _, (_, details) = heard(contracts.contract_details(9, contracts.detail_fields_of(PAIR)))
    contract = ib.Contract(
        secType="CASH", conId=15016062, symbol="USD", exchange="IDEALPRO", currency="CAD",
        localSymbol="USD.CAD", tradingClass="USD.CAD",
    )  # fmt: skip
    expected = ib.ContractDetails(
        contract=contract, marketName="USD.CAD", minTick=0.00005, orderTypes="ACTIVETIM,DAY,LMT,MKT,WHATIF",
        validExchanges="IDEALPRO", priceMagnifier=1, longName="USD.CAD", timeZoneId="US/Eastern", aggGroup=4,
        marketRuleIds="3188", minSize=0.01, sizeIncrement=0.01, suggestedSizeIncrement=0.01,
    )  # fmt: skip
    assert asdict(details) == asdict(expected)


@pytest.mark.parametrize(
    ("kind", "security_type", "stock_type"),
    [
        (SecurityType.ETF, "STK", "ETF"),
        (SecurityType.STOCK, "STK", "COMMON"),
        (SecurityType.CASH, "CASH", ""),
        (SecurityType.OTHER, "BOND", ""),
    ],
)
def test_every_kind_of_security_has_the_brokers_name(kind, security_type, stock_type):
    details = contracts.detail_fields_of(replace(SPY, security_type=kind))
    assert (details.contract.security_type, details.stock_type) == (security_type, stock_type)


@pytest.mark.parametrize("name", ["Société Générale", "A\\B", "trailing\\", "two\nlines", "日本"])
def test_a_long_name_survives_both_escapes(name):
    details = replace(contracts.detail_fields_of(SPY), long_name=name)
    assert heard(contracts.contract_details(9, details))[1][1].longName == name


def test_the_same_price_steps_have_the_same_rule_and_others_another():
    assert contracts.rule_id_of(CENT) == contracts.rule_id_of((TickBand(D("0.0"), D("0.010")),))
    assert contracts.rule_id_of(CENT) != contracts.rule_id_of(BANDS)


def test_delayed_ticks_have_numbers_of_their_own_and_frozen_ones_have_not():
    assert market.tick_id(TickType.BID) == market.tick_id(TickType.BID, MarketDataType.FROZEN) == 1
    assert market.tick_id(TickType.BID, MarketDataType.DELAYED) == 66
    assert market.tick_id(TickType.LAST_TIMESTAMP, MarketDataType.DELAYED_FROZEN) == 88
    assert market.tick_id(TickType.HALTED, MarketDataType.DELAYED) == 49


def test_a_fill_is_understood():
    fields = orders.execution(FILL)
    name, (req_id, contract, fill) = heard(fields)
    assert (len(fields), name, req_id) == (32, "execDetails", -1)
    assert shown(contract) == (756733, "SPY", "STK", "SMART", "", "USD", "SPY", "SPY")
    assert (fill.execId, fill.time, fill.acctNumber, fill.side) == ("0000e0d5.1.01.01", AT, DU, "BOT")
    assert (fill.shares, fill.price, fill.cumQty, fill.avgPrice) == (4.0, 99.9, 4.0, 99.9)
    assert (fill.orderId, fill.clientId, fill.permId, fill.orderRef) == (11, 42, 1000001, "RB-1-B1-1")
    assert (fill.liquidation, fill.lastLiquidity, fill.pendingPriceRevision) == (0, 1, False)
    assert orders.execution(FILL, req_id=8)[1] == "8"


def test_an_open_order_is_understood_to_its_last_field():
    fields = listings.open_order(replace(ORDER, commission=D("1.5"), commission_currency="USD"))
    name, (order_id, contract, order, state) = heard(fields)
    assert (len(fields), name, order_id) == (135, "openOrder", 11)
    assert shown(contract) == (756733, "SPY", "STK", "SMART", "", "USD", "SPY", "SPY")
    assert (order.clientId, order.permId, order.account, order.orderRef) == (42, 1000001, DU, "RB-1-B1-1")
    assert (order.action, order.totalQuantity, order.orderType, order.lmtPrice) == ("BUY", 10.5, "LMT", 99.95)
    assert (order.tif, order.outsideRth, order.whatIf) == ("DAY", True, False)
    assert (order.deltaNeutralOrderType, order.clearingIntent, order.exemptCode) == ("None", "IB", -1)
    assert (state.status, state.commission, state.commissionCurrency) == ("Submitted", 1.5, "USD")
    assert state.initMarginChange == "1.7976931348623157E308"


def test_a_what_if_order_shows_margins_before_by_how_much_and_after():
    effect = MarginEffect(
        USD, MarginChange(D(100), D(25)), MarginChange(D(80), D("-20.5")), MarginChange(D(500), D(0)), D("1.05"), USD
    )
    fields = listings.open_order(replace(ORDER, terms=replace(TERMS, what_if=True), effect=effect))
    _, (_, _, order, state) = heard(fields)
    assert order.whatIf is True
    assert (state.initMarginBefore, state.initMarginChange, state.initMarginAfter) == ("100", "25", "125")
    assert (state.maintMarginBefore, state.maintMarginChange, state.maintMarginAfter) == ("80", "-20.5", "59.5")
    assert (state.equityWithLoanBefore, state.equityWithLoanChange, state.equityWithLoanAfter) == ("500", "0", "500")
    assert (state.commission, state.commissionCurrency, state.warningText) == (1.05, "USD", "")


def test_a_completed_order_is_understood_to_its_last_field():
    ending = listings.CompletionFields(D("4.5"), AT, "Cancelled by Trader")
    fields = listings.completed_order(replace(ORDER, status="Cancelled"), ending)
    name, (contract, order, state) = heard(fields)
    assert (len(fields), name) == (100, "completedOrder")
    assert shown(contract) == (756733, "SPY", "STK", "SMART", "", "USD", "SPY", "SPY")
    assert (order.permId, order.account, order.orderRef, order.filledQuantity) == (1000001, DU, "RB-1-B1-1", 4.5)
    assert (order.action, order.totalQuantity, order.orderType, order.lmtPrice) == ("BUY", 10.5, "LMT", 99.95)
    assert (order.clearingIntent, order.shareholder) == ("IB", "Not an insider or substantial shareholder")
    assert (state.status, state.completedStatus) == ("Cancelled", "Cancelled by Trader")
    assert state.completedTime == "20260413 15:27:04 US/Eastern"


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
PRICE = st.none() | st.decimals("0.01", "99999", places=4)
SIZE = st.integers(0, 99)
ORDERED = st.builds(
    OrderTerms,
    action=st.sampled_from(["BUY", "SELL"]),
    quantity=st.decimals("0.0001", "9999999", places=4),
    order_type=st.sampled_from(["LMT", "MKT", "PEG MID", "PEG BENCH", "PEGBENCH"]),
    limit_price=PRICE, aux_price=PRICE, trail_stop_price=PRICE, trailing_percent=PRICE, cash_quantity=PRICE,
    tif=TEXT, oca_group=TEXT, account=TEXT, open_close=TEXT, order_ref=TEXT, good_after=TEXT, good_till=TEXT,
    model_code=TEXT, algo_strategy=TEXT, hedge_type=st.sampled_from(["", "F", "D"]),
    origin=SIZE, parent_id=SIZE, display_size=SIZE, min_quantity=st.none() | SIZE,
    outside_rth=st.booleans(), hidden=st.booleans(), all_or_none=st.booleans(), what_if=st.booleans(),
    algo_params=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
)  # fmt: skip


UNSET_INTEGER = 2**31 - 1


def ordered(terms):
    """The client's own order of the same terms: whatever they do not say is as the client's plain order has it."""
    unset = {
        "trailStopPrice": terms.trail_stop_price,
        "trailingPercent": terms.trailing_percent,
        "cashQty": terms.cash_quantity or D(0),
    }
    return ib.Order(
        action=terms.action, totalQuantity=float(terms.quantity), orderType=terms.order_type,
        lmtPrice=float(terms.limit_price or 0), auxPrice=float(terms.aux_price or 0),
        tif=terms.tif, ocaGroup=terms.oca_group, account=terms.account, openClose=terms.open_close,
        orderRef=terms.order_ref, goodAfterTime=terms.good_after, goodTillDate=terms.good_till,
        modelCode=terms.model_code, hedgeType=terms.hedge_type, algoStrategy=terms.algo_strategy, origin=terms.origin,
        algoParams=[ib.TagValue(*param) for param in terms.algo_params] if terms.algo_strategy else [],
        displaySize=terms.display_size or UNSET_INTEGER, outsideRth=terms.outside_rth, hidden=terms.hidden,
        allOrNone=terms.all_or_none,
        minQty=UNSET_INTEGER if terms.min_quantity is None else terms.min_quantity,
        deltaNeutralOrderType="None", clearingIntent="IB", permId=1000001,
        volatilityType=0, referencePriceType=0, ocaType=3, dontUseAutoPriceForHedge=True,
        **{name: float(value) for name, value in unset.items() if value is not None},
    )  # fmt: skip


@given(ORDERED)
def test_whatever_was_ordered_is_shown_again_in_the_open_orders_and_nothing_else(terms):
    _, (_, _, order, _) = heard(listings.open_order(replace(ORDER, terms=terms)))
    expected = replace(
        ordered(terms), orderId=11, clientId=42, parentId=terms.parent_id, whatIf=terms.what_if,
        adjustedOrderType="None", deltaNeutralOpenClose="?",
    )  # fmt: skip
    assert asdict(order) == asdict(expected)


@given(ORDERED)
def test_whatever_was_ordered_is_shown_again_in_the_completed_orders_and_nothing_else(terms):
    ending = listings.CompletionFields(terms.quantity, AT, "Filled")
    _, (_, order, _) = heard(listings.completed_order(replace(ORDER, terms=terms), ending))
    expected = replace(
        ordered(terms), filledQuantity=float(terms.quantity), shareholder="Not an insider or substantial shareholder",
        rule80A="0", refFuturesConId=UNSET_INTEGER,
    )  # fmt: skip
    assert asdict(order) == asdict(expected)


@given(st.decimals("0.00001", "99999999", places=5), st.decimals("0", "99999999", places=4))
def test_prices_and_sizes_arrive_as_the_nearest_float(price, size):
    assert heard(market.tick_price(5, TickType.LAST, price, size)) == (
        "priceSizeTick",
        (5, 4, float(price), float(size)),
    )


def test_a_request_that_names_no_contract_has_empty_fields():
    assert ContractFields().listed_at == ""
    assert ContractFields(exchange="SMART", primary_exchange="ARCA").listed_at == "ARCA"
