"""Types of the trade: identifiers that may not be mixed up, and every choice between named values."""

from __future__ import annotations

import re
from enum import StrEnum, auto
from typing import NewType

Symbol = NewType("Symbol", str)
Currency = NewType("Currency", str)
ModelName = NewType("ModelName", str)
AccountId = NewType("AccountId", str)
RunId = NewType("RunId", str)
OrderRef = NewType("OrderRef", str)

USD = Currency("USD")
CAD = Currency("CAD")
USD_CAD = Symbol("USD.CAD")
CASH = Symbol("CASH")

SYMBOL_RULE = "1-12 characters of A-Z 0-9 . - and space, the first a letter or digit"
# what IBKR uses for US shares and funds (BRK B), and nothing that a spreadsheet or a shell would run
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9 .-]{0,11}")

MODEL_RULE = "letters A-Z, digits, - and _"
_MODEL = re.compile(r"[A-Z0-9_-]+")


def is_model_name(text: str) -> bool:
    """Whether an upper-case text may name a model.

    >>> is_model_name("60-40_GLTR"), is_model_name("60/40")
    (True, False)
    """
    return _MODEL.fullmatch(text) is not None


def is_symbol(text: str) -> bool:
    """Whether an upper-case text may be a symbol: no formula, path piece, control or look-alike character.

    >>> is_symbol("BRK B"), is_symbol("=CMD()"), is_symbol("..")
    (True, False, False)
    """
    return _SYMBOL.fullmatch(text) is not None


class Mode(StrEnum):
    """What a run may do: plan from files, plan from the account, trade a paper account, trade real money.

    Only paper and live send orders, once a person has approved them.
    """

    REPORT_ONLY = "report_only"
    DRY_RUN = "dry_run"
    PAPER = "paper"
    LIVE = "live"

    @property
    def sends_orders(self) -> bool:
        return self in (Mode.PAPER, Mode.LIVE)


class BrokerKind(StrEnum):
    """Where the account is: ibkr is a real gateway, simulated our own gateway, fake the same market in memory."""

    IBKR = "ibkr"
    SIMULATED = "simulated"
    FAKE = "fake"


class Side(StrEnum):
    """As the broker writes it. BUY of USD.CAD buys US dollars and pays for them in Canadian dollars."""

    BUY = "BUY"
    SELL = "SELL"


class Stage(StrEnum):
    """Order of trading: currency first, then sells, then buys. The value's first letter stands in order references."""

    FX = "FX"
    SELL = "SELL"
    BUY = "BUY"


class OrderType(StrEnum):
    """Limit or market; nothing else is ever sent."""

    LMT = "LMT"
    MKT = "MKT"


class SecurityType(StrEnum):
    """ETF and STOCK are both STK at the broker; the contract details tell them apart."""

    ETF = "ETF"
    STOCK = "STK"
    CASH = "CASH"
    OTHER = "OTHER"


class MarketDataType(StrEnum):
    """The kinds of quotes that the broker sends; a frozen one is the last before the market closed."""

    LIVE = "live"
    FROZEN = "frozen"
    DELAYED = "delayed"
    DELAYED_FROZEN = "delayed_frozen"


class PriceSource(StrEnum):
    """Where a valuation price came from. BROKER is the broker's own mark, used for outside holdings only."""

    LAST = "last"
    MIDPOINT = "midpoint"
    BIDASK = "bidask"
    SNAPSHOT = "snapshot"
    BROKER = "broker"


class TriggerMode(StrEnum):
    """What makes a rebalance trade: each holding outside its own band, or the sum of all drifts."""

    PER_HOLDING = "per_holding"
    TOTAL_DRIFT = "total_drift"


class TradeDirection(StrEnum):
    """Which trades a rebalance may make."""

    BOTH = "both"
    BUY_ONLY = "buy_only"
    SELL_ONLY = "sell_only"


class Untargeted(StrEnum):
    """What happens to a held USD ETF without a target."""

    SELL = "sell"
    HOLD = "hold"


class LimitStyle(StrEnum):
    """How a limit price is made: by a part of the spread, at a fixed distance from the mid, or at the far touch."""

    SPREAD_AWARE = "spread_aware"
    STATIC_BPS = "static_bps"
    OFF = "off"


class EscalateAction(StrEnum):
    """What a wide spread turns a limit into."""

    CROSS = "cross"
    MARKET = "market"
    KEEP = "keep"


class StaleAction(StrEnum):
    """What a stale quote does; in modes that send no orders REFUSE only warns."""

    REFUSE = "refuse"
    ESCALATE = "escalate"


class ConvertMode(StrEnum):
    """How much CAD is converted to USD: what the buys are short of, or what the cash buffer is short of as well."""

    JUST_IN_TIME = "just_in_time"
    ALWAYS_TOP_UP = "always_top_up"


class ForeignOrders(StrEnum):
    """What orders not placed by this tool do to the run when they work in a symbol of the plan."""

    REFUSE = "refuse"
    IGNORE = "ignore"


class LimitedBy(StrEnum):
    """What kept a line from its wanted size, or from trading at all."""

    BAND = "band"
    MINIMUM = "minimum"
    MONEY = "money"
    LEVERAGE = "leverage"
    HELD = "held"
    DIRECTION = "direction"
    MAXIMUM = "maximum"
    ROUNDING = "rounding"


class OrderState(StrEnum):
    """States of an order in the journal, in the only direction they may go: forward.

    The last seven are final. What each means and what leads from one to another is in `core.journal.transitions`.
    """

    INTENT = auto()
    SENDING = auto()
    SENT = auto()
    WORKING = auto()
    CANCELLING = auto()
    FILLED = auto()
    CANCELLED = auto()
    REJECTED = auto()
    EXPIRED = auto()
    NOT_SENT = auto()
    ABSENT = auto()
    UNKNOWN = auto()

    @property
    def is_acknowledged(self) -> bool:
        """Whether the order is past INTENT, SENDING and SENT: the broker has taken it up, or it has ended."""
        return self not in (OrderState.INTENT, OrderState.SENDING, OrderState.SENT)

    @property
    def is_final(self) -> bool:
        return self.is_acknowledged and self not in (OrderState.WORKING, OrderState.CANCELLING)

    @property
    def label(self) -> str:
        """As reports and result.json write it: `Filled`, `NotSent`."""
        return "".join(word.capitalize() for word in self.name.split("_"))


class RejectReason(StrEnum):
    """Why the broker ended an order: what its error code means, so that only the adapter needs to know codes."""

    REJECTED = "rejected"
    MARGIN = "margin"
    FRACTION = "fraction"
    CONTRACT = "contract"
    PACING = "pacing"
    CLOSED = "closed"
