"""Market data: the first messages of a subscription, and ticks."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import IntEnum

from core.model import MarketDataType
from core.sim.wire.fields import Fields, epoch_rounded_up, number

NO_SIDE = Decimal(-1)
DATA_TYPES = {
    MarketDataType.LIVE: 1,
    MarketDataType.FROZEN: 2,
    MarketDataType.DELAYED: 3,
    MarketDataType.DELAYED_FROZEN: 4,
}
BBO_EXCHANGE = "9c0001"


class TickType(IntEnum):
    """Kinds of ticks; a delayed one has another number (`tick_id`)."""

    BID_SIZE = 0
    BID = 1
    ASK = 2
    ASK_SIZE = 3
    LAST = 4
    LAST_SIZE = 5
    HIGH = 6
    LOW = 7
    VOLUME = 8
    CLOSE = 9
    OPEN = 14
    MARK = 37
    LAST_TIMESTAMP = 45
    HALTED = 49


DELAYED_TICKS = {
    TickType.BID: 66,
    TickType.ASK: 67,
    TickType.LAST: 68,
    TickType.BID_SIZE: 69,
    TickType.ASK_SIZE: 70,
    TickType.LAST_SIZE: 71,
    TickType.HIGH: 72,
    TickType.LOW: 73,
    TickType.VOLUME: 74,
    TickType.CLOSE: 75,
    TickType.OPEN: 76,
    TickType.LAST_TIMESTAMP: 88,
}


def tick_id(tick: TickType, data_type: MarketDataType = MarketDataType.LIVE) -> int:
    """The number of a tick; frozen data has the live ones, delayed data its own."""
    is_delayed = data_type in (MarketDataType.DELAYED, MarketDataType.DELAYED_FROZEN)
    return DELAYED_TICKS.get(tick, int(tick)) if is_delayed else int(tick)


def market_data_type(req_id: int, data_type: MarketDataType) -> Fields:
    """How live the following ticks are (58)."""
    return "58", "1", str(req_id), str(DATA_TYPES[data_type])


def tick_req_params(req_id: int, min_tick: Decimal, exchange: str = BBO_EXCHANGE) -> Fields:
    """The price step of the contract (81)."""
    # the last field is snapshotPermissions
    return "81", str(req_id), number(min_tick), exchange, "3"


def tick_price(req_id: int, tick: int, price: Decimal | None, size: Decimal | None = None) -> Fields:
    """A price and its size (1); a side without a quote has the price −1 and the size 0."""
    size_shown = None if price is None else size
    return (
        "1",
        "6",
        str(req_id),
        str(int(tick)),
        number(NO_SIDE if price is None else price),
        number(size_shown or 0),
        "0",  # attributes: none of can auto-execute, past limit, pre-open
    )


def tick_size(req_id: int, tick: int, size: Decimal) -> Fields:
    """A size alone (2)."""
    return "2", "6", str(req_id), str(int(tick)), number(size)


def tick_generic(req_id: int, tick: int, value: Decimal) -> Fields:
    """A plain number (45), such as whether trading is halted."""
    return "45", "6", str(req_id), str(int(tick)), number(value)


def tick_string(req_id: int, tick: int, text: str) -> Fields:
    """A text (46)."""
    return "46", "6", str(req_id), str(int(tick)), text


def tick_timestamp(req_id: int, tick: int, at: datetime) -> Fields:
    """When the last price was (46), in whole seconds, rounded up: a quote is never shown older than it is."""
    return tick_string(req_id, tick, epoch_rounded_up(at))


def tick_snapshot_end(req_id: int) -> Fields:
    """A snapshot is complete (57)."""
    return "57", "1", str(req_id)
