"""`rebalance scenario`: scenario files, each through the real flow, each into a folder of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from core.broker.port import Broker
from core.errors import ApprovalExpired, RebalanceError, UsageError, leading
from core.journal import Journal, MemoryStore
from core.masking import VISIBLE
from core.model import ModelWeight, RunEnding, RunResult, Targets
from core.report import write_reports
from core.scenario import Confirm, Scenario, read_scenario
from core.settings import Settings
from core.settings.loading import settings_from
from core.targets import blend, parse_portfolios, targets_from_weights
from deployments import terminal
from deployments.commands.run import show_progress
from deployments.options import ScenarioBroker
from deployments.streams import lasting_output
from tasks.app.approvers import Answer, Question
from tasks.app.brokers import WIRE_LOG, rehearsal
from tasks.app.request import Request
from tasks.app.wiring import AppSession, session

ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class ScriptedApprover:
    """The scenario's approver: answers what its `confirm` names, at once, or lets the time run out."""

    confirm: Confirm
    how: str = "script"

    async def ask(self, question: Question) -> Answer:
        """The scripted answer. Raises ApprovalExpired for `timeout`."""
        if self.confirm is Confirm.TIMEOUT:
            raise ApprovalExpired(
                f"nobody answered within {question.seconds_left:.0f} s", next_step="nothing was sent; run again"
            )
        suffix = question.plan.account_id[-VISIBLE:]
        return Answer(approve=self.confirm is Confirm.YES, approver="script", account_suffix=suffix)


@dataclass(frozen=True, slots=True)
class ScenarioSource:
    """Settings and targets as a scenario gives them; relative paths are those of its folder of results."""

    scenario: Scenario
    folder: Path

    def settings(self) -> Settings:
        return settings_from(self.scenario.settings, folder=self.folder)

    def rows(self, settings: Settings, now: datetime) -> tuple[ModelWeight, ...]:  # noqa: ARG002 - a text has no age
        if self.scenario.portfolios is None:
            return ()
        return parse_portfolios(self.scenario.portfolios, self.scenario.path.name, settings.models, settings.rebalance)

    def targets(self, settings: Settings, rows: tuple[ModelWeight, ...]) -> Targets:
        if self.scenario.targets is not None:
            return targets_from_weights(self.scenario.targets, settings.rebalance)
        return blend(rows, settings.models, settings.rebalance)


def run_scenarios(paths: Sequence[Path], out: Path, broker: ScenarioBroker = ScenarioBroker.FAKE) -> None:
    """Run every file and print how each ended.

    Raises UsageError for files that are missing or not understood, when all others have run; RunCancelled when
    somebody stopped one, and so those after it.
    """
    scenarios, unread = _read(_files(paths))
    if scenarios:
        with lasting_output():
            show_progress()
            outcomes = asyncio.run(_run_all(scenarios, out, broker))
            terminal.console().print(_table(scenarios, outcomes))
        _check_stopped(outcomes)
    if unread:
        raise _could_not_run(unread)


def _read(paths: Iterable[Path]) -> tuple[list[Scenario], list[UsageError]]:
    """The scenarios, and why the other files are none."""
    scenarios, unread = [], []
    for path in paths:
        try:
            scenarios.append(read_scenario(path))
        except UsageError as error:
            unread.append(error)
    return scenarios, unread


def _could_not_run(unread: Sequence[UsageError]) -> UsageError:
    """One error for all files that could not be run."""
    if len(unread) == 1:
        return unread[0]
    faults = [fault for error in unread for fault in error.faults]
    return UsageError(f"{len(unread)} scenarios could not be run", next_step=unread[0].next_step, faults=faults)


async def _run_all(scenarios: Sequence[Scenario], out: Path, broker: ScenarioBroker) -> list[RunResult]:
    from flows.rebalance import rebalance

    outcomes: list[RunResult] = []
    for scenario in scenarios:
        outcomes.append(await run_scenario(scenario, out / scenario.path.stem, rebalance, broker))
        if outcomes[-1].ending is RunEnding.CANCELLED:
            break  # whoever stopped this one wants no other
    return outcomes


def _check_stopped(outcomes: Sequence[RunResult]) -> None:
    """Raise what stopped the last scenario, and so those that were to follow."""
    if outcomes[-1].ending is RunEnding.CANCELLED:
        raise leading(outcomes[-1].errors)


async def run_scenario(
    scenario: Scenario,
    folder: Path,
    flow: Callable[..., Awaitable[object]],
    broker: ScenarioBroker = ScenarioBroker.FAKE,
) -> RunResult:
    """How one scenario ended, with all its reports in `folder`; `flow` is the rebalance, or its bare function."""
    outcomes: list[RunResult] = []
    source = ScenarioSource(scenario, folder)

    def on_end(outcome: RunResult, paths: tuple[Path, ...]) -> None:
        outcomes.append(outcome)
        if not paths:  # it failed before it could report by itself
            write_reports(outcome, folder)

    def make(settings: Settings) -> Broker:
        return rehearsal(scenario.world, settings, broker.kind, wire_log=folder / WIRE_LOG)

    for old in ("KILL_SWITCH", WIRE_LOG):  # of an earlier run of this script
        (folder / old).unlink(missing_ok=True)
    own = AppSession(
        approver=ScriptedApprover(scenario.confirm),
        source=source,
        broker=make,
        folder=folder,
        name=scenario.name,
        journal=Journal(MemoryStore()),
        on_end=on_end,
    )
    request = Request(
        csv=scenario.path,
        ini=scenario.path,
        mode=scenario.mode,
        broker=broker.kind,
        confirm_live=scenario.confirm_live,
    )
    with session(own), suppress(RebalanceError):  # on_end has got it with the result
        await flow(**request.parameters())
    return outcomes[-1]


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(each for each in path.iterdir() if each.suffix in ENDINGS)
        if not inside:
            raise UsageError(
                f"{path} contains no scenario (*.yaml)", next_step="name a scenario file, or a folder of them"
            )
        yield from inside


def _table(scenarios: Sequence[Scenario], outcomes: Sequence[RunResult]) -> Table:
    table = Table(title=f"{len(outcomes)} scenarios", title_justify="left")
    for name in ("scenario", "status", "exit", "orders", "reason"):
        table.add_column(name, overflow="fold")
    for scenario, outcome in zip(scenarios, outcomes, strict=False):
        cells = (scenario.path.stem, outcome.status, f"{outcome.exit_code:d}", str(len(outcome.orders)), outcome.reason)
        table.add_row(*map(escape, cells))
    return table
