"""The account on the wire: its values, what it holds, its profit and loss."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.money import ZERO
from core.sim.wire.contracts import ContractFields
from core.sim.wire.fields import Fields, number, number_or_unset, time_of_day


@dataclass(frozen=True, slots=True)
class ValueFields:
    """One figure of an account; `value` is text, and `currency` empty where there is none."""

    tag: str
    value: str
    currency: str = ""


@dataclass(frozen=True, slots=True)
class HoldingFields:
    """What an account holds of a contract, in the contract's currency; None is sent as unset."""

    account: str
    contract: ContractFields
    quantity: Decimal
    average_cost: Decimal | None
    market_price: Decimal | None = ZERO
    market_value: Decimal | None = ZERO
    unrealized: Decimal = ZERO
    realized: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class ProfitFields:
    """Profit and loss; None is what the broker does not know."""

    daily: Decimal | None
    unrealized: Decimal | None
    realized: Decimal | None


def account_value(account: str, value: ValueFields) -> Fields:
    """A figure of the account (6)."""
    return "6", "2", value.tag, value.value, value.currency, account


def portfolio(holding: HoldingFields) -> Fields:
    """A holding with its mark (7); it names no exchange but the listing one."""
    contract = holding.contract
    # a figure that is not known, as after the nightly reset, is sent as the unset float
    figures = (
        *(holding.market_price, holding.market_value, holding.average_cost),
        *(holding.unrealized, holding.realized),
    )
    return (
        *("7", "8", str(contract.con_id), contract.symbol, contract.security_type, contract.expiry),
        *(number(contract.strike), contract.right, contract.multiplier, contract.listed_at, contract.currency),
        *(contract.local_symbol, contract.trading_class, number(holding.quantity)),
        *(*(number_or_unset(figure) for figure in figures), holding.account),
    )


def account_time(at: datetime) -> Fields:
    """How recent the account's figures are (8)."""
    return "8", "1", time_of_day(at)


def account_download_end(account: str) -> Fields:
    """The end of the account's figures and holdings (54)."""
    return "54", "1", account


def account_update_multi(req_id: int, account: str, value: ValueFields) -> Fields:
    """A figure of the account (73), for a request by number."""
    return "73", "1", str(req_id), account, "", value.tag, value.value, value.currency


def account_update_multi_end(req_id: int) -> Fields:
    """The end of the figures (74)."""
    return "74", "1", str(req_id)


def account_summary(req_id: int, account: str, value: ValueFields) -> Fields:
    """A figure of the summary (63)."""
    return "63", "1", str(req_id), account, value.tag, value.value, value.currency


def account_summary_end(req_id: int) -> Fields:
    """The end of the summary (64)."""
    return "64", "1", str(req_id)


def position(holding: HoldingFields) -> Fields:
    """A holding without its mark (61), at the exchange where it is listed."""
    contract = holding.contract
    return (
        *("61", "3", holding.account, str(contract.con_id), contract.symbol, contract.security_type),
        *(contract.expiry, number(contract.strike), contract.right, contract.multiplier, contract.listed_at),
        *(contract.currency, contract.local_symbol, contract.trading_class),
        *(number(holding.quantity), number_or_unset(holding.average_cost)),
    )


def position_end() -> Fields:
    """The end of the holdings (62)."""
    return "62", "1"


def pnl(req_id: int, profit: ProfitFields) -> Fields:
    """Profit and loss of the account (94)."""
    return ("94", str(req_id), *_profit(profit))


def pnl_single(req_id: int, quantity: Decimal, profit: ProfitFields, value: Decimal) -> Fields:
    """Profit and loss of one holding (95)."""
    return ("95", str(req_id), number(quantity), *_profit(profit), number(value))


def _profit(profit: ProfitFields) -> Fields:
    return number_or_unset(profit.daily), number_or_unset(profit.unrealized), number_or_unset(profit.realized)
