"""The rows of an account download that are there at every account and say little: a real one has 150 and more."""

from __future__ import annotations

from collections.abc import Iterator

from core.sim.wire.account import ValueFields

NOTHING = "0.00"
SECURITIES, PAXOS, ZEROHASH = "-S", "-P", "-Z"
SEGMENTS = {SECURITIES: "Securities", PAXOS: "Crypto at Paxos", ZEROHASH: "Crypto at ZeroHash"}
# without a currency: of the account, and of each segment
PLAIN = {
    "AccountType": "INDIVIDUAL",
    "Cushion": "1",
    "DayTradesRemaining": "-1",
    "DayTradesRemainingT+1": "-1",
    "DayTradesRemainingT+2": "-1",
    "DayTradesRemainingT+3": "-1",
    "DayTradesRemainingT+4": "-1",
    "LookAheadNextChange": "0",
    "NLVAndMarginInReview": "false",
    "WhatIfPMEnabled": "true",
}
LEVERAGE, TRADING_TYPE = "Leverage", "TradingType"
# in the base currency, of the account and of its securities; each is told as 0 where the venue has no figure for it
AMOUNTS = (
    *(
        "AccruedCash",
        "AccruedDividend",
        "AvailableFunds",
        "Billable",
        "BuyingPower",
        "ColumnPrio",
        "CryptocurrencyValue",
    ),
    *("EquityWithLoanValue", "ExcessLiquidity", "FullAvailableFunds", "FullExcessLiquidity", "FullInitMarginReq"),
    *("FullMaintMarginReq", "GrossPositionValue", "Guarantee", "IncentiveCoupons", "IndianStockHaircut"),
    *("InitMarginReq", "LookAheadAvailableFunds", "LookAheadExcessLiquidity", "LookAheadInitMarginReq"),
    *("LookAheadMaintMarginReq", "MaintMarginReq", "NetLiquidation", "NetLiquidationUncertainty", "PASharesValue"),
    *("PhysicalCertificateValue", "PostExpirationExcess", "PostExpirationMargin", "PreviousDayEquityWithLoanValue"),
    *("RegTEquity", "RegTMargin", "SMA", "TotalCashValue", "TotalDebitCardPendingCharges"),
)
OF_CRYPTO = ("AvailableFunds", "ExcessLiquidity", "IncentiveCoupons", "NetLiquidation", "TotalCashValue")
# of each currency, and of BASE
LEDGER = (
    *("AccruedCash", "CorporateBondValue", "Cryptocurrency", "FundValue", "FutureOptionValue", "FuturesPNL"),
    *("FxCashBalance", "IssuerOptionValue", "MoneyMarketFundValue", "MutualFundValue", "NetDividend"),
    *("OptionMarketValue", "RealizedPnL", "StockMarketValue", "TBillValue", "TBondValue", "UnrealizedPnL"),
    "WarrantValue",
)


def plain_rows(account: str) -> Iterator[ValueFields]:
    """The rows that no currency belongs to, in the order of their names."""
    yield ValueFields("AccountCode", account)
    yield ValueFields("AccountReady", "true")
    yield from (ValueFields(tag, text) for tag, text in PLAIN.items())
    yield ValueFields(LEVERAGE + SECURITIES, "0.00")
    yield ValueFields(TRADING_TYPE + SECURITIES, "STKNOPT")
    yield from (ValueFields("SegmentTitle" + segment, title) for segment, title in SEGMENTS.items())


def amount_rows(amounts: dict[str, str], currency: str) -> Iterator[ValueFields]:
    """Every amount in the base currency: the venue's own where it has one, of the securities the same again."""
    for tag in dict.fromkeys((*AMOUNTS, *amounts)):
        told = amounts.get(tag, NOTHING)
        yield ValueFields(tag, told, currency)
        yield ValueFields(tag + SECURITIES, told, currency)
    for segment in (PAXOS, ZEROHASH):
        yield from (ValueFields(tag + segment, NOTHING, currency) for tag in OF_CRYPTO)


def ledger_rows(account: str, currency: str) -> Iterator[ValueFields]:
    """What the ledger of a currency says besides its cash and its rate."""
    yield ValueFields("AccountOrGroup", account, currency)
    yield ValueFields("Currency", currency, currency)
    yield from (ValueFields(tag, NOTHING, currency) for tag in LEDGER)
