"""IBKR's own client in front of the simulated gateway: it understands every message, to the last field."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from decimal import Decimal

import pytest
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order_cancel import OrderCancel
from ibapi.utils import BadMessage
from official_client import OfficialClient, StrictDecoder, etf, limit_order, official
from served import served
from worlds import ACCOUNT, account, earlier, held, quoted, scripted, world

from core.model import CAD, USD_CAD, SecurityType
from core.money import D
from core.sim.venue.contracts import USD_CAD_CON_ID, con_id_of
from core.sim.wire.names import ANSWER_NAMES

BID, ASK, LAST, CLOSE = 1, 2, 4, 9
MARGIN_TAGS = "NetLiquidation,TotalCashValue,ExcessLiquidity,MaintMarginReq,$LEDGER:ALL"


@pytest.fixture
def serve():
    """A function from the changes of a world to a gateway that serves it."""
    with ExitStack() as stack:
        yield lambda options=None, **changes: stack.enter_context(served(world(**changes), options))


@pytest.fixture
def connect(serve):
    """A function from the changes of a world to a connected client of it."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(official(serve(**changes).port))


def next_id(client):
    (number,) = client.received("nextValidId")[-1]
    return number


def statuses(client, number):
    return [values[1] for values in client.received("orderStatus", number)]


@pytest.mark.parametrize("fields", [(b"1", b"9"), (b"1", b"DU1", b"9"), (b"2", b"1", b"2104", b"ok", b"", b"9")])
def test_the_official_client_notices_a_field_too_many_and_one_too_few(fields):
    number = {2: 62, 3: 15, 6: 4}[len(fields)]
    for wrong in (fields, fields[:-2]):
        strict = StrictDecoder(OfficialClient(), 178)
        with suppress(BadMessage, TypeError):
            strict.interpret(wrong, number)
        assert len(strict.faults) == 1
    strict = StrictDecoder(OfficialClient(), 178)
    strict.interpret(fields[:-1], number)
    assert strict.faults == []


def test_it_connects_and_receives_its_accounts_and_its_first_order_id(connect):
    client = connect()
    assert client.serverVersion() == 178
    assert client.received("managedAccounts") == [(str(ACCOUNT),)]
    assert next_id(client) >= 1
    client.reqIds(1)
    assert client.wait_for("nextValidId", count=2) == (next_id(client),)
    client.reqCurrentTime()
    (seconds,) = client.wait_for("currentTime")
    assert 0 <= seconds - world().as_of.timestamp() < 60


def test_a_second_client_of_the_same_id_is_sent_away_and_the_first_one_stays(serve):
    gateway = serve()
    with official(gateway.port) as first:
        intruder = type(first)()
        try:
            with pytest.raises(AssertionError, match="326"):
                intruder.start(gateway.port)
        finally:
            intruder.stop()
        first.reqCurrentTime()
        first.wait_for("currentTime")


def test_it_reads_the_account_summary_with_its_ledger(connect):
    client = connect(account=account(base_currency=CAD))
    client.reqAccountSummary(11, "All", MARGIN_TAGS)
    client.wait_for("accountSummaryEnd", 11)
    rows = {
        (tag, currency): value for _, _, tag, value, currency in client.received("accountSummary", 11, str(ACCOUNT))
    }
    assert abs(Decimal(rows["NetLiquidation", "CAD"]) - D("142362.60")) < 10  # 5 000 + 1.36 × (100 000 + 10 × 100)
    assert Decimal(rows["CashBalance", "USD"]) == 100_000
    assert Decimal(rows["CashBalance", "CAD"]) == 5_000
    assert Decimal(rows["ExchangeRate", "CAD"]) == 1
    client.cancelAccountSummary(11)


def test_it_reads_positions_with_their_listing_exchange(connect):
    shop = held("SHOP", "7", "55", security_type=SecurityType.STOCK, currency=CAD)
    client = connect(account=account(positions=(held(), shop)))
    client.reqPositions()
    client.wait_for("positionEnd")
    rows = {
        contract.symbol: (contract.currency, contract.exchange, shares, cost)
        for _, contract, shares, cost in client.received("position", str(ACCOUNT))
    }
    assert rows == {"VTI": ("USD", "ARCA", D(10), 200.0), "SHOP": ("CAD", "TSE", D(7), 55.0)}


def test_it_reads_account_updates_and_the_portfolio(connect):
    client = connect()
    client.reqAccountUpdates(True, str(ACCOUNT))
    client.wait_for("accountDownloadEnd", str(ACCOUNT))
    values = {(tag, currency): value for tag, value, currency, _ in client.received("updateAccountValue")}
    assert values["AccountReady", ""] == "true"
    assert Decimal(values["CashBalance", "USD"]) == 100_000
    ((contract, shares, price, value, cost, *_, owner),) = client.received("updatePortfolio")
    assert (contract.symbol, contract.conId, contract.primaryExchange) == ("VTI", con_id_of("VTI"), "ARCA")
    assert (shares, cost, owner) == (D(10), 200.0, ACCOUNT)
    assert value == pytest.approx(10 * price)
    client.reqAccountUpdatesMulti(12, str(ACCOUNT), "", False)
    client.wait_for("accountUpdateMultiEnd", 12)
    many = {(tag, currency): value for _, _, _, tag, value, currency in client.received("accountUpdateMulti", 12)}
    assert many["CashBalance", "USD"] == values["CashBalance", "USD"]


def test_it_reads_contract_details_and_the_market_rule_of_their_first_exchange(connect):
    client = connect(quotes={"VTI": quoted("100.00", "100.02", min_tick=D("0.05"), is_fractional=False)})
    client.reqContractDetails(21, etf())
    client.wait_for("contractDetailsEnd", 21)
    ((_, details),) = client.received("contractDetails", 21)
    exchanges, rules = details.validExchanges.split(","), details.marketRuleIds.split(",")
    assert (details.contract.conId, details.stockType, exchanges[0]) == (con_id_of("VTI"), "ETF", "SMART")
    assert len(exchanges) == len(rules)
    assert "20260302:0930-20260302:1600" in details.liquidHours
    assert (details.sizeIncrement, details.minTick) == (D(1), 0.05)
    client.reqMarketRule(int(rules[0]))
    _, steps = client.wait_for("marketRule", int(rules[0]))
    assert [(step.lowEdge, step.increment) for step in steps] == [(0.0, 0.05)]


def test_it_reads_the_currency_pair(connect):
    client = connect()
    pair = Contract()
    pair.symbol, pair.secType, pair.currency, pair.exchange = "USD", "CASH", "CAD", "IDEALPRO"
    client.reqContractDetails(22, pair)
    client.wait_for("contractDetailsEnd", 22)
    ((_, details),) = client.received("contractDetails", 22)
    found = details.contract
    assert (found.conId, found.localSymbol, found.exchange) == (USD_CAD_CON_ID, USD_CAD, "IDEALPRO")
    assert (details.minTick, details.stockType) == (0.00005, "")


def test_an_unknown_contract_is_error_200_alone(connect):
    client = connect()
    client.reqContractDetails(23, etf("NOPE"))
    _, _, code, text, _ = client.wait_for("error", 23)
    assert code == 200
    assert text == "No security definition has been found for the request"
    client.reqCurrentTime()
    client.wait_for("currentTime")
    assert client.received("contractDetailsEnd") == client.received("contractDetails") == []


@pytest.mark.parametrize("is_snapshot", [False, True])
def test_it_reads_market_data(connect, is_snapshot):
    client = connect(quotes={"VTI": quoted("100.00", "100.02", "100.01", is_halted=True)})
    client.reqMktData(31, etf(), "", is_snapshot, False, [])
    client.wait_for("tickPrice", 31, LAST)
    if is_snapshot:
        client.wait_for("tickSnapshotEnd", 31)
    else:
        client.wait_for("tickGeneric", 31, 49)
        client.cancelMktData(31)
    prices = {kind: price for _, kind, price, _ in client.received("tickPrice", 31)}
    assert (prices[BID], prices[ASK], prices[LAST]) == (100.0, 100.02, 100.01)
    assert client.received("marketDataType", 31) == [(31, 1)]
    assert client.wait_for("tickReqParams", 31)[1] == 0.01


def test_an_order_fills_with_execution_and_commission(connect):
    client = connect(commission=D(1))
    number = client.place(etf(), limit_order("BUY", D(10), 100.05, orderRef="RB-A-B1-1"))
    _, contract, execution = client.wait_for("execDetails", -1)
    assert (contract.symbol, contract.conId) == ("VTI", con_id_of("VTI"))
    assert (execution.orderId, execution.clientId, execution.acctNumber) == (number, 7, ACCOUNT)
    assert (execution.side, execution.shares, execution.price) == ("BOT", D(10), 100.02)
    assert (execution.cumQty, execution.orderRef) == (D(10), "RB-A-B1-1")
    assert execution.time.endswith(" US/Eastern")
    (report,) = client.wait_for("commissionAndFeesReport")
    assert (report.execId, report.commissionAndFees, report.currency) == (execution.execId, 1.0, "USD")
    _, status, filled, remaining, average, perm_id, *_ = client.wait_for("orderStatus", number, "Filled")
    assert (status, filled, remaining, average) == ("Filled", D(10), D(0), 100.02)
    assert perm_id == execution.permId > 0
    _, _, order, state = client.wait_for("openOrder", number)
    assert (order.orderRef, order.permId, order.clientId, order.lmtPrice) == ("RB-A-B1-1", perm_id, 7, 100.05)
    assert (order.action, order.totalQuantity, order.tif, order.account) == ("BUY", D(10), "DAY", ACCOUNT)
    assert state.status == "Submitted"


def test_after_a_fill_the_account_is_sent_again(connect):
    client = connect()
    client.reqPositions()
    client.wait_for("positionEnd")
    client.reqAccountUpdates(True, str(ACCOUNT))
    client.wait_for("accountDownloadEnd")
    client.place(etf(), limit_order("SELL", D(10), 99.0))
    client.wait_for("position", str(ACCOUNT), count=2)
    assert [shares for _, _, shares, _ in client.received("position")] == [D(10), D(0)]
    assert client.wait_for("updatePortfolio", count=2)[1] == D(0)
    client.wait_for("updateAccountTime", count=2)
    cash = [
        value for tag, value, currency, _ in client.received("updateAccountValue", "CashBalance") if currency == "USD"
    ]
    assert Decimal(cash[-1]) == 101_000


def test_a_resting_order_is_cancelled_by_its_id(connect):
    client = connect()
    number = client.place(etf(), limit_order("BUY", D(10), 90.0))
    client.wait_for("orderStatus", number, "Submitted")
    client.cancelOrder(number, OrderCancel())
    _, _, filled, remaining, *_ = client.wait_for("orderStatus", number, "Cancelled")
    assert (filled, remaining) == (D(0), D(10))
    _, _, code, text, _ = client.wait_for("error", number)
    assert (code, text.startswith("Order Canceled - reason:")) == (202, True)


def test_a_partly_filled_order_reports_its_filled_quantity(connect):
    client = connect(fills=scripted(fill_fraction=D("0.4")))
    number = client.place(etf(), limit_order("BUY", D(10), 100.05))
    client.wait_for("execDetails", -1)
    _, _, filled, remaining, *_ = client.wait_for("orderStatus", number, "Submitted", D(4))
    assert (filled, remaining) == (D(4), D(6))


def test_the_same_id_again_changes_the_order(connect):
    client = connect()
    order = limit_order("BUY", D(10), 90.0)
    number = client.place(etf(), order)
    first = client.wait_for("openOrder", number)[2].permId
    order.totalQuantity, order.lmtPrice = D(4), 91.0
    client.placeOrder(number, etf(), order)
    client.wait_for("openOrder", number, count=2)
    changed = client.received("openOrder", number)[-1][2]
    assert (changed.permId, changed.totalQuantity, changed.lmtPrice) == (first, D(4), 91.0)


def test_what_if_reports_margin_and_commission_and_places_nothing(connect):
    client = connect(commission=D(1))
    number = client.place(etf(), limit_order("BUY", D(100), 100.05, whatIf=True))
    _, _, order, state = client.wait_for("openOrder", number)
    assert order.whatIf
    before, change, after = (Decimal(getattr(state, f"maintMargin{part}")) for part in ("Before", "Change", "After"))
    assert change > 0
    assert before + change == after
    assert (state.commissionAndFees, state.commissionAndFeesCurrency) == (1.0, "USD")
    client.reqAllOpenOrders()
    client.wait_for("openOrderEnd")
    assert statuses(client, number) == []
    assert len(client.received("openOrder")) == 1


def test_a_rejected_order_says_why(connect):
    client = connect(fills=scripted(reject=201))
    number = client.place(etf(), limit_order("BUY", D(10), 100.05))
    _, _, code, text, _ = client.wait_for("error", number)
    assert (code, bool(text)) == (201, True)
    client.wait_for("orderStatus", number, "Inactive")


def test_after_a_reconnect_it_finds_what_works_and_what_ended(serve):
    gateway = serve(commission=D(1), account=account(open_orders=(earlier(ref="by hand"),)))
    with official(gateway.port) as client:
        done = client.place(etf(), limit_order("BUY", D(10), 100.05, orderRef="RB-A-B1-1"))
        client.wait_for("orderStatus", done, "Filled")
        resting = client.place(etf(), limit_order("BUY", D(3), 90.0, orderRef="RB-A-B2-1"))
        perm_id = client.wait_for("orderStatus", resting, "Submitted")[5]
    with official(gateway.port) as client:
        assert next_id(client) > resting
        client.wait_for("openOrderEnd")  # its own orders arrive without a request
        ((number, _, order, _),) = client.received("openOrder")
        assert (number, order.permId, order.orderRef, order.clientId) == (resting, perm_id, "RB-A-B2-1", 7)
        assert statuses(client, resting) == ["Submitted"]
        client.reqOpenOrders()
        client.wait_for("openOrderEnd", count=2)
        assert [values[0] for values in client.received("openOrder")] == [resting, resting]
        client.reqAllOpenOrders()
        client.wait_for("openOrderEnd", count=3)
        assert {values[2].orderRef for values in client.received("openOrder")} == {"RB-A-B2-1", "by hand"}
        client.reqCompletedOrders(False)
        client.wait_for("completedOrdersEnd")
        ((contract, ended, state),) = client.received("completedOrder")
        assert (contract.symbol, ended.orderRef, ended.filledQuantity) == ("VTI", "RB-A-B1-1", D(10))
        assert (state.status, state.completedStatus) == ("Filled", "Filled Size: 10")
        client.reqExecutions(41, ExecutionFilter())
        client.wait_for("execDetailsEnd", 41)
        ((_, _, execution),) = client.received("execDetails", 41)
        assert (execution.orderRef, execution.permId) == ("RB-A-B1-1", ended.permId)
        assert client.wait_for("commissionAndFeesReport")[0].execId == execution.execId


def test_every_message_that_the_gateway_has_is_read_to_its_last_field(connect):
    halted = quoted("72.00", "72.01", "72.00", is_halted=True)
    client = connect(quotes={"VTI": quoted("100.00", "100.02"), "BND": halted}, commission=D(1))
    client.place(etf(), limit_order("BUY", D(10), 100.05))
    client.wait_for("commissionAndFeesReport")
    client.place(etf(), limit_order("BUY", D(10), 90.0))
    requests = {
        "reqIds": (1,),
        "reqCurrentTime": (),
        "reqManagedAccts": (),
        "reqAccountUpdates": (True, str(ACCOUNT)),
        "reqAccountUpdatesMulti": (51, str(ACCOUNT), "", False),
        "reqAccountSummary": (52, "All", MARGIN_TAGS),
        "reqPositions": (),
        "reqOpenOrders": (),
        "reqCompletedOrders": (False,),
        "reqExecutions": (53, ExecutionFilter()),
        "reqContractDetails": (54, etf()),
        "reqPnL": (55, str(ACCOUNT), ""),
        "reqPnLSingle": (56, str(ACCOUNT), "", con_id_of("VTI")),
        "reqHistoricalData": (57, etf(), "", "2 D", "1 day", "TRADES", 1, 1, False, []),
        "reqMktData": (58, etf("BND"), "", False, False, []),
    }
    for name, values in requests.items():
        getattr(client, name)(*values)
    client.reqMktData(59, etf("BND"), "", True, False, [])
    client.wait_for("tickSnapshotEnd", 59)
    ((_, details),) = client.received("contractDetails", 54)
    client.reqMarketRule(int(details.marketRuleIds.split(",")[0]))
    client.wait_for("marketRule")
    assert client.wait_for("error", 57)[2] == 162  # the venue has no history
    assert set(ANSWER_NAMES) <= client.decoded
