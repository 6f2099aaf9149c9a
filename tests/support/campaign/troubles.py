"""What may go wrong with a random account: at the broker, at the market, with whoever approves, by other hands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from campaign.accounts import random_account
from campaign.chance import Chance
from campaign.playing import Case, Reply
from core.model import CASH, USD, MarketDataType, Mode, OrderRef, Side, Symbol
from core.money import D, floor_to
from core.scenario import Scenario
from core.sim.venue.world import (
    ORDER_POINT,
    Change,
    Fault,
    FaultKind,
    FillScript,
    Point,
    SimOrder,
    SimPosition,
    SimQuote,
    Values,
)

BEFORE_STAGES = (Point.BEFORE_FX, Point.BEFORE_SELLS, Point.BEFORE_BUYS)
READS = (Point.CONNECT, Point.SNAPSHOT, Point.QUOTES)
REJECTIONS = (103, 110, 200, 201, 201, 201, 321, 10243, 100, 163, 354, 383, 451, 10329)
SUNDAY = datetime.fromisoformat("2026-03-01T12:00:00-05:00")
LAST_MINUTE = datetime.fromisoformat("2026-03-02T15:59:00-05:00")
BLACKOUT = datetime.fromisoformat("2026-03-03T00:30:00-05:00")


@dataclass(slots=True)
class Plot:
    """A scenario that is being spoilt, and the replies of its approver."""

    chance: Chance
    scenario: Scenario
    replies: list[Reply] = field(default_factory=lambda: [Reply()])

    @property
    def symbols(self) -> list[Symbol]:
        """What has a market: the ETFs, and the currency pair last."""
        return list(self.scenario.world.quotes)

    @property
    def etfs(self) -> list[Symbol]:
        return self.symbols[:-1]

    def world(self, **changes: object) -> None:
        self.scenario = replace(self.scenario, world=replace(self.scenario.world, **changes))  # type: ignore[arg-type]

    def account(self, **changes: object) -> None:
        self.world(account=replace(self.scenario.world.account, **changes))

    def set(self, section: str, **values: object) -> None:
        settings = dict(self.scenario.settings)
        settings[section] = dict(settings.get(section, {})) | {key: str(value) for key, value in values.items()}
        self.scenario = replace(self.scenario, settings=settings)


def random_trouble(seed: str, most_symbols: int = 25) -> Case:
    """An account with one to four troubles."""
    plot = Plot(Chance(f"troubles of {seed}"), random_account(seed, most_symbols))
    plot.set("rebalance", max_turnover_pct="none", min_order_usd=0, max_order_usd="none")
    _patience(plot)
    for _ in range(plot.chance.whole(1, 4)):
        plot.chance.one_of(*TROUBLES)(plot)
    return Case(plot.scenario, tuple(plot.replies))


def _patience(plot: Plot) -> None:
    chance = plot.chance
    plot.set(
        "execution",
        order_timeout_seconds=chance.one_of(5, 30, 120),
        reprice_attempts=chance.one_of(0, 1, 3),
        shutdown_seconds=chance.one_of(1, 30),
    )
    plot.set("ibkr", read_attempts=chance.one_of(1, 2, 4, 4))
    plot.set("fx", wait_for_fill_seconds=chance.one_of(0, 1, 5))
    plot.set("limits", stale_action=chance.one_of("refuse", "escalate"))
    plot.set("approval", each_stage=chance.happens(15), max_price_move_bps=chance.one_of(0, 50, 50, 500))


def spoilt_quotes(plot: Plot) -> None:
    quotes = dict(plot.scenario.world.quotes)
    for symbol in plot.chance.some(list(quotes), plot.chance.whole(1, 3)):
        quotes[symbol] = _spoilt(quotes[symbol], plot.chance)
    plot.world(quotes=quotes)


def _spoilt(quote: SimQuote, chance: Chance) -> SimQuote:
    bid, ask, last = quote.values.bid, quote.values.ask, quote.values.last
    tick = quote.min_tick or D("0.00005")
    wide = ask and ask + floor_to(ask * chance.number("0.001", "0.03"), tick)
    return chance.one_of(
        replace(quote, values=Values(bid, wide, last)),
        replace(quote, values=Values(bid, wide, last)),
        replace(quote, values=Values(bid, None, last)),
        replace(quote, values=Values(None, ask, None)),
        replace(quote, values=Values(ask, bid, last)),
        replace(quote, values=Values(bid, bid, last)),
        replace(quote, values=Values()),
        replace(quote, values=Values(last=last), snapshot=quote.values),
        replace(quote, age_seconds=D(chance.one_of(5, 11, 3600))),
        replace(quote, is_halted=True),
        replace(quote, data_type=MarketDataType.DELAYED),
    )


def fault(plot: Plot) -> None:
    """Anything at any point, as often as that."""
    at: str = plot.chance.one_of(*READS, *BEFORE_STAGES, *BEFORE_STAGES, Point.APPROVAL)
    kind = plot.chance.one_of(*FaultKind, *[FaultKind.DISCONNECT] * 3, FaultKind.PACING, FaultKind.KILL_SWITCH)
    plot.world(faults=(*plot.scenario.world.faults, Fault(at, kind, plot.chance.one_of(1, 1, 2, 3, 6))))


def fault_at_an_order(plot: Plot) -> None:
    kind = plot.chance.one_of(
        FaultKind.DISCONNECT,
        FaultKind.DISCONNECT,
        FaultKind.DISCONNECT,
        FaultKind.PACING,
        FaultKind.KILL_SWITCH,
        FaultKind.FRACTIONAL_REFUSED,
        FaultKind.STALE,
    )
    faults = [
        Fault(f"{ORDER_POINT}{symbol}", kind, plot.chance.one_of(1, 1, 1, 2, 3, 6))
        for symbol in plot.chance.some(plot.symbols, plot.chance.whole(1, 6))
    ]
    plot.world(faults=(*plot.scenario.world.faults, *faults))


def fills_gone_wrong(plot: Plot) -> None:
    """Rejected, lost, late, partly or badly filled."""
    fills, chance = dict(plot.scenario.world.fills), plot.chance
    for symbol in chance.some(plot.symbols, chance.whole(1, 5)):
        fills[symbol] = chance.one_of(
            FillScript(reject=chance.one_of(*REJECTIONS)),
            FillScript(fill_fraction=chance.number("0", "0.99", 2)),
            FillScript(fill_fraction=chance.number("0.5", "0.99", 2)),
            FillScript(fill_fraction=chance.number("0.5", "0.99", 2), delay_seconds=D(chance.whole(0, 40))),
            FillScript(delay_seconds=D(chance.one_of(3, 29, 31, 119, 120, 121, 9000))),
            FillScript(is_lost=True),
            FillScript(what_if_reject=chance.one_of(*REJECTIONS)),
            FillScript(what_if_unanswered=True),
        )
    plot.world(fills=fills)


def better_prices(plot: Plot) -> None:
    """Fills inside the limits, at prices that no quote shows."""
    fills, world = dict(plot.scenario.world.fills), plot.scenario.world
    plot.set("rebalance", order_type="LMT")
    plot.set("limits", escalate_action=plot.chance.one_of("cross", "keep"))
    for symbol in plot.chance.some(plot.etfs, 5):
        price = (world.quotes[symbol].values.bid or D(10)) * plot.chance.number("0.99", "1.01")
        fills[symbol] = FillScript(price=price.quantize(D("0.0001")))
    plot.world(fills=fills)


def no_script(plot: Plot) -> None:
    """Orders fill at the touch or rest, as in a real market."""
    plot.world(fills={})


def other_hands(plot: Plot) -> None:
    """The account or the market moves while somebody thinks or while we trade."""
    chance, account = plot.chance, plot.scenario.world.account
    at = chance.one_of(Point.APPROVAL, Point.APPROVAL, *BEFORE_STAGES)
    symbol = chance.one_of(*plot.symbols)
    quote = plot.scenario.world.quotes[symbol]
    cash = account.cash.get(USD, D(0))
    change = chance.one_of(
        Change(at, quotes={symbol: _moved(quote, chance.number("0.98", "1.02"))}),
        Change(at, quotes={symbol: _spoilt(quote, chance)}),
        Change(at, cash={USD: cash + chance.whole(-2000, 2000)}),
        Change(at, positions=(_another(plot),)),
    )
    plot.world(changes=(*plot.scenario.world.changes, *([change] * chance.one_of(1, 1, 3))))


def a_market_in_motion(plot: Plot) -> None:
    """Prices and the rate move before each stage, some of them far."""
    chance, changes = plot.chance, []
    for at in (Point.APPROVAL, *BEFORE_STAGES):
        moved = {
            symbol: _moved(plot.scenario.world.quotes[symbol], chance.number("0.9", "1.1"))
            for symbol in chance.some(plot.symbols, chance.whole(0, 4))
        }
        changes.append(Change(at, quotes=moved))
    plot.world(changes=(*plot.scenario.world.changes, *changes[chance.whole(0, 1) :]))


def _moved(quote: SimQuote, factor: Decimal) -> SimQuote:
    tick = quote.min_tick or D("0.00005")
    values = (quote.values.bid, quote.values.ask, quote.values.last)
    return replace(quote, values=Values(*(value and floor_to(value * factor, tick) for value in values)))


def _another(plot: Plot) -> SimPosition:
    symbol = plot.chance.one_of(*plot.etfs)
    return SimPosition(symbol, D(plot.chance.whole(0, 30)), D(50))


def an_approver_with_doubts(plot: Plot) -> None:
    plot.replies = plot.chance.one_of(
        [Reply(approve=False)],
        [Reply(in_time=False)],
        [Reply(suffix="999")],
        [Reply(suffix="999"), Reply()],
        [Reply(suffix="999"), Reply(approve=False)],
        [Reply(), Reply(approve=False)],
        [Reply(), Reply(in_time=False)],
        [Reply(), Reply(), Reply(suffix="x"), Reply(approve=False)],
    )


def another_mode(plot: Plot) -> None:
    chance = plot.chance
    mode = chance.one_of(Mode.DRY_RUN, Mode.DRY_RUN, Mode.REPORT_ONLY, Mode.LIVE, Mode.PAPER)
    plot.scenario = replace(plot.scenario, mode=mode, confirm_live=chance.happens(50))
    if mode is Mode.PAPER:
        plot.set("ibkr", read_only=True)
    if mode is Mode.LIVE:
        plot.set("safety", paper_only=chance.happens(30))


def orders_at_work_already(plot: Plot) -> None:
    """Of an earlier run of ours, or somebody else's, which may be respected or ignored."""
    chance = plot.chance
    held = [each.symbol for each in plot.scenario.world.account.positions] or plot.etfs
    orders = []
    for number in range(1, chance.whole(1, 3) + 1):
        symbol = chance.one_of(*held)
        ref = chance.one_of(OrderRef(f"RB-EARLIERRUN22-B{number}-1"), OrderRef(""), OrderRef("mine"))
        # far below any market: they rest
        orders.append(SimOrder(symbol, Side.BUY, D(9), D(chance.whole(0, 3)), D("1.00"), ref))
    plot.account(open_orders=tuple(orders))
    plot.set("execution", foreign_orders=chance.one_of("refuse", "ignore"))


def a_bad_time(plot: Plot) -> None:
    as_of = plot.chance.one_of(SUNDAY, LAST_MINUTE, LAST_MINUTE + timedelta(seconds=50), BLACKOUT)
    plot.scenario = replace(plot.scenario, as_of=as_of)
    plot.world(as_of=as_of)
    plot.set("rebalance", prefer_rth=plot.chance.happens(50))
    plot.set("fx", prefer_market_hours=plot.chance.happens(50))


def files_that_are_wrong(plot: Plot) -> None:
    targets = dict(plot.scenario.targets or {})
    first = next(symbol for symbol in targets if symbol != CASH)
    match plot.chance.whole(1, 3):
        case 1:
            plot.set("rebalance", max_leverage="0.5")
        case 2:
            plot.scenario = replace(plot.scenario, targets=targets | {first: D(3)})
        case _:
            plot.scenario = replace(plot.scenario, targets=targets | {Symbol("NOSUCH"): D(0)})
            plot.world(listed=frozenset(targets) - {CASH})


def an_account_that_may_not_be_planned_for(plot: Plot) -> None:
    positions = list(plot.scenario.world.account.positions)
    position = plot.chance.one_of(
        SimPosition(plot.etfs[0], D(-5), D(20)),
        SimPosition(plot.etfs[0], D(100_000), D(20)),
        SimPosition(Symbol("WORTHLESS"), D(5), D(20)),
    )
    others = [each for each in positions if each.symbol != position.symbol]
    plot.account(positions=(*others, position))


Trouble = Callable[[Plot], None]

TROUBLES: tuple[Trouble, ...] = (
    *[fault_at_an_order] * 7,
    *[fills_gone_wrong] * 7,
    *[fault] * 4,
    *[other_hands] * 4,
    *[a_market_in_motion] * 3,
    *[spoilt_quotes] * 2,
    *[no_script] * 2,
    *[better_prices] * 2,
    *[an_approver_with_doubts] * 3,
    orders_at_work_already,
    another_mode,
    a_bad_time,
    files_that_are_wrong,
    an_account_that_may_not_be_planned_for,
)
