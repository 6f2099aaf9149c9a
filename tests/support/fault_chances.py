"""What may go wrong at a gateway, drawn by chance."""

from __future__ import annotations

from collections.abc import Callable

from campaign.chance import Chance
from fault_runs import DropAtByte, Spoil, all_of, on, restart, sends, when

from core.sim.gateway.faults import (
    Action,
    Delay,
    Drop,
    Duplicate,
    ErrorAfter,
    ErrorBefore,
    HalfOpen,
    Hold,
    Omit,
    Refuse,
)

ORDER_EVENTS = ("openOrder", "orderStatus", "execDetails", "commissionReport")
ENDS = (
    "managedAccounts",
    "nextValidId",
    "openOrderEnd",
    "positionEnd",
    "accountDownloadEnd",
    "contractDetailsEnd",
    "completedOrdersEnd",
    "execDetailsEnd",
)
ROWS = ("updateAccountValue", "updatePortfolio", "position", "contractDetails", "marketRule", "tickPrice", "tickSize")
ASKED = ("reqAccountUpdates", "reqPositions", "reqAllOpenOrders", "reqCompletedOrders", "reqExecutions", "reqMktData")
ORDERS = ("placeOrder", "placeOrder", "cancelOrder")
ANYTHING = (*ORDER_EVENTS, *ORDER_EVENTS, *ENDS, *ROWS, *ASKED, *ORDERS, "handshake", "startApi", "serverVersion")
WARNINGS = (399, 404, 2109, 10349, 434, 161, 10147, 10148, 103, 201, 202, 321, 4711)
ANSWERS = (100, 103, 110, 200, 201, 203, 321, 4711, 10243)
FARMS = (2103, 2104, 2105, 2106, 2107, 2108, 2119, 2157, 2158)
LONGEST_CONVERSATION = 60_000  # bytes, roughly, that a run receives


def random_spoil(seed: str) -> Spoil:
    """One to five things go wrong, most of them once."""
    chance = Chance(f"gateway of {seed}")
    return all_of(*(chance.one_of(*KINDS)(chance) for _ in range(chance.whole(1, 5))))


def order_events(chance: Chance) -> Spoil:
    """Orders and fills are reported late, twice, in another order, or not at all."""
    name = chance.one_of(*ORDER_EVENTS)
    action: Action = chance.one_of(
        Delay(chance.one_of(0.2, 1, 5, 15, 130)),
        Delay(chance.one_of(0.2, 1, 5)),
        Duplicate(),
        Duplicate(),
        Hold(until=chance.one_of(*ORDER_EVENTS)),
        Omit(),
    )
    return on(name, action, skip=chance.whole(0, 8), times=chance.one_of(1, 1, 2, 5, None))


def reads(chance: Chance) -> Spoil:
    """Answers come late, twice, or not at all."""
    action: Action = chance.one_of(Delay(chance.one_of(0.5, 5, 19, 21, 45)), Omit(), Duplicate())
    return on(chance.one_of(*ENDS, *ROWS), action, skip=chance.whole(0, 30), times=chance.one_of(1, 1, 2, 4))


def refused_reads(chance: Chance) -> Spoil:
    code = chance.one_of(100, 100, 321, 322, 101, 4711)
    return on(chance.one_of(*ASKED), Refuse(code), skip=chance.whole(0, 20), times=chance.one_of(1, 2, 4))


def drops(chance: Chance) -> Spoil:
    action: Action = chance.one_of(Drop(), Drop(), Drop(at=None), Drop(at=chance.whole(1, 40)), HalfOpen())
    return on(chance.one_of(*ANYTHING), action, skip=chance.whole(0, 12), times=chance.one_of(1, 1, 1, 2, 6))


def drops_at_a_byte(chance: Chance) -> Spoil:
    is_inward = chance.happens(30)
    return DropAtByte(chance.whole(0, LONGEST_CONVERSATION // (8 if is_inward else 1)), is_inward)


def orders(chance: Chance) -> Spoil:
    """An order is lost, late or refused; or reported as refused while it works."""
    if chance.happens(50):
        action: Action = chance.one_of(ErrorAfter(chance.one_of(*WARNINGS)), ErrorBefore(chance.one_of(*WARNINGS)))
        return on(chance.one_of(*ORDER_EVENTS), action, skip=chance.whole(0, 10), times=chance.one_of(1, 2))
    action = chance.one_of(Omit(), Delay(chance.one_of(0.5, 5, 15, 40)), Refuse(chance.one_of(*ANSWERS)))
    return on(chance.one_of(*ORDERS), action, skip=chance.whole(0, 6))


def far_away(chance: Chance) -> Spoil:
    """IBKR or a farm of it goes, and may come back."""
    name, skip = chance.one_of(*ORDER_EVENTS, *ASKED, "placeOrder"), chance.whole(0, 8)
    if chance.happens(30):
        return when(name, sends(*chance.some(FARMS, 3), after=1), skip=skip)
    back = () if chance.happens(15) else (chance.one_of(1101, 1102),)
    seconds = chance.one_of(0.1, 2, 9, 14, 16, 200)
    return when(name, sends(chance.one_of(1100, 1100, 2110), *back, after=seconds), skip=skip)


def restarts(chance: Chance) -> Spoil:
    name = chance.one_of(*ORDER_EVENTS, *ASKED, "placeOrder")
    return when(name, restart(ids_roll_back=chance.happens(60)), skip=chance.whole(0, 10))


KINDS: tuple[Callable[[Chance], Spoil], ...] = (
    *[order_events] * 4,
    *[reads] * 2,
    *[drops] * 3,
    *[orders] * 3,
    refused_reads,
    drops_at_a_byte,
    far_away,
    restarts,
)
