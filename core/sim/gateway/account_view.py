"""The account at one moment, in the rows of the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.model import NEW_YORK, AccountId, AccountSnapshot, Currency, Position
from core.money import CENT, ONE, ZERO, floor_to
from core.sim.venue.exchange import Exchange
from core.sim.venue.margin import Situation, reserved_margin
from core.sim.wire.account import HoldingFields, ValueFields
from core.sim.wire.contracts import contract_fields_of
from core.sim.wire.fields import number

BASE = "BASE"
ZERO_AMOUNT = "0.00"
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
# in the base currency, of the account and of its securities; each is sent as 0 where the venue has no figure for it
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
        amount = amounts.get(tag, ZERO_AMOUNT)
        yield ValueFields(tag, amount, currency)
        yield ValueFields(tag + SECURITIES, amount, currency)
    for segment in (PAXOS, ZEROHASH):
        yield from (ValueFields(tag + segment, ZERO_AMOUNT, currency) for tag in OF_CRYPTO)


def ledger_rows(account: str, currency: str) -> Iterator[ValueFields]:
    """The rows of a currency's ledger besides its cash and its rate."""
    yield ValueFields("AccountOrGroup", account, currency)
    yield ValueFields("Currency", currency, currency)
    yield from (ValueFields(tag, ZERO_AMOUNT, currency) for tag in LEDGER)


@dataclass(frozen=True, slots=True)
class AccountView:
    """Totals in the base currency, the ledger by currency, and the holdings, alphabetical."""

    account_id: AccountId
    totals: tuple[ValueFields, ...]
    ledger: tuple[ValueFields, ...]
    holdings: tuple[HoldingFields, ...]


def account_view_of(exchange: Exchange) -> AccountView:
    """The account of the exchange now; amounts are as exact as its snapshot."""
    snapshot = exchange.snapshot()
    return AccountView(
        account_id=snapshot.account_id,
        totals=tuple(_totals(exchange, snapshot)),
        ledger=tuple(_ledger(snapshot)),
        holdings=tuple(_holding(snapshot, position) for position in snapshot.positions),
    )


def _totals(exchange: Exchange, snapshot: AccountSnapshot) -> Iterator[ValueFields]:
    amounts = {tag: number(amount) for tag, amount in _amounts(exchange, snapshot).items()}
    yield from plain_rows(snapshot.account_id)
    yield from amount_rows(amounts, snapshot.base_currency)
    yield ValueFields("SettledCashByDate", f"{_today(snapshot):%Y%m%d}:{ZERO_AMOUNT}", snapshot.base_currency)


def _amounts(exchange: Exchange, snapshot: AccountSnapshot) -> dict[str, Decimal]:
    working = [order for order in exchange.orders.values() if order.is_working]
    pending = reserved_margin(Situation(exchange.world, exchange.ledger, exchange.quotes, working))
    maintenance = snapshot.maintenance_margin.amount
    initial = floor_to(maintenance + pending, CENT)
    equity = snapshot.excess_liquidity.amount + maintenance
    gross = sum((abs(held.market_value or ZERO) * _rate(snapshot, held) for held in snapshot.positions), ZERO)
    return {
        "NetLiquidation": snapshot.net_liq.amount,
        "TotalCashValue": floor_to(_cash(snapshot), CENT),
        "BuyingPower": snapshot.buying_power.amount,
        "ExcessLiquidity": snapshot.excess_liquidity.amount,
        "AvailableFunds": equity - initial,
        "GrossPositionValue": floor_to(gross, CENT),
        "InitMarginReq": initial,
        "MaintMarginReq": maintenance,
        "EquityWithLoanValue": equity,
    }


def _ledger(snapshot: AccountSnapshot) -> Iterator[ValueFields]:
    """Cash and rate of each currency, and of all together as the currency BASE."""
    rows = [(str(currency), amount, snapshot.rates[currency]) for currency, amount in snapshot.cash.items()]
    for currency, amount, rate in [*rows, (BASE, _cash(snapshot), ONE)]:
        yield ValueFields("CashBalance", number(amount), currency)
        yield ValueFields("TotalCashBalance", number(amount), currency)
        yield ValueFields("ExchangeRate", number(rate), currency)
        yield ValueFields("RealCurrency", currency, currency)
        yield ValueFields("NetLiquidationByCurrency", number(_net_value(snapshot, currency)), currency)
        yield from ledger_rows(snapshot.account_id, currency)


def _holding(snapshot: AccountSnapshot, position: Position) -> HoldingFields:
    return HoldingFields(
        account=snapshot.account_id,
        contract=contract_fields_of(position.contract),
        quantity=position.quantity,
        average_cost=position.average_cost,
        market_price=position.market_price,
        market_value=position.market_value,
        unrealized=(position.market_value or ZERO) - position.quantity * (position.average_cost or ZERO),
    )


def _net_value(snapshot: AccountSnapshot, currency: str) -> Decimal:
    """Cash and holdings in this currency, or of all of them in the base currency."""
    if currency == BASE:
        return snapshot.net_liq.amount
    held = (one.market_value or ZERO for one in snapshot.positions if one.contract.currency == currency)
    return sum(held, snapshot.cash.get(Currency(currency), ZERO))


def _today(snapshot: AccountSnapshot) -> datetime:
    return snapshot.taken_at.astimezone(NEW_YORK)


def _cash(snapshot: AccountSnapshot) -> Decimal:
    return sum((amount * snapshot.rates[currency] for currency, amount in snapshot.cash.items()), ZERO)


def _rate(snapshot: AccountSnapshot, position: Position) -> Decimal:
    return snapshot.rates.get(position.contract.currency, ONE)
