"""One case through the real story, on a simulated exchange whose ledger is kept for the judges."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from core.broker.fake import FakeIB, FakeOptions
from core.errors import ApprovalExpired, RebalanceError
from core.journal import Journal, MemoryStore
from core.masking import VISIBLE
from core.model import BrokerKind, Currency, Order, OrderRef, Plan, Quote, RunResult, Symbol
from core.money import ZERO
from core.report import write_reports
from core.scenario import Scenario
from core.settings import Settings
from core.settings.loading import settings_from
from core.sim.venue.exchange import Exchange
from core.sim.venue.orders import Refusal, Report
from core.sim.venue.script import FaultScript
from core.sim.venue.sessions import xnys_hours
from core.sim.venue.world import Change
from deployments.commands.scenario import ScenarioSource
from flows.rebalance import rebalance
from tasks.app.approvers import Answer, Question
from tasks.app.brokers import rehearsal_options
from tasks.app.request import Request
from tasks.app.wiring import AppSession, session

RUNS = int(os.environ.get("REBALANCER_CAMPAIGN_RUNS", "6"))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to one question: yes, no, or none in time; `suffix` replaces the account's own."""

    approve: bool = True
    in_time: bool = True
    suffix: str | None = None


YES = Reply()


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario and how its approver answers, question by question; the last reply is repeated."""

    scenario: Scenario
    replies: tuple[Reply, ...] = (YES,)

    def settings(self, folder: Path) -> Settings:
        return settings_from(self.scenario.settings, folder=folder)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was put, its answer, and how many messages the broker had got by then."""

    question: Question
    reply: Reply
    messages: int

    @property
    def plan(self) -> Plan:
        return self.question.plan

    @property
    def is_yes(self) -> bool:
        return self.reply.approve and self.reply.in_time and self.reply.suffix is None


@dataclass(frozen=True, slots=True)
class Arrival:
    """An order that reached the exchange, and what was there at that moment: other orders at work, the account."""

    order: Order
    at: datetime
    beside: tuple[OrderRef, ...]
    cash: Mapping[Currency, Decimal]
    held: Mapping[Symbol, Decimal]
    prices: Mapping[Symbol, Quote]


class Venue(Exchange):
    """An exchange that notes what it saw when orders arrived, and what other hands did to the account."""

    def __init__(self, scenario: Scenario, client_id: int) -> None:
        super().__init__(scenario.world, xnys_hours(scenario.as_of), trading_client=client_id)
        self.cash_by_hand: dict[Currency, Decimal] = {}
        self.shares_by_hand: dict[Symbol, Decimal] = {}
        self.arrivals: list[Arrival] = []

    def submit(self, order: Order, *, client_id: int, refusal: Refusal | None = None) -> tuple[Report, ...]:
        self.arrivals.append(
            Arrival(
                order,
                self.now,
                tuple(each.order_ref for each in self.working()),
                dict(self.ledger.cash),
                {symbol: position.quantity for symbol, position in self.ledger.positions.items()},
                {symbol: self.quote(symbol) for symbol in self.quotes},
            )
        )
        return super().submit(order, client_id=client_id, refusal=refusal)

    def move(self, change: Change) -> tuple[Report, ...]:
        for currency, amount in change.cash.items():
            moved = amount - self.ledger.cash.get(currency, ZERO)
            self.cash_by_hand[currency] = self.cash_by_hand.get(currency, ZERO) + moved
        for position in change.positions:
            moved = position.quantity - self.ledger.held(position.symbol)
            self.shares_by_hand[position.symbol] = self.shares_by_hand.get(position.symbol, ZERO) + moved
        return super().move(change)


@dataclass(slots=True)
class Approver:
    """Answers by the case's replies, and keeps what it was asked."""

    replies: tuple[Reply, ...]
    messages: Callable[[], int]
    asked: list[Asked] = field(default_factory=list)
    how: str = "script"

    async def ask(self, question: Question) -> Answer:
        reply = self.replies[min(len(self.asked), len(self.replies) - 1)]
        self.asked.append(Asked(question, reply, self.messages()))
        if not reply.in_time:
            raise ApprovalExpired("nobody answered", next_step="run again")
        suffix = reply.suffix or question.plan.account_id[-VISIBLE:]
        return Answer(approve=reply.approve, approver="the campaign", account_suffix=suffix)


@dataclass(slots=True)
class Played:
    """A run that has ended, with what only the world knows.

    `stopped_after` is how many messages the broker had got when the kill switch was engaged.
    """

    case: Case
    folder: Path
    journal: Journal
    asked: list[Asked]
    brokers: list[FakeIB] = field(default_factory=list)
    outcomes: list[RunResult] = field(default_factory=list)
    stopped_after: list[int] = field(default_factory=list)

    @property
    def outcome(self) -> RunResult:
        return self.outcomes[-1]

    @property
    def has_started(self) -> bool:
        """Whether it came as far as having a broker."""
        return bool(self.brokers)

    @property
    def broker(self) -> FakeIB:
        return self.brokers[-1]

    @property
    def venue(self) -> Venue:
        assert isinstance(self.broker.exchange, Venue)
        return self.broker.exchange

    @property
    def settings(self) -> Settings:
        return self.case.settings(self.folder)

    @property
    def messages(self) -> int:
        return len(self.broker.log) if self.has_started else 0

    @property
    def sent(self) -> list[tuple[int, Order]]:
        """Every order that left for the broker, with its place among all messages."""
        if not self.has_started:
            return []
        return [(at, each.what) for at, each in enumerate(self.broker.log) if isinstance(each.what, Order)]

    @property
    def cancels(self) -> list[str]:
        """References of the orders that were asked to be cancelled."""
        logged = [str(each.what) for each in self.broker.log]
        return [text.removeprefix("cancel ") for text in logged if text.startswith("cancel ")]

    def make_broker(self, settings: Settings) -> FakeIB:
        options = rehearsal_options(settings)

        def engage() -> None:
            self.stopped_after.append(self.messages)
            options.on_kill_switch()

        scenario = self.case.scenario
        own: FakeOptions = replace(options, on_kill_switch=engage)
        self.brokers.append(FakeIB(Venue(scenario, own.client_id), FaultScript(scenario.world), own))
        return self.broker

    def ended(self, outcome: RunResult, paths: tuple[Path, ...]) -> None:
        self.outcomes.append(outcome)
        if not paths:  # it failed before it could report by itself
            write_reports(outcome, self.folder)


async def play(case: Case, folder: Path) -> Played:
    """The case from the models to the report, in memory."""
    played = Played(case, folder, Journal(MemoryStore()), [])
    await play_out(played)
    return played


async def play_out(played: Played) -> None:
    """Its case from the models to the report, without a Prefect server, over the broker that it makes."""
    case, scenario = played.case, played.case.scenario
    approver = Approver(case.replies, lambda: played.messages, played.asked)
    own = AppSession(
        approver=approver,
        source=ScenarioSource(scenario, played.folder),
        broker=played.make_broker,
        folder=played.folder,
        name=scenario.name,
        journal=played.journal,
        on_end=played.ended,
    )
    request = Request(
        csv=scenario.path,
        ini=scenario.path,
        mode=scenario.mode,
        broker=BrokerKind.FAKE,
        confirm_live=scenario.confirm_live,
    )
    with session(own), suppress(RebalanceError):  # on_end has got it with the result
        await rebalance.fn(**request.parameters())
