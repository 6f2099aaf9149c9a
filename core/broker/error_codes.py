"""The codes of the broker's error message, as data: what each means, and what may be concluded from it.

A code alone proves little: the same number may come with an order that works. So an order ends by a code only where
the table says so; any code that is not in the table is ambiguous and ends nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from core.model import RejectReason

TWS_API = "interactivebrokers.github.io/tws-api/message_codes.html"
API_GUIDE = "IBKR API Reference Guide, api_message_codes.htm"
ORDERING = "interactivebrokers.github.io/tws-api/automated_considerations.html"
FORUMS = "reported by users of the API, not on IBKR's pages"


class ErrorKind(Enum):
    """What a code calls for."""

    INFORMATION = auto()  # nothing
    CONNECTIVITY = auto()  # what is in flight is to be reconciled
    RETRY = auto()  # a read may be tried again
    FATAL = auto()  # going on is of no use
    ORDER = auto()  # one order is concerned
    AMBIGUOUS = auto()  # an order may work or not: only the broker's lists show which


class Ends(Enum):
    """Which order a code ends when it comes with the order's id."""

    NONE = auto()
    UNACKNOWLEDGED = auto()  # one that the broker has not acknowledged: it is refused
    ANY = auto()


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One code of the broker; `reject_reason` is why an order that it ends has ended."""

    number: int
    kind: ErrorKind
    meaning: str
    source: str = TWS_API
    ends: Ends = Ends.NONE
    reject_reason: RejectReason | None = None

    def refuses(self, *, is_acknowledged: bool) -> bool:
        """Whether the code ends an order that the broker has, or has not yet, acknowledged."""
        return self.ends is Ends.ANY or (self.ends is Ends.UNACKNOWLEDGED and not is_acknowledged)


def _refusing(
    number: int, meaning: str, reject_reason: RejectReason = RejectReason.REJECTED, *, kind: ErrorKind = ErrorKind.ORDER
) -> ErrorCode:
    return ErrorCode(number, kind, meaning, ends=Ends.UNACKNOWLEDGED, reject_reason=reject_reason)


def _held_by_presets(number: int, what: str) -> ErrorCode:
    """TWS asks a person to confirm the order: it may stay untransmitted, or be transmitted after all."""
    return ErrorCode(number, ErrorKind.AMBIGUOUS, f"the order presets ask a person to confirm: {what}", FORUMS)


_LISTED = (
    _refusing(100, "more than 50 messages in a second", RejectReason.PACING, kind=ErrorKind.AMBIGUOUS),
    ErrorCode(101, ErrorKind.RETRY, "more market data subscriptions than the account's lines allow"),
    ErrorCode(102, ErrorKind.INFORMATION, "duplicate ticker id"),
    ErrorCode(103, ErrorKind.AMBIGUOUS, "duplicate order id: an earlier order may work under it"),
    ErrorCode(104, ErrorKind.AMBIGUOUS, "a filled order cannot be modified"),
    ErrorCode(105, ErrorKind.AMBIGUOUS, "a modification does not match the order"),
    ErrorCode(106, ErrorKind.AMBIGUOUS, "the order cannot be transmitted"),
    ErrorCode(107, ErrorKind.AMBIGUOUS, "an incomplete order cannot be transmitted"),
    _refusing(109, "the price is outside the limits of the order presets"),
    _refusing(110, "the price is not on the contract's tick"),
    _refusing(111, "time in force and order type do not go together"),
    _refusing(113, "the time in force must be DAY for this order"),
    ErrorCode(135, ErrorKind.AMBIGUOUS, "no order has this id"),
    ErrorCode(161, ErrorKind.AMBIGUOUS, "the order is in no state to be cancelled: it may have filled"),
    ErrorCode(162, ErrorKind.RETRY, "historical data service"),
    _held_by_presets(163, "the price is too far from the market"),
    ErrorCode(165, ErrorKind.RETRY, "historical data service"),
    _refusing(200, "no contract, or several, for the request", RejectReason.CONTRACT),
    ErrorCode(201, ErrorKind.ORDER, "the order is rejected", ends=Ends.ANY, reject_reason=RejectReason.REJECTED),
    ErrorCode(202, ErrorKind.ORDER, "the order is cancelled; its status is the confirmation", ORDERING),
    _refusing(203, "the security may not be traded by this account"),
    ErrorCode(300, ErrorKind.INFORMATION, "unknown ticker id"),
    *(ErrorCode(number, ErrorKind.INFORMATION, "market depth") for number in range(309, 318)),
    _refusing(320, "the server could not read the request", kind=ErrorKind.AMBIGUOUS),
    _refusing(321, "the request is not valid, or the gateway is read-only", kind=ErrorKind.AMBIGUOUS),
    ErrorCode(322, ErrorKind.RETRY, "too many account summaries at once"),
    ErrorCode(326, ErrorKind.FATAL, "the client id is in use: another run may be alive"),
    ErrorCode(329, ErrorKind.AMBIGUOUS, "the order cannot be modified"),
    ErrorCode(
        354, ErrorKind.FATAL, "market data is not subscribed; TWS holds an order rather than trade without a quote"
    ),
    ErrorCode(366, ErrorKind.RETRY, "no such historical data request"),
    _held_by_presets(382, "the size is above the limit"),
    _held_by_presets(383, "the size is above the limit"),
    ErrorCode(399, ErrorKind.INFORMATION, "a message about an order that works, or waits for the open"),
    ErrorCode(404, ErrorKind.ORDER, "shares are being located for a short sale; the order is held"),
    ErrorCode(420, ErrorKind.RETRY, "market data request refused for now"),
    _refusing(434, "the order size is zero"),
    _held_by_presets(451, "the total value is above the limit"),
    _refusing(460, "no permission to trade this"),
    ErrorCode(463, ErrorKind.AMBIGUOUS, "a price must be entered for the order", API_GUIDE),
    ErrorCode(492, ErrorKind.INFORMATION, "market scanner", API_GUIDE),
    *(ErrorCode(number, ErrorKind.CONNECTIVITY, "no connection to the gateway") for number in (501, 502, 504, 507)),
    ErrorCode(503, ErrorKind.FATAL, "the gateway is too old"),
    ErrorCode(512, ErrorKind.AMBIGUOUS, "the order could not be sent"),
    ErrorCode(1100, ErrorKind.CONNECTIVITY, "the gateway lost its connection to IBKR"),
    ErrorCode(
        1101, ErrorKind.CONNECTIVITY, "the gateway is connected to IBKR again, market data must be requested anew"
    ),
    ErrorCode(1102, ErrorKind.CONNECTIVITY, "the gateway is connected to IBKR again"),
    ErrorCode(1300, ErrorKind.CONNECTIVITY, "the gateway now listens on another port"),
    ErrorCode(2103, ErrorKind.CONNECTIVITY, "a market-data farm is disconnected: quotes stand still"),
    ErrorCode(2104, ErrorKind.INFORMATION, "a market-data farm is connected"),
    ErrorCode(2105, ErrorKind.CONNECTIVITY, "a historical-data farm is disconnected"),
    ErrorCode(2106, ErrorKind.INFORMATION, "a historical-data farm is connected"),
    ErrorCode(2107, ErrorKind.INFORMATION, "a historical-data farm is inactive until it is needed"),
    ErrorCode(2108, ErrorKind.INFORMATION, "a market-data farm is inactive until it is needed"),
    ErrorCode(2109, ErrorKind.INFORMATION, "outsideRth is ignored; the order works"),
    ErrorCode(2110, ErrorKind.CONNECTIVITY, "the gateway lost its connection to IBKR and will restore it by itself"),
    ErrorCode(2119, ErrorKind.INFORMATION, "a market-data farm is connecting"),
    ErrorCode(2148, ErrorKind.FATAL, "margin deficiency: IBKR may liquidate", FORUMS),
    ErrorCode(2157, ErrorKind.CONNECTIVITY, "a security-definition farm is disconnected"),
    ErrorCode(2158, ErrorKind.INFORMATION, "a security-definition farm is connected"),
    ErrorCode(10089, ErrorKind.FATAL, "market data needs a subscription for the API"),
    ErrorCode(10090, ErrorKind.FATAL, "part of the market data is not subscribed"),
    ErrorCode(10091, ErrorKind.FATAL, "part of the market data needs a subscription for the API"),
    ErrorCode(10147, ErrorKind.AMBIGUOUS, "the order to be cancelled is not found", API_GUIDE),
    ErrorCode(10148, ErrorKind.AMBIGUOUS, "the order to be cancelled has ended: it may have filled", API_GUIDE),
    ErrorCode(10167, ErrorKind.INFORMATION, "delayed data is shown instead", API_GUIDE),
    ErrorCode(10168, ErrorKind.FATAL, "market data is not subscribed, delayed data was not requested", API_GUIDE),
    ErrorCode(10186, ErrorKind.FATAL, "market data is not subscribed, delayed data is not available", API_GUIDE),
    ErrorCode(10197, ErrorKind.FATAL, "a competing session of this user receives the market data", API_GUIDE),
    ErrorCode(10052, ErrorKind.AMBIGUOUS, "the time in force is not valid", FORUMS),
    ErrorCode(
        10243,
        ErrorKind.ORDER,
        "fractions of a share are not accepted",
        FORUMS,
        Ends.UNACKNOWLEDGED,
        RejectReason.FRACTION,
    ),
    _held_by_presets(10311, "the order is routed directly"),
    _held_by_presets(10329, "the order is routed directly"),
    ErrorCode(10349, ErrorKind.INFORMATION, "the presets set the time in force; the order works", FORUMS),
)

CODES: Mapping[int, ErrorCode] = {code.number: code for code in _LISTED}

CANCELLED = 202
NO_CONTRACT = 200
CLIENT_ID_IN_USE = 326
TOO_FAST = 100
TOO_MANY_LINES = 101
NOT_READABLE = 320
NOT_VALID = 321
REJECTED = 201
MARGIN_DEFICIENCY = 2148
CONNECTIVITY_LOST = frozenset({1100, 2110})
MARKET_DATA_FARM_BROKEN = 2103
FARMS_CONNECTED = frozenset({2104, 2106, 2107, 2108, 2158})
FARMS_BROKEN = frozenset({2103, 2105, 2157})
PORT_MOVED = 1300
CONNECTIVITY_RESTORED = frozenset({1101, 1102})
NOT_FOUND = 10147
NOT_CANCELLABLE = 10148
NOTHING_TO_CANCEL = frozenset({161, NOT_CANCELLABLE})
# with one of these (order precautions) TWS may hold an order: it is neither transmitted nor reported as ended
HOLDS_ORDER = frozenset({163, 354, 382, 383, 451, 10052, 10311, 10329})
NO_MARKET_DATA = frozenset({354, 10089, 10090, 10091, 10168, 10186, 10197})
WARNINGS = range(2100, 2200)

# code 201 covers every rejection: only its text shows that margin or cash is short
_MONEY = re.compile(
    r"margin|insufficient|sufficient|available funds|settled cash|cash available"
    r"|equity with loan|buying power|are needed",
    re.IGNORECASE,
)
_CLOSED = re.compile(r"exchange is closed", re.IGNORECASE)


def meaning_of(number: int) -> ErrorCode:
    """The entry of the table; else a warning for 2100 to 2199, and ambiguous for everything else.

    >>> meaning_of(4711).kind.name, meaning_of(4711).refuses(is_acknowledged=False)
    ('AMBIGUOUS', False)
    """
    kind = ErrorKind.INFORMATION if number in WARNINGS else ErrorKind.AMBIGUOUS
    return CODES.get(number) or ErrorCode(number, kind, "not in the table", "")


def hold_reason(number: int | None) -> RejectReason | None:
    """Why the gateway holds the order that this code came with; None for a code that holds none."""
    return RejectReason.REJECTED if number in HOLDS_ORDER else None


def reject_reason_of(number: int, text: str) -> RejectReason:
    """Why the broker ended an order with this code; the text of a 201 decides between money, closed and other."""
    if number == REJECTED and _CLOSED.search(text):
        return RejectReason.CLOSED
    if number == REJECTED and _MONEY.search(text):
        return RejectReason.MARGIN
    return meaning_of(number).reject_reason or RejectReason.REJECTED
