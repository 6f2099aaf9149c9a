"""One rebalance under way: what it works with, and what it has gathered for its report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from loguru import logger

from core.broker.port import Broker
from core.broker.rehearsal import Rehearsed
from core.errors import RebalanceError
from core.execution import Desk
from core.journal.port import Journal
from core.model import (
    AccountSnapshot,
    Approval,
    GateVerdict,
    Mode,
    Outcome,
    Plan,
    PlanRules,
    RunEvent,
    RunId,
    Symbol,
    Valuation,
    WorkingOrder,
)
from core.reading import Reader
from core.safety import check_kill_switch
from core.settings import Settings
from tasks.approver import Approver
from tasks.sources import Source


@dataclass(kw_only=True, eq=False)
class Run:
    """What the steps of one rebalance share. Values go from step to step as arguments; here is what outlives a step.

    `plan` is the newest one and `before` the account it was made from; `errors` are in order of time.
    `is_on_record` says that the journal has started it; `is_reported` turns false where a report would take the
    place of an earlier one.
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
    confirm_live: bool = False
    is_on_record: bool = False
    is_reported: bool = True
    plan: Plan | None = None
    before: AccountSnapshot | None = None
    after: AccountSnapshot | None = None
    valuation_after: Valuation | None = None
    residual_drift_bps: dict[Symbol, Decimal] | None = None
    result: dict[str, Any] = field(default_factory=dict)
    approvals: list[Approval] = field(default_factory=list)
    cancelled: list[WorkingOrder] = field(default_factory=list)
    gates: dict[str, GateVerdict] = field(default_factory=dict)
    events: list[RunEvent] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[RebalanceError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rules: PlanRules = self.settings.plan_rules(self.mode)
        self.started_at: datetime = self.broker.now()
        self.reader = Reader(self.broker, self.settings.ibkr.read_attempts, on_retry=self.warn)
        self.desk = Desk(self.broker, self.journal, self.settings.execution_rules(), self.guard, self.events.append)

    def say(self, kind: str, detail: str) -> None:
        """Put a step of the run on the timeline, into the log and before whoever watches."""
        self.events.append(RunEvent(self.broker.now(), kind, detail))
        logger.bind(run_id=self.id).info("{}: {}", kind, detail)

    def warn(self, text: str) -> None:
        """Say something that a person should know, once."""
        if text not in self.warnings:
            self.warnings.append(text)
            logger.bind(run_id=self.id).warning("{}", text)

    def fail(self, error: RebalanceError) -> None:
        """Keep the failure; the first is the cause."""
        self.errors.append(error)
        logger.bind(run_id=self.id).error("exit {}: {}", int(error.exit_code), error)

    def refuse_or_warn(self, error: RebalanceError) -> None:
        """Raise what only matters when orders go out; warn in the modes that send none, so that one can rehearse."""
        if self.mode.sends_orders:
            raise error
        self.warn(str(error))

    def guard(self) -> None:
        """Raise KillSwitchOn while the kill switch is on; asked before each stage and each order."""
        check_kill_switch(self.settings.safety.kill_switch_file)

    def reach(self, point: str) -> None:
        """Let a rehearsal's world move; nothing on a real broker."""
        if isinstance(self.broker, Rehearsed):
            self.broker.reach(point)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Hold the broker connection for a part of the run."""
        await self.reader.connect()
        try:
            yield
        finally:
            await self.broker.disconnect()

    def outcome(self) -> Outcome:
        """Everything the report is made from, as of now."""
        return Outcome(
            run_id=self.id,
            name=self.name,
            mode=self.mode,
            broker=self.broker.kind,
            account_id=self.settings.ibkr.account_id,
            started_at=self.started_at,
            ended_at=self.broker.now(),
            settings=self.settings.echo(),
            plan=self.plan,
            before=self.before,
            after=self.after,
            valuation_after=self.valuation_after,
            residual_drift_bps=self.residual_drift_bps,
            orders=self.journal.orders(self.id) if self.is_on_record else (),
            cancelled=tuple(self.cancelled),
            approvals=tuple(self.approvals),
            gates=tuple(self.gates.values()),
            events=tuple(self.events),
            warnings=tuple(self.warnings),
            errors=tuple(self.errors),
        )
