"""Messages of the wire against the real client library: what it sends is read, and what it must distinguish it does.

That every message of the gateway is understood to its last field, and has the shape of a genuine one, is shown by
IBKR's own client and by the recorded samples (tests/contract); here is what neither of them sends or meets.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import ib_async as ib
import pytest
from fuzzing import fuzzed, mutations
from hostile import VALID
from hypothesis import given
from hypothesis import strategies as st
from ib_async.order import (
    ExecutionCondition,
    MarginCondition,
    PercentChangeCondition,
    PriceCondition,
    TimeCondition,
    VolumeCondition,
)
from tws_client import TwsClient

from core.model import USD, Contract, SecurityType, Symbol, TickBand
from core.sim.wire import contracts, market, names, requests
from core.sim.wire.contracts import ContractFields
from core.sim.wire.fields import FieldMalformed, FieldMissing, WireError
from core.sim.wire.frames import Unframer, frame
from core.sim.wire.market import TickType
from core.sim.wire.parsing import parse_request
from core.sim.wire.placing import OrderTerms, PlaceOrder

D = Decimal
SHARE = ib.Contract(
    conId=756733, symbol="SPY", secType="STK", exchange="SMART", primaryExchange="ARCA", currency="USD",
    localSymbol="SPY", tradingClass="SPY",
)  # fmt: skip
SHARE_FIELDS = ContractFields(
    con_id=756733, symbol="SPY", security_type="STK", exchange="SMART", primary_exchange="ARCA", currency="USD",
    local_symbol="SPY", trading_class="SPY",
)  # fmt: skip
NAMED = ib.Stock("SPY", "SMART", "USD")
NAMED_FIELDS = ContractFields(symbol="SPY", security_type="STK", exchange="SMART", currency="USD")
COMBO = ib.Contract(
    secType="BAG", symbol="SPY", exchange="SMART", currency="USD",
    comboLegs=[ib.ComboLeg(1, 1, "BUY", "SMART"), ib.ComboLeg(2, 2, "SELL", "SMART")],
)  # fmt: skip
HEDGED = replace(SHARE, deltaNeutralContract=ib.DeltaNeutralContract(5, 0.5, 10.0))

RARE_REQUESTS = [
    (("reqMktData", 5, SHARE, "233", True, True, []), requests.RequestMarketData(5, SHARE_FIELDS, "233", True, True)),
    (("reqMktData", 5, HEDGED, "", True, False, []), requests.RequestMarketData(5, SHARE_FIELDS, "", True, False)),
    (
        ("reqMktData", 5, COMBO, "", False, False, []),
        requests.RequestMarketData(
            5, ContractFields(symbol="SPY", security_type="BAG", exchange="SMART", currency="USD"), "", False, False
        ),
    ),
    (
        ("reqExecutions", 8, ib.ExecutionFilter(42, "DU1", "20260413-00:00:00", "SPY", "STK", "SMART", "BUY")),
        requests.RequestExecutions(8, 42, "DU1", "20260413-00:00:00", "SPY", "STK", "SMART", "BUY"),
    ),
    (
        ("reqContractDetails", 9, ib.Contract(secIdType="ISIN", secId="US78462F1030", includeExpired=True)),
        requests.RequestContractDetails(9, ContractFields(), True, "ISIN", "US78462F1030"),
    ),
    (
        ("reqHistoricalData", 6, NAMED, "", "2 D", "1 day", "TRADES", True, 1, False, []),
        requests.RequestHistory(6, NAMED_FIELDS, "", "1 day", "2 D", True, "TRADES", False),
    ),
    (
        ("reqHistoricalData", 6, COMBO, "", "2 D", "1 day", "TRADES", True, 1, True, []),
        requests.RequestHistory(
            6, ContractFields(symbol="SPY", security_type="BAG", exchange="SMART", currency="USD"),
            "", "1 day", "2 D", True, "TRADES", True,
        ),
    ),
    (("reqNewsProviders",), requests.UnknownRequest(85, ())),
]  # fmt: skip

CENT = (TickBand(D(0), D("0.01")),)
BANDS = (TickBand(D(0), D("0.0001")), TickBand(D(1), D("0.01")))
SPY = Contract(Symbol("SPY"), 756733, SecurityType.ETF, USD, BANDS, primary_exchange="ARCA")


LIMIT = OrderTerms("BUY", D(10), "LMT", D("99.95"), D(0), tif="", open_close="O")


def limit(**changes):
    plain = {"action": "BUY", "totalQuantity": 10, "orderType": "LMT", "lmtPrice": 99.95, "auxPrice": 0.0}
    return ib.Order(**(plain | changes))


ODD_ORDERS = {
    "plain": (SHARE, limit(), LIMIT),
    "market": (SHARE, ib.MarketOrder("SELL", 5000), OrderTerms("SELL", D(5000), "MKT", tif="", open_close="O")),
    "what if": (SHARE, limit(whatIf=True), replace(LIMIT, what_if=True)),
    "held": (SHARE, limit(transmit=False, parentId=3), replace(LIMIT, transmit=False, parent_id=3)),
    "outside": (SHARE, limit(outsideRth=True, hidden=True), replace(LIMIT, outside_rth=True, hidden=True)),
    "iceberg": (SHARE, limit(displaySize=5), replace(LIMIT, display_size=5)),
    "trailing": (
        SHARE,
        limit(trailStopPrice=90.5, trailingPercent=1.5),
        replace(LIMIT, trail_stop_price=D("90.5"), trailing_percent=D("1.5")),
    ),
    "cash quantity": (SHARE, limit(cashQty=250.0), replace(LIMIT, cash_quantity=D(250))),
    "minimum": (SHARE, limit(minQty=4, allOrNone=True), replace(LIMIT, min_quantity=4, all_or_none=True)),
    "timed": (
        SHARE,
        limit(goodAfterTime="20260413 10:00:00 US/Eastern", goodTillDate="20260414", modelCode="M", ocaGroup="g"),
        replace(LIMIT, good_after="20260413 10:00:00 US/Eastern", good_till="20260414", model_code="M", oca_group="g"),
    ),
    "algo": (
        SHARE,
        limit(algoStrategy="Adaptive", algoParams=[ib.TagValue("adaptivePriority", "Normal"), ib.TagValue("a", "")]),
        replace(LIMIT, algo_strategy="Adaptive", algo_params=(("adaptivePriority", "Normal"), ("a", ""))),
    ),
    "hedge": (SHARE, limit(hedgeType="F", hedgeParam="1"), replace(LIMIT, hedge_type="F")),
    "hedging contract": (HEDGED, limit(), replace(LIMIT, is_delta_neutral=True)),
    "delta neutral": (SHARE, limit(deltaNeutralOrderType="MKT"), replace(LIMIT, is_delta_neutral=True)),
    "scale": (
        SHARE,
        limit(scaleInitLevelSize=5, scalePriceIncrement=0.1, scaleTable="t"),
        replace(LIMIT, is_scaled=True),
    ),
    "scale without steps": (SHARE, limit(scalePriceIncrement=0.0), LIMIT),
    "combo": (
        COMBO,
        limit(
            orderComboLegs=[ib.OrderComboLeg(1.0), ib.OrderComboLeg()],
            smartComboRoutingParams=[ib.TagValue("NonGuaranteed", "1")],
        ),
        replace(LIMIT, leg_count=2),
    ),
    "every condition": (
        SHARE,
        limit(
            conditions=[
                PriceCondition(price=1.0), TimeCondition(), MarginCondition(),
                ExecutionCondition(), VolumeCondition(), PercentChangeCondition(),
            ]
        ),
        replace(LIMIT, condition_count=6),
    ),
    "pegged to a benchmark": (SHARE, limit(orderType="PEG BENCH"), replace(LIMIT, order_type="PEG BENCH")),
    "pegged to the middle": (SHARE, limit(orderType="PEG MID"), replace(LIMIT, order_type="PEG MID")),
    "pegged to the best": (
        SHARE,
        limit(orderType="PEG BEST", competeAgainstBestOffset=0.02),
        replace(LIMIT, order_type="PEG BEST"),
    ),
    "pegged up to the middle": (
        SHARE,
        limit(orderType="PEGBEST", competeAgainstBestOffset=math.inf),
        replace(LIMIT, order_type="PEGBEST"),
    ),
}  # fmt: skip
PLAIN = TwsClient().request("placeOrder", 11, SHARE, limit())


@pytest.mark.parametrize(
    ("call", "expected"), RARE_REQUESTS, ids=lambda value: value[0] if isinstance(value, tuple) else ""
)
def test_a_request_of_the_real_client_is_read(call, expected):
    fields = TwsClient().request(*call)
    assert parse_request(fields) == expected
    assert names.request_name(fields[0]) == call[0]


@pytest.mark.parametrize("name", ODD_ORDERS)
def test_every_kind_of_order_is_read_and_names_what_is_unsupported(name):
    contract, order, terms = ODD_ORDERS[name]
    expected = {
        "held": ("parent",), "outside": ("hidden",), "iceberg": ("iceberg",), "trailing": ("trailing",),
        "cash quantity": ("cash quantity",), "minimum": ("all or none", "minimum quantity"),
        "timed": ("one cancels all", "good after", "good till"), "algo": ("algo",), "hedge": ("hedge",),
        "hedging contract": ("delta neutral",), "delta neutral": ("delta neutral",), "scale": ("scale",),
        "combo": ("combo legs",), "every condition": ("conditions",),
    }  # fmt: skip
    placed = parse_request(TwsClient().request("placeOrder", 11, contract, order))
    assert isinstance(placed, PlaceOrder)
    assert (placed.order_id, placed.contract.symbol, placed.terms) == (11, "SPY", terms)
    assert terms.unsupported == expected.get(name, ())


def test_an_order_to_the_ats_has_one_more_field():
    contract = replace(SHARE, exchange="IBKRATS")
    fields = TwsClient().request("placeOrder", 11, contract, limit())
    assert len(fields) == 115
    assert parse_request(fields).terms == LIMIT


CENTS = st.decimals("0.01", "99999.99", places=2)


@given(
    order_id=st.integers(1, 2**31 - 2),
    side=st.sampled_from(["BUY", "SELL"]),
    quantity=st.decimals("0.0001", "999999", places=4),
    price=st.none() | CENTS,
    ref=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    what_if=st.booleans(),
)
def test_an_order_arrives_as_it_was_sent(order_id, side, quantity, price, ref, what_if):
    kind = "MKT" if price is None else "LMT"
    order = ib.Order(
        action=side, totalQuantity=float(quantity), orderType=kind, tif="DAY", orderRef=ref, whatIf=what_if
    )
    if price is not None:
        order.lmtPrice = float(price)
    placed = parse_request(TwsClient().request("placeOrder", order_id, SHARE, order))
    expected = OrderTerms(side, quantity, kind, price, order_ref=ref, what_if=what_if, open_close="O")
    assert placed == PlaceOrder(order_id, SHARE_FIELDS, expected)


def test_the_official_clients_spellings_of_not_set_are_understood():
    theirs = list(PLAIN)
    theirs[6], theirs[24] = "", ""  # strike, open or close
    for at in (91, 92, 93, 94, 95, 100):
        theirs[at] = "1.7976931348623157e+308"
    theirs[109] = theirs[110] = "2147483647"
    assert parse_request(tuple(theirs)).terms == replace(LIMIT, open_close="")


@pytest.mark.parametrize("length", [0, 1, 2, 15, 34, 50, 82, 89, 113])
def test_an_order_that_ends_too_early_is_malformed(length):
    with pytest.raises(FieldMissing):
        parse_request(PLAIN[:length])


def test_a_condition_of_no_known_kind_is_malformed():
    fields = list(TwsClient().request("placeOrder", 11, SHARE, ODD_ORDERS["every condition"][1]))
    assert fields[89:91] == ["6", "1"]
    fields[90] = "2"
    with pytest.raises(FieldMalformed):
        parse_request(tuple(fields))


def test_a_field_too_many_is_malformed():
    with pytest.raises(FieldMalformed):
        parse_request((*PLAIN, ""))
    with pytest.raises(FieldMalformed):
        parse_request(("61", "1", ""))


@pytest.mark.parametrize("fields", [("",), ("x",), ("4", "1", "", ""), ("6", "2", "yes", "DU1"), ("99",), ("71", "2")])
def test_a_request_that_is_not_as_it_must_be_is_malformed(fields):
    with pytest.raises(WireError):
        parse_request(fields)


def test_a_message_of_an_unknown_kind_is_kept_as_it_came():
    assert parse_request(("65", "1", "a")) == requests.UnknownRequest(65, ("1", "a"))
    assert parse_request(("-5",)) == requests.UnknownRequest(-5, ())


SAMPLES = st.sampled_from(
    [frame(fields) for fields in VALID]
    + [frame(TwsClient().request(*call)) for call, _ in RARE_REQUESTS]
    + [frame(TwsClient().request("placeOrder", 11, contract, order)) for contract, order, _ in ODD_ORDERS.values()]
)
FIELD = st.sampled_from(["", "0", "1", "2", "-1", "3", "99", "BAG", "nan", "1e999", "2147483647", "x"]) | st.text(
    max_size=3
)
MESSAGES = st.tuples(st.integers(-2, 110).map(str), st.lists(FIELD, max_size=130)).map(lambda one: (one[0], *one[1]))


@fuzzed
@given(SAMPLES.flatmap(mutations) | MESSAGES.map(lambda fields: frame(text.replace("\0", "") for text in fields)))
def test_whatever_arrives_is_a_request_or_a_wire_error(stream):
    with suppress(WireError):
        for fields in Unframer().feed(stream):
            assert isinstance(parse_request(fields), requests.Request)


@given(st.lists(FIELD, min_size=1, max_size=20), st.data())
def test_an_order_with_fields_replaced_is_a_request_or_a_wire_error(replacements, data):
    fields = list(PLAIN)
    for text in replacements:
        fields[data.draw(st.integers(1, len(fields) - 1))] = text
    with suppress(WireError):
        assert isinstance(parse_request(tuple(fields)), PlaceOrder)


def received(fields):
    """The one call that the real client makes of an answer."""
    (call,) = TwsClient().receive(fields)
    return call


def test_messages_have_the_names_of_the_client_library():
    assert (names.request_name("3"), names.answer_name("5")) == ("placeOrder", "openOrder")
    assert [names.answer_name(text) for text in ("178", "", "x", "-1", "٣", "1" * 5000)] == ["unknown"] * 6


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
    assert received(contracts.contract_details(9, details))[1][1].longName == name


def test_the_same_price_steps_have_the_same_rule_and_others_another():
    assert contracts.rule_id_of(CENT) == contracts.rule_id_of((TickBand(D("0.0"), D("0.010")),))
    assert contracts.rule_id_of(CENT) != contracts.rule_id_of(BANDS)


@given(st.decimals("0.00001", "99999999", places=5), st.decimals("0", "99999999", places=4))
def test_prices_and_sizes_arrive_as_the_nearest_float(price, size):
    assert received(market.tick_price(5, TickType.LAST, price, size)) == (
        "priceSizeTick",
        (5, 4, float(price), float(size)),
    )
