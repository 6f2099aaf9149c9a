"""One rebalance under way: its inputs and services, and what it has gathered for its report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from core.broker.port import Broker, RehearsalBroker
from core.errors import MarketClosed, OutputFailed, PacingExceeded, RebalanceError, RunCancelled
from core.execution import OrderExecutor
from core.execution.reader import Reader
from core.journal import Journal
from core.journal.store import LockTaken
from core.market.hours import closed_reason
from core.model import (
    AccountSnapshot,
    Approval,
    Contract,
    GateVerdict,
    Mode,
    ModelWeight,
    Order,
    OrderRecord,
    Plan,
    Quote,
    RunEvent,
    RunId,
    RunResult,
    Stage,
    Symbol,
    Valuation,
    WorkingOrder,
)
from core.safety import check_kill_switch
from core.settings import Settings, echo
from tasks.app.approvers import Approver
from tasks.app.progress import log
from tasks.app.sources import Source

if TYPE_CHECKING:
    from expectations.data_docs import CheckedTable
    from tasks.app.codes import ApproverCodes

SHOWN_AT_ONCE = frozenset(
    # what a person waits for; the other kinds of event go to run.log only, at level DEBUG
    {"sending", "message", "fill", "rejected", "cancelled", "expired", "unknown", "timeout", "repriced", "connection"}
)


@dataclass(kw_only=True, eq=False)
class Run:
    """What the steps of one rebalance share. Values go from step to step as arguments; this holds what outlives a step.

    `plan` is the newest one and `before` the account it was made from; `errors` are in order of time.
    `owns_journal` means that nobody else uses it, so that it is closed with the run.
    `journal_fault` is why it is not the one of the settings: that one cannot be used, and nothing may be sent.
    `codes` are those that an answer needs, where approvers are set. `labels` are those of the flow run; `cancel_cause`
    is who cancelled the run and how, and `interrupt` what stops its steps then. `is_on_record` means that the journal
    has started it; `is_reported` is false where a report would overwrite an earlier one; `recovered` is how it ended,
    where another process had begun it. `rows` are those of the models, `seen` is the account as it was read last and
    `quotes` are the newest of each symbol, from which its next price is made. `unsent` holds why single trades of the
    plan were left out, `reduced` why less of them was sent, `stopped_by` why no more was sent. `checked` are the tables
    of the gates, where `keeps_tables` asks for them. `ended_as` is the end that the report and the journal have.
    """

    id: RunId
    flow_run_id: str
    name: str
    mode: Mode
    settings: Settings
    source: Source
    broker: Broker
    journal: Journal
    approver: Approver
    folder: Path
    owns_journal: bool = False
    journal_fault: OutputFailed | None = None
    codes: ApproverCodes | None = None
    confirm_live: bool = False
    keeps_tables: bool = False
    cancel_cause: RunCancelled | None = None
    interrupt: Callable[[], object] | None = None
    is_sending: bool = False
    is_on_record: bool = False
    is_reported: bool = True
    recovered: str = ""
    ended_as: RunResult | None = None
    no_plan_reason: str = ""
    progress: float = 0.0
    progress_id: UUID | None = None
    rows: tuple[ModelWeight, ...] = ()
    plan: Plan | None = None
    before: AccountSnapshot | None = None
    seen: AccountSnapshot | None = None
    after: AccountSnapshot | None = None
    valuation_after: Valuation | None = None
    residual_drift_bps: dict[Symbol, Decimal] | None = None
    quotes: dict[Symbol, Quote] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    approvals: list[Approval] = field(default_factory=list)
    cancelled: list[WorkingOrder] = field(default_factory=list)
    gates: dict[str, GateVerdict] = field(default_factory=dict)
    checked: dict[str, CheckedTable] = field(default_factory=dict)
    events: list[RunEvent] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unsent: dict[Symbol, str] = field(default_factory=dict)
    reduced: dict[Symbol, str] = field(default_factory=dict)
    stopped_by: RebalanceError | None = None
    errors: list[RebalanceError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started_at: datetime = self.broker.now()
        self._clock_gap = timedelta(0)
        self._client: ExitStack | None = None
        self.reader = Reader(self.broker, self.settings.ibkr.read_attempts, on_retry=self.warn)
        self.executor = OrderExecutor(self.broker, self.journal, self.settings, self.guard, self.on_order_event)

    def log_step(self, kind: str, detail: str) -> None:
        """Put a step of the run on the timeline and into the log."""
        self.events.append(RunEvent(self.broker.now(), kind, detail))
        log("INFO", "{}: {}", kind, detail, run_id=self.id)

    def follow_clock(self, gap: timedelta) -> None:
        """Put the start of the run into the venue's time, which is `gap` ahead, and the events so far as well."""
        shift, self._clock_gap = gap - self._clock_gap, gap
        self.started_at += shift
        # the timeline began on this computer's clock, before the venue's was known
        self.events = [replace(event, at=event.at + shift) for event in self.events]

    def warn(self, text: str) -> None:
        """Warn of something that a person should know, once."""
        if text not in self.warnings:
            self.warnings.append(text)
            log("WARNING", "{}", text, run_id=self.id)

    def fail(self, error: RebalanceError) -> None:
        """Keep the failure; the first is the cause."""
        self.errors.append(error)
        log("ERROR", "exit {}: {}", int(error.exit_code), error, run_id=self.id)

    def stop(self, error: RebalanceError) -> None:
        """Keep the failure as what ended the run: trades that were not sent by now were not sent because of it."""
        self.fail(error)
        self.stopped_by = self.stopped_by or error

    def cancel(self, cause: RunCancelled) -> None:
        """Let nothing more be sent, and bring the run to its end; the first cause stands.

        A stage that is sending is not interrupted: it checks `guard` every second, and cancels its orders itself.
        """
        self.cancel_cause = self.cancel_cause or cause
        # cancelling the task inside `place` would leave the order's state uncertain
        if self.interrupt and not self.is_sending:
            self.interrupt()

    def refuse_or_warn(self, error: RebalanceError) -> None:
        """Raise what only matters when orders are sent; warn in the modes that send none, so that one can rehearse."""
        if self.mode.sends_orders:
            raise error
        self.warn(str(error))

    def check_journal(self) -> None:
        """Refuse, or warn in modes that send nothing, when the journal of the settings cannot be used.

        What is not on record is not sent; a dry run shows its plan all the same. Raises OutputFailed.
        """
        if self.journal_fault:
            self.refuse_or_warn(self.journal_fault)

    def guard(self, order: Order | None = None) -> None:
        """Raise KillSwitchOn or RunCancelled where the run may not go on, MarketClosed where `order` may not be sent.

        Checked before each stage and each order, and while orders work.
        """
        check_kill_switch(self.settings.safety.kill_switch_file)
        self.check_not_cancelled()
        # the currency market keeps hours of its own, which the plan has checked
        if order is not None and order.stage is not Stage.FX:
            self.check_markets((order.contract,))

    def check_not_cancelled(self) -> None:
        """Raise RunCancelled when somebody cancelled the run."""
        if self.cancel_cause:
            raise self.cancel_cause

    def check_markets(self, contracts: Iterable[Contract]) -> None:
        """Refuse, or warn, when regular hours are wanted and the market is closed for one of the contracts."""
        if not self.settings.rebalance.prefer_rth:
            return
        now = self.broker.now()
        closed = {each.symbol: reason for each in contracts if (reason := closed_reason(each, now))}
        if closed:
            self.refuse_or_warn(
                MarketClosed(
                    f"the market is closed for {', '.join(closed)}: {next(iter(closed.values()))}",
                    next_step="run again in regular trading hours, or set [rebalance] prefer_rth = false",
                )
            )

    def on_order_event(self, event: RunEvent) -> None:
        """Put an event of the executor on the timeline; what a person waits for is logged at level INFO."""
        self.events.append(event)
        level = "INFO" if event.kind in SHOWN_AT_ONCE else "DEBUG"
        log(level, "{}: {}", event.kind, event.detail, run_id=self.id)

    def may_read_again(self, error: RebalanceError) -> bool:
        """Whether a step that only read may be tried again after this failure.

        After a connection is lost with orders sent, reconciling them comes first.
        """
        if self.cancel_cause:
            return False
        # a pacing violation loses nothing, even with orders at work
        return isinstance(error, PacingExceeded) or not (self.is_on_record and self.journal.orders(self.id))

    @property
    def is_rehearsed(self) -> bool:
        """Whether the broker is a rehearsal's, on a clock of its own."""
        return isinstance(self.broker, RehearsalBroker)

    def reach(self, point: str) -> None:
        """Let a rehearsal's world act at a named point of the run; nothing on a real broker."""
        if isinstance(self.broker, RehearsalBroker):
            self.broker.reach(point)

    @property
    def has_sent(self) -> bool:
        """Whether an order of this run may have left."""
        return self.is_on_record and any(record.sent_at for record in self.journal.orders(self.id))

    @property
    def holds_client(self) -> bool:
        """Whether no other run may connect by this run's client id."""
        return self._client is not None

    def take_client(self, client: str) -> bool:
        """Hold this client of the gateway until `disconnect`; False while another run holds it. Raises OutputFailed."""
        with ExitStack() as held:
            try:
                held.enter_context(self.journal.client_lock(client))
            except LockTaken:
                return False
            self._client = held.pop_all()
        return True

    async def disconnect(self) -> None:
        """Close the broker connection, and let other runs connect by this run's client id."""
        try:
            await self.broker.disconnect()
        finally:
            held, self._client = self._client, None
            if held:
                held.close()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Close the broker connection after a part of the run; its first step opens it."""
        try:
            yield
        finally:
            # the end of a run that has sent orders connects once more, to see that none works
            await (self.broker.disconnect() if self.has_sent else self.disconnect())

    def result(self) -> RunResult:
        """Everything the report is made from, as of now."""
        orders = self.journal.orders(self.id) if self.is_on_record else ()
        return RunResult(
            run_id=self.id,
            name=self.name,
            mode=self.mode,
            broker=self.broker.kind,
            account_id=self.settings.ibkr.account_id,
            started_at=self.started_at,
            ended_at=self.broker.now(),
            settings=echo(self.settings),
            recovered=self.recovered,
            no_plan_reason=self.no_plan_reason,
            plan=self.plan,
            before=self.before,
            after=self.after,
            valuation_after=self.valuation_after,
            residual_drift_bps=self.residual_drift_bps,
            orders=orders,
            not_sent=self._not_sent(orders),
            reduced=dict(self.reduced),
            cancelled=tuple(self.cancelled),
            approvals=tuple(self.approvals),
            gates=tuple(self.gates.values()),
            events=tuple(self.events),
            warnings=tuple(self.warnings),
            errors=tuple(self.errors),
        )

    def _not_sent(self, orders: Iterable[OrderRecord]) -> dict[Symbol, str]:
        """Why each trade of the plan that has no order was not sent; nothing in modes that send none."""
        if self.plan is None or not self.mode.sends_orders:
            return {}
        made = {record.order.contract.symbol for record in orders}
        stopped = self.stopped_by or next(iter(self.errors), None)
        why = stopped.message if stopped else ""
        return {symbol: self.unsent.get(symbol, why) for symbol in self.plan.traded if symbol not in made}
