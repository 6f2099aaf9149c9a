"""The errors of a broker, in the same text whichever broker meets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from core.broker.error_codes import NO_CONTRACT, NO_MARKET_DATA
from core.errors import (
    BrokerError,
    ConnectionClosed,
    ConnectionLost,
    ConnectionRefused,
    ContractNotFound,
    FractionRefused,
    FundsInsufficient,
    MarketClosed,
    NoAnswer,
    OrderRejected,
    PacingExceeded,
    SafetyRefused,
)
from core.model import FUNDING, USD, Contract, Order, Quote, QuoteRefusal, RejectReason, SecurityType, Symbol
from core.pacing import GATEWAY_LIMIT

CHECK_LOG_IN = "check the gateway and its login, then start the run again"
REFUSED = "the gateway refused the connection"
LOOK_UP = "look the symbol up in TWS (of a target, conId or exchange may be named in [symbol_overrides])"
SUBSCRIBE = (
    "subscribe to the data for the API, log out other sessions, or use delayed data with [ibkr] "
    "market_data_type = delayed"
)
NOT_CONNECTED = "there is no connection to the broker"
BROKE_WHILE_SENDING = "the connection broke while an order was being sent; it may have arrived"
NOT_FOUND_TO_CANCEL = "the order that needs to be cancelled is not found"
ERRORS: Mapping[RejectReason, type[BrokerError]] = {
    RejectReason.REJECTED: OrderRejected,
    RejectReason.MARGIN: FundsInsufficient,
    RejectReason.FRACTION: FractionRefused,
    RejectReason.CONTRACT: ContractNotFound,
    RejectReason.CLOSED: MarketClosed,
}


def broke_while_sending(why: str = "") -> str:
    """The text where the connection broke while an order was being sent; `why` is the cause, where it is known."""
    return f"{BROKE_WHILE_SENDING}: {why}" if why else BROKE_WHILE_SENDING


def broke_while_reading(what: str, why: str = "") -> str:
    """The text where the connection broke, for this cause, before `what` (the snapshot, the quotes) was complete."""
    return f"the connection broke while reading the {what}" + (f": {why}" if why else "")


def unknown_symbol(symbol: Symbol) -> str:
    """The text where the broker does not know the symbol, with IBKR's notation for one of a class of shares."""
    # IBKR puts a blank between symbol and class: BRK B
    by_class = symbol.replace(".", " ").replace("-", " ")
    return f"{symbol} is unknown" + (f" (IBKR writes {by_class})" if by_class != symbol else "")


def other_name(contract: Contract, symbol: Symbol) -> str:
    """The text where the broker has another name for the contract, which its fills would carry; empty where not."""
    return "" if contract.symbol == symbol else f"{symbol} is {contract.symbol} at the broker"


def not_tradable(contract: Contract) -> str:
    """Why the contract may not be traded here; empty for an ETF in USD and for USD.CAD."""
    is_etf = contract.security_type is SecurityType.ETF and contract.currency == USD
    if is_etf or contract.symbol == FUNDING.symbol:
        return ""
    return f"{contract.symbol} is not an ETF in USD ({contract.security_type}, {contract.currency})"


def not_listed_in_us(symbol: Symbol, where: str) -> str:
    return f"{symbol} is not an ETF listed in the US ({where})"


def lost(message: str, *, next_step: str = CHECK_LOG_IN) -> ConnectionLost:
    return ConnectionLost(message, next_step=next_step)


def refused_at(host: str, port: int) -> ConnectionRefused:
    """Nothing listens at the address of the gateway."""
    return ConnectionRefused(
        f"{host}:{port} refused the connection",
        next_step=f"log in to TWS or IB Gateway on that computer; there, under Configure > API > Settings, tick "
        f"Enable ActiveX and Socket Clients and compare Socket port with [ibkr] port = {port}",
    )


def closed_at(host: str, port: int) -> ConnectionClosed:
    """The gateway accepted the connection and closed it without sending anything."""
    return ConnectionClosed(
        f"the gateway at {host}:{port} closed the connection before it was ready",
        next_step="in TWS or IB Gateway, under Configure > API > Settings, add this computer to Trusted IPs; "
        "then start the run again",
    )


def unreachable(host: str, port: int, why: str) -> ConnectionLost:
    """The address cannot be resolved, or there is no route to it."""
    return ConnectionLost(
        f"{host}:{port} cannot be reached: {why}",
        next_step="correct [ibkr] host, or check the network connection",
    )


def not_ready(where: str, what: str) -> ConnectionLost:
    """The gateway accepted the connection, and then `what` did not arrive in time."""
    return ConnectionLost(
        f"the gateway at {where} accepted the connection {what}",
        next_step="finish its login, and accept the connection if TWS asks; then start the run again. "
        "Or another program listens there: compare [ibkr] port",
    )


def is_read_only(text: str) -> bool:
    """Whether the gateway refuses because Read-Only API is ticked there."""
    # code 321 covers every request that is not valid: only the text distinguishes this case
    return "read-only mode" in text.lower()


def api_is_read_only(what: str) -> SafetyRefused:
    """Read-Only API is ticked at the gateway, so it refuses `what`."""
    return SafetyRefused(
        f"the gateway refuses {what}: its API is in Read-Only mode",
        next_step="to trade, untick Read-Only API in TWS or IB Gateway under Configure > API > Settings; "
        "--dry-run and `rebalance plan` work without it",
    )


def too_fast() -> PacingExceeded:
    return PacingExceeded(
        f"more than {GATEWAY_LIMIT} messages in a second: the broker refused them",
        next_step="lower [ibkr] max_messages_per_second, or wait a minute",
    )


def unknown(faults: Sequence[str]) -> ContractNotFound:
    return ContractNotFound(
        f"the broker finds no contract: {'; '.join(faults)}",
        next_step="check the symbol, or name its conId or exchange in [symbol_overrides]",
        faults=faults,
    )


def refused_quote(symbol: Symbol, code: int, text: str, at: datetime) -> Quote:
    """The empty quote of a symbol whose market data the broker refuses; `code` and `text` are the broker's."""
    is_unknown = code == NO_CONTRACT
    step = SUBSCRIBE if code in NO_MARKET_DATA else "read the broker's reason"
    refusal = QuoteRefusal(f"{text} ({code})", LOOK_UP if is_unknown else step, is_unknown)
    return Quote(symbol, bid=None, ask=None, last=None, taken_at=at, refusal=refusal)


def unanswered(order: Order, seconds: float) -> NoAnswer:
    """A what-if that the broker did not answer in time."""
    return NoAnswer(
        f"the broker did not answer within {seconds:g} s whether it would accept {order.side} {order.quantity:f} "
        f"{order.contract.symbol}",
        next_step="answer the dialog if TWS shows one, then run again",
    )


def would_refuse(order: Order, code: int, text: str, reason: RejectReason) -> BrokerError:
    """The error for a what-if order that the broker would refuse; `code` and `text` are the broker's."""
    if reason is RejectReason.PACING:
        return too_fast()
    return ERRORS[reason](
        f"the broker would reject {order.side} {order.quantity:f} {order.contract.symbol}: {text} ({code})",
        next_step="read the broker's reason, change the settings or the account, then run again",
    )
