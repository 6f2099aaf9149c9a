"""What the cases are: where the client is killed, what the gateway does with the order, and what it is like afterwards.

The plan of every case converts 3,000 USD, sells 10 VTI and 10 BIL, and buys 10 BND and 10 AGG. The order that a case is
about is the first of its stage; all others fill at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from itertools import cycle, product

from campaign.chance import Chance
from trading import buy, convert, four_funds, sell
from worlds import account, held

from core.model import USD_CAD, Order, OrderRef, Side, Stage, Symbol
from core.money import D
from core.sim.gateway.faults import Action, Delay, Duplicate, Hold
from core.sim.venue.world import BY_HAND, FillScript, SimOrder, World

ORDERS: Mapping[Stage, tuple[Order, ...]] = {
    Stage.FX: (convert(),),
    Stage.SELL: (sell("VTI", 1), sell("BIL", 2)),
    Stage.BUY: (buy("BND", 1), buy("AGG", 2)),
}
ALL_ORDERS = tuple(order for orders in ORDERS.values() for order in orders)
AT_ONCE = FillScript()
FAR = {Side.BUY: D("50.00"), Side.SELL: D("200.00")}
FAR_RATE = D("1.00000")


class CrashPoint(StrEnum):
    """Where the client is killed; an order that never gets there is killed right before its end is journaled."""

    K0 = "not on record"
    K1 = "INTENT is on record"
    K2 = "SENDING is on record, nothing on the wire"
    K3 = "sent, not acknowledged"
    K4 = "acknowledged"
    K5 = "a part filled"
    K6 = "cancel sent, not confirmed"
    K7 = "filled, the fill not on record"
    K8 = "filled, its commission not on record"
    K9 = "its stage has ended"


IN_FULL = (CrashPoint.K2, CrashPoint.K3, CrashPoint.K4, CrashPoint.K5, CrashPoint.K6, CrashPoint.K7)
BESIDES = (CrashPoint.K0, CrashPoint.K1, CrashPoint.K8, CrashPoint.K9)


class Behaviour(StrEnum):
    """What the gateway does with the order."""

    HOLDS = "holds the order"
    FILLS_ALL = "fills all"
    FILLS_PART = "fills a part"
    REJECTS = "rejects with 201"
    DROPS = "drops the order silently"
    FILLS_LATER = "fills during the downtime"


class Environment(StrEnum):
    """What recovery finds."""

    SAME = "the same gateway"
    RESTARTED = "restarted, order ids rolled back"
    LOST_1101 = "1100, then 1101"
    LOST_1102 = "1100, then 1102"
    NEXT_DAY = "the next day"
    BLIND = "executions are not listed"
    FOREIGN = "a foreign order works in the symbol"
    BLANK = "neither executions nor completed orders are listed"


ENVIRONMENTS = tuple(each for each in Environment if each is not Environment.BLANK)


@dataclass(frozen=True, slots=True)
class AtPoint:
    """Killed at a crash point of one order."""

    point: CrashPoint
    ref: OrderRef


@dataclass(frozen=True, slots=True)
class AtMessage:
    """Killed at the gateway's message of this number, in or out, before it is handled or written."""

    number: int


@dataclass(frozen=True, slots=True)
class AtEntry:
    """Killed at the journal's entry of this number, right before it is written or right after."""

    number: int
    is_written: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `news` is what becomes of the gateway's messages: name, action, how many pass before, how often.

    `group` is the row of the table that it belongs to. The kill switch is set at the gateway's message of number
    `kill_switch_at`, if any, and a first recovery is killed at its message of number `recovery_killed_at`. The
    database's server crashes and starts again right before the entry of number `database_crashes_at` is written.
    """

    name: str
    group: str
    kill: AtPoint | AtMessage | AtEntry
    environment: Environment
    world: World
    fills_later: OrderRef | None = None
    reprice_attempts: int = 0
    news: tuple[tuple[str, Action, int, int], ...] = field(default=())
    kill_switch_at: int | None = None
    database_crashes_at: int | None = None
    recovery_killed_at: int | None = None


def every_case() -> list[Case]:
    """Every crash point around an order at the broker, with every stage, behaviour and environment: 756."""
    return [_case(*axes) for axes in product(IN_FULL, ORDERS, Behaviour, ENVIRONMENTS)]


def other_cases() -> list[Case]:
    """The other crash points with every stage, the last of which is after the last fill; and killed recoveries."""
    fills_all = [_case(*axes) for axes in product(BESIDES, ORDERS, (Behaviour.FILLS_ALL,), ENVIRONMENTS)]
    works = [_case(CrashPoint.K4, *axes) for axes in product(ORDERS, (Behaviour.HOLDS,), ENVIRONMENTS)]
    killed = [
        replace(case, name=f"K11 {case.name} at {number}", group="K11", recovery_killed_at=number)
        for number, case in zip(cycle(range(1, 60)), works * 2, strict=False)
    ]
    # what two lists leave out only the account can tell
    blank = [_case(*axes, Environment.BLANK) for axes in product(IN_FULL, ORDERS, Behaviour)]
    return [*fills_all, *killed, *(replace(case, group="blank") for case in blank)]


def crash_cases() -> list[Case]:
    """The server of the database crashes within a stage, at one entry after the other; for journals on a server."""
    order = ORDERS[Stage.SELL][0]
    worlds = [
        (behaviour, _world({order.contract.symbol: _script(CrashPoint.K9, behaviour)}, order, Environment.SAME))
        for behaviour in (Behaviour.HOLDS, Behaviour.FILLS_PART)
    ]
    return [
        Case(
            name=f"server crashes at {number} {behaviour.name}",
            group="crash",
            kill=AtPoint(CrashPoint.K9, ORDERS[Stage.BUY][0].ref),
            environment=Environment.SAME,
            world=world,
            database_crashes_at=number,
        )
        for number in range(5, 30)
        for behaviour, world in worlds
    ]


def random_cases(count: int) -> list[Case]:
    """Killed at a random moment, with orders and messages that behave at random; the same for the same number."""
    return [_random_case(f"seed-{number}") for number in range(count)]


def sample(cases: Sequence[Case], count: int) -> list[Case]:
    """`count` of the cases, the same ones each time, mixed over all axes; all where there are no more."""
    return Chance("sample").some(cases, count)


def approved_quantities() -> dict[str, Decimal]:
    """The approved quantity by the reference of a line, without its attempt."""
    return {line_of(order.ref): order.quantity for order in ALL_ORDERS}


def line_of(ref: str) -> str:
    """A reference without its attempt."""
    return ref.rpartition("-")[0]


def _case(point: CrashPoint, stage: Stage, behaviour: Behaviour, environment: Environment) -> Case:
    order = ORDERS[stage][0]
    return Case(
        name=f"{point.name} {stage.value} {behaviour.name} {environment.name}",
        group=point.name,
        kill=AtPoint(point, order.ref),
        environment=environment,
        world=_world({order.contract.symbol: _script(point, behaviour)}, order, environment),
        fills_later=order.ref if behaviour is Behaviour.FILLS_LATER else None,
    )


def _script(point: CrashPoint, behaviour: Behaviour) -> FillScript:
    match behaviour:
        case Behaviour.HOLDS:
            return FillScript(fill_fraction=D(0))
        case Behaviour.FILLS_ALL:
            return FillScript(parts=2)
        case Behaviour.FILLS_PART:
            return FillScript(fill_fraction=D("0.5"))
        case Behaviour.REJECTS:
            return FillScript(reject=201)
        case Behaviour.DROPS:
            return FillScript(is_lost=True)
        case Behaviour.FILLS_LATER:
            # the points after a fill need one before the downtime
            is_begun = point in (CrashPoint.K5, CrashPoint.K7)
            return FillScript(fill_fraction=D("0.4") if is_begun else D(0))


def _world(scripts: Mapping[Symbol, FillScript], about: Order, environment: Environment) -> World:
    fills = {order.contract.symbol: AT_ONCE for order in ALL_ORDERS} | dict(scripts)
    foreign = (_foreign(about),) if environment is Environment.FOREIGN else ()
    positions = (held("VTI", "100", "80"), held("BIL", "100", "80"))
    return four_funds(account=account(positions=positions, open_orders=foreign), fills=fills, commission=D(1))


def _foreign(about: Order) -> SimOrder:
    """Somebody else's order in the same symbol, far from the market."""
    symbol, limit = about.contract.symbol, FAR[about.side]
    return SimOrder(symbol, about.side, D(7), D(0), FAR_RATE if symbol == USD_CAD else limit, BY_HAND)


_NEWS = ("openOrder", "orderStatus", "execDetails", "commissionReport")


def _random_case(seed: str) -> Case:
    chance = Chance(f"kill {seed}")
    about = chance.one_of(*ALL_ORDERS)
    environment = chance.one_of(*Environment)
    scripts = {order.contract.symbol: _random_script(chance) for order in ALL_ORDERS if chance.happens(50)}
    number = chance.whole(1, 40)
    is_message = chance.happens(60)
    return Case(
        name=f"{seed} {environment.name}",
        group="random",
        kill=AtMessage(chance.whole(10, 150)) if is_message else AtEntry(number, chance.happens(50)),
        environment=environment,
        world=_world(scripts, about, environment),
        fills_later=about.ref if chance.happens(25) else None,
        reprice_attempts=chance.one_of(0, 1, 2),
        news=tuple(_random_news(chance) for _ in range(chance.whole(0, 3))),
        kill_switch_at=chance.whole(20, 120) if chance.happens(15) else None,
        recovery_killed_at=chance.whole(1, 60) if chance.happens(30) else None,
    )


def _random_script(chance: Chance) -> FillScript:
    return FillScript(
        delay_seconds=D(chance.one_of(0, 0, 2, 45, 200)),
        fill_fraction=D(chance.one_of("0", "0.3", "0.5", "1", "1", "1")),
        parts=chance.one_of(1, 2, 3),
        reject=chance.one_of(None, None, None, None, None, 201),
        is_lost=chance.happens(10),
    )


def _random_news(chance: Chance) -> tuple[str, Action, int, int]:
    action: Action = chance.one_of(
        Delay(chance.one_of(0.2, 1, 5, 15)), Duplicate(), Duplicate(), Hold(until=chance.one_of(*_NEWS))
    )
    return chance.one_of(*_NEWS), action, chance.whole(0, 8), chance.one_of(1, 2, 5)
