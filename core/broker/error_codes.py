"""Every code that the broker's error message may carry, as data: what it means, and what it lets us conclude.

A code alone proves little: the same number may stand beside an order that works. So an order ends by a code only where
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


class Kind(Enum):
    """What a code asks for."""

    INFORMATION = auto()  # nothing
    CONNECTIVITY = auto()  # what is in flight is to be reconciled
    RETRY = auto()  # a read may be tried again
    FATAL = auto()  # no use in going on
    ORDER = auto()  # one order is concerned
    AMBIGUOUS = auto()  # an order may live or not: the broker's own lists say


class Ends(Enum):
    """Which order a code ends when it comes with the order's id."""

    NONE = auto()
    UNACKNOWLEDGED = auto()  # one that the broker has not called accepted yet: it is refused
    ANY = auto()


@dataclass(frozen=True, slots=True)
class Code:
    """One code of the broker. `failure` is why an order that it ends has ended."""

    number: int
    kind: Kind
    meaning: str
    source: str = TWS_API
    ends: Ends = Ends.NONE
    reject_reason: RejectReason | None = None

    def refuses(self, *, is_acknowledged: bool) -> bool:
        """Whether the code ends an order that the broker has, or has not yet, called accepted."""
        return self.ends is Ends.ANY or (self.ends is Ends.UNACKNOWLEDGED and not is_acknowledged)


def _refusing(
    number: int, meaning: str, reject_reason: RejectReason = RejectReason.REJECTED, *, kind: Kind = Kind.ORDER
) -> Code:
    return Code(number, kind, meaning, ends=Ends.UNACKNOWLEDGED, reject_reason=reject_reason)


def _held_by_presets(number: int, what: str) -> Code:
    """TWS asks a person whether the order is meant: it may be kept untransmitted, or be sent on after all."""
    return Code(number, Kind.AMBIGUOUS, f"by the order presets a person is asked: {what}", FORUMS)


_LISTED = (
    _refusing(100, "more than 50 messages in a second", RejectReason.PACING, kind=Kind.AMBIGUOUS),
    Code(101, Kind.RETRY, "more market-data lines than the account has"),
    Code(102, Kind.INFORMATION, "duplicate ticker id"),
    Code(103, Kind.AMBIGUOUS, "duplicate order id: an earlier order may work under it"),
    Code(104, Kind.AMBIGUOUS, "a filled order cannot be modified"),
    Code(105, Kind.AMBIGUOUS, "a modification does not match the order"),
    Code(106, Kind.AMBIGUOUS, "the order cannot be transmitted"),
    Code(107, Kind.AMBIGUOUS, "an incomplete order cannot be transmitted"),
    _refusing(109, "the price is outside the limits of the order presets"),
    _refusing(110, "the price is not on the contract's tick"),
    _refusing(111, "time in force and order type do not go together"),
    _refusing(113, "the time in force must be DAY for this order"),
    Code(135, Kind.AMBIGUOUS, "no order has this id"),
    Code(161, Kind.AMBIGUOUS, "the order is in no state to be cancelled: it may have filled"),
    Code(162, Kind.RETRY, "historical data service"),
    _held_by_presets(163, "the price is too far from the market"),
    Code(165, Kind.RETRY, "historical data service"),
    _refusing(200, "no contract, or several, for the request", RejectReason.CONTRACT),
    Code(201, Kind.ORDER, "the order is rejected", ends=Ends.ANY, reject_reason=RejectReason.REJECTED),
    Code(202, Kind.ORDER, "the order is cancelled, its status says when", ORDERING),
    _refusing(203, "the security may not be traded by this account"),
    Code(300, Kind.INFORMATION, "unknown ticker id"),
    *(Code(number, Kind.INFORMATION, "market depth") for number in range(309, 318)),
    _refusing(320, "the server could not read the request", kind=Kind.AMBIGUOUS),
    _refusing(321, "the request is not valid, or the gateway is read-only", kind=Kind.AMBIGUOUS),
    Code(322, Kind.RETRY, "too many account summaries at once"),
    Code(326, Kind.FATAL, "the client id is in use: another run may be alive"),
    Code(329, Kind.AMBIGUOUS, "the order cannot be modified"),
    Code(354, Kind.FATAL, "market data is not subscribed; of an order: TWS does not trade blindly, and holds it"),
    Code(366, Kind.RETRY, "no such historical data request"),
    _held_by_presets(382, "the size is above the limit"),
    _held_by_presets(383, "the size is above the limit"),
    Code(399, Kind.INFORMATION, "a message about an order that works, as held until the market opens"),
    Code(404, Kind.ORDER, "shares are being located for a short sale, the order is held"),
    Code(420, Kind.RETRY, "market data request refused for now"),
    _refusing(434, "the order size is zero"),
    _held_by_presets(451, "the total value is above the limit"),
    _refusing(460, "no permission to trade this"),
    Code(463, Kind.AMBIGUOUS, "the market price of the order is to be entered", API_GUIDE),
    Code(492, Kind.INFORMATION, "market scanner", API_GUIDE),
    *(Code(number, Kind.CONNECTIVITY, "no connection to the gateway") for number in (501, 502, 504, 507)),
    Code(503, Kind.FATAL, "the gateway is too old"),
    Code(512, Kind.AMBIGUOUS, "the order could not be sent"),
    Code(1100, Kind.CONNECTIVITY, "the gateway lost IBKR"),
    Code(1101, Kind.CONNECTIVITY, "the gateway found IBKR again, market data is to be asked for anew"),
    Code(1102, Kind.CONNECTIVITY, "the gateway found IBKR again"),
    Code(1300, Kind.CONNECTIVITY, "the gateway moves to another port"),
    Code(2103, Kind.CONNECTIVITY, "a market-data farm is lost: quotes stand still"),
    Code(2104, Kind.INFORMATION, "a market-data farm is connected"),
    Code(2105, Kind.CONNECTIVITY, "a historical-data farm is lost"),
    Code(2106, Kind.INFORMATION, "a historical-data farm is connected"),
    Code(2107, Kind.INFORMATION, "a historical-data farm sleeps"),
    Code(2108, Kind.INFORMATION, "a market-data farm sleeps"),
    Code(2109, Kind.INFORMATION, "outside regular hours is ignored, the order works"),
    Code(2110, Kind.CONNECTIVITY, "the gateway lost IBKR and will find it again by itself"),
    Code(2119, Kind.INFORMATION, "a market-data farm is connecting"),
    Code(2148, Kind.FATAL, "margin deficiency: IBKR may liquidate", FORUMS),
    Code(2157, Kind.CONNECTIVITY, "a security-definition farm is lost"),
    Code(2158, Kind.INFORMATION, "a security-definition farm is connected"),
    Code(10089, Kind.FATAL, "market data needs a subscription for the API"),
    Code(10090, Kind.FATAL, "part of the market data is not subscribed"),
    Code(10091, Kind.FATAL, "part of the market data needs a subscription for the API"),
    Code(10147, Kind.AMBIGUOUS, "the order to be cancelled is not found", API_GUIDE),
    Code(10148, Kind.AMBIGUOUS, "the order to be cancelled has ended: it may have filled", API_GUIDE),
    Code(10167, Kind.INFORMATION, "delayed data is shown instead", API_GUIDE),
    Code(10168, Kind.FATAL, "market data is not subscribed, delayed data is not asked for", API_GUIDE),
    Code(10186, Kind.FATAL, "market data is not subscribed, delayed data is not there", API_GUIDE),
    Code(10197, Kind.FATAL, "another session of this user takes the market data", API_GUIDE),
    Code(10052, Kind.AMBIGUOUS, "the time in force is not valid", FORUMS),
    Code(10243, Kind.ORDER, "fractions of a share are not taken", FORUMS, Ends.UNACKNOWLEDGED, RejectReason.FRACTION),
    _held_by_presets(10311, "the order is routed directly"),
    _held_by_presets(10329, "the order is routed directly"),
    Code(10349, Kind.INFORMATION, "the presets set the time in force, the order works", FORUMS),
)

CODES: Mapping[int, Code] = {code.number: code for code in _LISTED}

CANCELLED = 202
CLIENT_ID_IN_USE = 326
TOO_FAST = 100
TOO_MANY_LINES = 101
NOT_VALID = 321
REJECTED = 201
MARGIN_DEFICIENCY = 2148
LINK_LOST = frozenset({1100, 2110})
FARM_LOST = 2103
FARMS_UP = frozenset({2104, 2106, 2107, 2108, 2158})
FARMS_DOWN = frozenset({2103, 2105, 2157})
PORT_MOVED = 1300
LINK_BACK = frozenset({1101, 1102})
NOTHING_TO_CANCEL = frozenset({161, 10148})
NOT_FOUND = 10147
# TWS may keep an order with one of these without sending it on, and without calling it ended
KEPT_BACK = frozenset({163, 354, 382, 383, 451, 10052, 10311, 10329})
NO_MARKET_DATA = frozenset({354, 10089, 10090, 10091, 10168, 10186, 10197})
WARNINGS = range(2100, 2200)

# the words by which IBKR's margin desk and its cash accounts say no under code 201
_MONEY = re.compile(
    r"margin|insufficient|sufficient|available funds|settled cash|cash available"
    r"|equity with loan|buying power|are needed",
    re.IGNORECASE,
)
_CLOSED = re.compile(r"exchange is closed", re.IGNORECASE)


def meaning_of(number: int) -> Code:
    """What stands in the table; else a warning for 2100 to 2199, and ambiguous for everything else.

    >>> meaning_of(4711).kind.name, meaning_of(4711).refuses(is_acknowledged=False)
    ('AMBIGUOUS', False)
    """
    kind = Kind.INFORMATION if number in WARNINGS else Kind.AMBIGUOUS
    return CODES.get(number) or Code(number, kind, "not in the table", "")


def kept_back(number: int | None) -> RejectReason | None:
    """Why the gateway keeps an order to itself that this code came with; None for a code that stops no order."""
    return RejectReason.REJECTED if number in KEPT_BACK else None


def reject_reason_of(number: int, text: str) -> RejectReason:
    """Why the broker ended an order with this code: 201 is money, a closed exchange or a rejection by its words."""
    if number == REJECTED and _CLOSED.search(text):
        return RejectReason.CLOSED
    if number == REJECTED and _MONEY.search(text):
        return RejectReason.MARGIN
    return meaning_of(number).reject_reason or RejectReason.REJECTED
