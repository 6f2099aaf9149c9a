"""What goes wrong while the account and the market are read: another try, or a stop before anything is sent."""

from __future__ import annotations

from dataclasses import replace

import fault_judges
import pytest
from campaign.playing import Case
from fault_cases import BND, quoting, usual
from fault_judges import play
from fault_runs import Hangup, Lacking, Row, Stuck, all_of, broken, cases, nothing, on, reaching, sends, when

from core.model import CAD, USD, MarketDataType, Stage, Symbol
from core.money import D
from core.sim.gateway.faults import (
    OTHER_CON_ID,
    ChangeFields,
    Delay,
    Drop,
    Duplicate,
    ErrorBefore,
    HalfOpen,
    Omit,
    Only,
    Refuse,
)
from core.sim.venue.world import SimPosition, SimQuote, Values

ONCE, ALWAYS = 1, None
READ_ONLY = "Error validating request.-'bF' : cause - The API interface is currently in Read-Only mode."
RETRIED = ("try 2 of 4",)
GIVEN_UP = ("4 tries",)
MARKERS = (
    "managedAccounts",
    "nextValidId",
    "openOrderEnd",
    "positionEnd",
    "accountDownloadEnd",
    "contractDetailsEnd",
)
READS = ("reqAccountUpdates", "reqAllOpenOrders", "reqContractDetails", "reqMktData", "startApi", "handshake")
ANSWERS = (
    "serverVersion",
    "managedAccounts",
    "updateAccountValue",
    "updatePortfolio",
    "accountDownloadEnd",
    "contractDetails",
    "tickPrice",
)
ONLY_A_SNAPSHOT = quoting(BND, values=Values(), snapshot=usual().scenario.world.quotes[BND].values)
DELAYED = usual(
    quotes={
        symbol: replace(quote, data_type=MarketDataType.DELAYED)
        for symbol, quote in usual().scenario.world.quotes.items()
    }
)


OLD = Symbol("OLD")
UNSET = "1.7976931348623157E308"


def left_over(**rebalance):
    """The usual account with an ETF without a target besides."""
    world = usual().scenario.world
    positions = (*world.account.positions, SimPosition(OLD, D(10), D(20)))
    quotes = dict(world.quotes) | {OLD: SimQuote(Values(D("20.00"), D("20.02"), D("20.00")))}
    scenario = usual(account=replace(world.account, positions=positions), quotes=quotes).scenario
    settings = dict(scenario.settings) | {"rebalance": {"min_order_usd": "0", **rebalance}}
    return Case(replace(scenario, settings=settings))


def unmarked(symbol):
    return on("updatePortfolio", ChangeFields({14: UNSET, 15: UNSET}), symbol, times=ALWAYS)


def unset(name):
    return on("updateAccountValue", Only(name, ChangeFields({3: UNSET})), times=ALWAYS)


ENOUGH_DOLLARS = usual(
    account=replace(usual().scenario.world.account, cash={USD: D(60_000), CAD: D(1_000)}),
)


def nothing_was_sent(played):
    assert not played.sent


def no_buys_were_sent(played):
    assert {order.stage for _, order in played.sent} == {Stage.FX, Stage.SELL}


END_MARKERS = (
    *(Row(f"{name} is missing once", on(name, Omit(), times=ONCE), warns=RETRIED) for name in MARKERS),
    *(Row(f"{name} is always missing", on(name, Omit(), times=ALWAYS), 20, GIVEN_UP) for name in MARKERS),
    *(Row(f"{name} comes 5 s late, always", on(name, Delay(5), times=ALWAYS)) for name in MARKERS),
    *(Row(f"{name} comes 30 s late, once", on(name, Delay(30)), warns=RETRIED) for name in MARKERS),
    Row("a market rule is not reported", on("marketRule", Omit(), times=ALWAYS)),
    Row("a snapshot does not end, once", on("tickSnapshotEnd", Omit()), case=ONLY_A_SNAPSHOT, warns=RETRIED),
    Row("no snapshot ends", on("tickSnapshotEnd", Omit(), times=ALWAYS), 20, GIVEN_UP, case=ONLY_A_SNAPSHOT),
    *(Row(f"{name} is unset, as after the nightly reset", unset(name), 20, (name, *GIVEN_UP), also=(nothing_was_sent,))
      for name in ("NetLiquidation", "ExcessLiquidity", "MaintMarginReq", "CashBalance")),
    Row("NetLiquidation is not reported", on("updateAccountValue", Lacking("NetLiquidation"), times=ALWAYS), 20,
        ("NetLiquidation", *GIVEN_UP)),
    Row("the cash is not reported", on("updateAccountValue", Lacking("CashBalance"), times=ALWAYS), 20,
        ("CashBalance", *GIVEN_UP)),
)  # fmt: skip

CONNECTION = (
    *(Row(f"the connection breaks at {name}, once", on(name, Drop()), warns=RETRIED) for name in (*READS, *ANSWERS)),
    *(Row(f"the connection breaks within {name}, once", on(name, Drop(at=6)), warns=RETRIED) for name in ANSWERS),
    *(Row(f"the connection breaks after {name}, once", on(name, Drop(at=None)), warns=RETRIED)
      for name in ("reqAccountUpdates", "reqContractDetails")),
    Row("the connection breaks between two reads", on("reqAllOpenOrders", Drop(at=None))),
    Row("no connection comes about", on("handshake", Drop(), times=ALWAYS), 20, ("connecting", *GIVEN_UP)),
    Row("the connection breaks whenever the account is asked for", on("reqAccountUpdates", Drop(), times=ALWAYS), 20,
        ("reading the account", *GIVEN_UP)),
    *(Row(f"the gateway stops answering at {name}", on(name, HalfOpen()), warns=RETRIED)
      for name in ("handshake", "startApi", "reqAccountUpdates", "accountDownloadEnd", "reqContractDetails")),
    Row("the gateway always stops answering at the account", on("reqAccountUpdates", HalfOpen(), times=ALWAYS), 20,
        ("reading the account", *GIVEN_UP)),
    Row("the client id is in use", on("startApi", Hangup(Refuse(326)), times=ALWAYS), 20, ("client 42", "another run")),
    Row("IBKR is gone for 5 s while the account is read", when("reqAccountUpdates", sends(1100, 1102, after=5)),
        warns=RETRIED),
    Row("IBKR is gone for 5 s and data is lost", when("reqContractDetails", sends(1100, 1101, after=5)), warns=RETRIED),
    Row("IBKR stays gone", when("reqAccountUpdates", sends(1100)), 20, ("IBKR", *GIVEN_UP)),
    Row("TWS loses its server for 5 s", when("reqMktData", sends(2110, 1102, after=5)), warns=RETRIED),
    Row("IBKR is reported as back though it never went", when("reqAccountUpdates", sends(1102))),
)  # fmt: skip

MARKET = (
    Row("a competing session takes the data", on("reqMktData", Refuse(10197), "VTI", times=ALWAYS), 23,
        ("VTI", "competing live session (10197)")),
    Row("a competing session takes the data under way", on("tickPrice", Refuse(10197), "VTI", times=ALWAYS), 23,
        ("VTI", "(10197)")),
    *(Row(f"market data is not subscribed: {code}", on("reqMktData", Refuse(code), "VTI", times=ALWAYS), 23,
          ("VTI", f"({code})")) for code in (354, 10168, 10186)),
    *(Row(f"the broker sends no data of a holding without a target: {code}", on("reqMktData", Refuse(code), "OLD",
          times=ALWAYS), 23, ("no usable price for OLD", f"({code})", "hold_symbols = OLD"), case=left_over(),
          also=(nothing_was_sent,)) for code in (354, 10168, 200)),
    *(Row(f"the broker sends no data and no mark of one in hold_symbols: {code}", all_of(on("reqMktData", Refuse(code),
          "OLD", times=ALWAYS), unmarked("OLD")), case=left_over(hold_symbols="OLD"), warns=(
          f"({code})", "have no price anywhere and count as 0")) for code in (354, 10168, 200)),
    Row("the broker sends no data of a holding that stays at its mark", on("reqMktData", Refuse(354), "OLD",
        times=ALWAYS), case=left_over(untargeted="hold"), warns=("no market data of OLD", "(354)")),
    Row("the broker sends no data of USD.CAD, and the dollars suffice", on("reqMktData", Refuse(354), "USD.CAD",
        times=ALWAYS), case=ENOUGH_DOLLARS, warns=("no market data of USD.CAD", "(354)")),
    Row("the broker sends no data of USD.CAD, and dollars are short", on("reqMktData", Refuse(354), "USD.CAD",
        times=ALWAYS), 23, ("USD.CAD", "(354)", "must be converted", "subscribe to the data"),
        also=(nothing_was_sent,)),
    Row("nothing is subscribed", on("reqMktData", Refuse(10089), times=ALWAYS), 23, ("AGG, BND, IJR, VTI", "(10089)",
        "subscribe to the data", "market_data_type = delayed"), also=(nothing_was_sent,)),
    Row("delayed data is shown instead", on("marketDataType", ErrorBefore(10167), times=ALWAYS), case=DELAYED,
        warns=("not live but delayed",)),
    Row("no price comes of one symbol", all_of(on("tickPrice", Omit(), "VTI", times=ALWAYS),
        on("tickSize", Omit(), "VTI", times=ALWAYS)), 23, ("VTI",)),
    Row("a market-data farm is lost for good", all_of(when("reqMktData", sends(2103)), on("tickPrice", Omit(),
        times=ALWAYS)), 23, ("VTI",)),
    Row("the farm of currencies is lost, and its last image of USD.CAD is shown", all_of(
        when("reqAccountUpdates", broken("cashfarm")), on("accountDownloadEnd", Delay(15)), on("tickSize", Omit(),
        "USD.CAD", times=ALWAYS), on("tickString", Omit(), "USD.CAD", times=ALWAYS)), 23, ("USD.CAD", "stale"),
        also=(nothing_was_sent,)),
    Row("a farm is lost that serves nothing of ours, and of VTI only the last image is shown", all_of(
        when("reqAccountUpdates", broken("usbond")), on("accountDownloadEnd", Delay(15)), on("tickSize", Omit(), "VTI",
        times=ALWAYS), on("tickString", Omit(), "VTI", times=ALWAYS))),
    Row("bid and ask of delayed data come 4 s late", all_of(on("marketDataType", ErrorBefore(10167), times=ALWAYS),
        on("tickPrice", Delay(4), times=2)), case=DELAYED, warns=("not live but delayed",)),
    Row("a competing session takes the data between two stages", reaching("before_buys",
        lambda scene, _subject: on("reqMktData", Refuse(10197), "BND", times=ALWAYS)(scene)), 23, ("BND", "(10197)"),
        also=(no_buys_were_sent,)),
    Row("a symbol is halted", nothing, 23, ("VTI", "halted"), case=quoting(is_halted=True), also=(nothing_was_sent,)),
    Row("a market is crossed", nothing, 23, ("VTI",),
        case=quoting(values=Values(D("100.02"), D("100.00"), D("100.01"))),
        also=(nothing_was_sent,)),
    Row("a market has one side", nothing, 23, ("VTI", "ask"), case=quoting(values=Values(bid=D("100.00"))),
        also=(nothing_was_sent,)),
    Row("a market is locked", nothing, case=quoting(values=Values(D("100.00"), D("100.00"), D("100.00")))),
    Row("a market-data farm is lost and found", when("reqMktData", sends(2103, 2104, after=1))),
)  # fmt: skip

CONTRACTS = (
    Row("no contract for a target", on("reqContractDetails", Refuse(200), "BND", times=ALWAYS), 22,
        ("BND is unknown", "[symbol_overrides]")),
    Row("two contracts for a target", on("contractDetails", Duplicate(OTHER_CON_ID), "BND", times=ALWAYS), 22,
        ("BND is ambiguous", "[symbol_overrides]")),
    Row("no contract when its quote is asked for", on("reqMktData", Refuse(200), "BND", times=ALWAYS), 22, ("BND",)),
    Row("a contract request is refused once with a warning", on("reqContractDetails", Refuse(321), "BND"),
        warns=RETRIED),
    Row("a contract request is always refused with a warning",
        on("reqContractDetails", Refuse(321), "BND", times=ALWAYS), 20, ("321", *GIVEN_UP)),
)  # fmt: skip

PACING = (
    *(Row(f"too many messages, the gateway reports once on {name}", on(name, Refuse(100)), warns=RETRIED)
      for name in ("reqAccountUpdates", "reqContractDetails", "reqMktData")),
    *(Row(f"too many messages, the gateway always reports on {name}", on(name, Refuse(100), times=ALWAYS), 21, GIVEN_UP)
      for name in ("reqAccountUpdates", "reqContractDetails", "reqMktData")),
    Row("too many market-data lines, the gateway reports once", on("reqMktData", Refuse(101)), warns=RETRIED),
)  # fmt: skip

ACCOUNT = (
    Row("the account never shows the money that orders have brought", on("updateAccountValue", Stuck("CashBalance"),
        times=ALWAYS), 28, ("less than the fills on record make",), also=(no_buys_were_sent,),
        spared=(fault_judges.the_account_after_is_the_exchanges,)),
    Row("a holding arrives late", on("updatePortfolio", Delay(30), "VTI")),
    Row("a holding never arrives among the values", on("updatePortfolio", Omit(), "VTI", times=ALWAYS), 20,
        ("VTI", *GIVEN_UP)),
    Row("a holding never arrives among the positions", on("position", Omit(), "VTI", times=ALWAYS), 20,
        ("VTI", *GIVEN_UP)),
    *(Row(f"{name} comes twice, always", on(name, Duplicate(), times=ALWAYS)) for name in (*MARKERS, *ANSWERS[2:4])),
    Row("Read-Only API is ticked", on("reqAllOpenOrders", Refuse(321, READ_ONLY), times=ALWAYS), 30,
        ("Read-Only", "untick"), also=(nothing_was_sent,)),
    Row("the gateway manages another account", on("managedAccounts", ChangeFields({2: "DU7654321"}), times=ALWAYS), 30,
        ("not managed",)),
)  # fmt: skip


@pytest.mark.parametrize("row", cases(END_MARKERS, CONNECTION, MARKET, CONTRACTS, PACING, ACCOUNT))
async def test_while_reading(row, tmp_path):
    await play(row, tmp_path)
