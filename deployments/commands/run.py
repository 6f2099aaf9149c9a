"""`rebalance run`: the flow, with this terminal as its approver and its progress."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from core.broker.errors import refused_at, unreachable
from core.errors import ConnectionLost, ExitCode, RebalanceError, SafetyRefused, UsageError
from core.execution.reader import RetryPolicy
from core.model import BrokerKind, Mode, Plan, RunResult
from core.report import result_json
from core.safety import check_kill_switch, check_mode
from core.settings import Settings
from deployments.approvers import PreApproved, TerminalApprover
from deployments.serving.server import lasting_server, server_failures
from deployments.streams import lasting_output
from deployments.terminal import (
    Progress,
    console,
    errors_console,
    print_progress,
    show_plan,
    show_result,
    show_warnings,
)
from tasks.app.approvers import Approver
from tasks.app.brokers import make_broker
from tasks.app.request import Request
from tasks.app.wiring import AppSession, session


@dataclass(frozen=True, slots=True)
class Interaction:
    """How the command asks for approval, in which form it prints the result, and what it writes beside the reports."""

    yes: bool = False
    by_form: bool = False
    as_json: bool = False
    data_docs: bool = False


def precheck(request: Request) -> None:
    """Refuse a run that its files or the safety rules do not allow.

    Raises SettingsInvalid, PortfoliosInvalid, UsageError, SafetyRefused and KillSwitchOn as the run would.
    """
    source = request.files()
    settings = source.settings()
    check_mode(settings, request.mode, confirm_live=request.confirm_live, broker=request.broker)
    broker = make_broker(request, settings)
    source.targets(settings, source.rows(settings, broker.now()))
    if request.mode.sends_orders:
        check_kill_switch(settings.safety.kill_switch_file)


def require_gateway(request: Request) -> None:
    """Refuse a run whose gateway does not accept connections; a rehearsal needs none. Raises ConnectionLost."""
    if request.broker is not BrokerKind.IBKR or request.mode is Mode.REPORT_ONLY:
        return
    ibkr = request.files().settings().ibkr
    retries = RetryPolicy(ibkr.read_attempts, asyncio.sleep, on_retry=lambda text: show_warnings((text,)))
    timeout = ibkr.connect_timeout_seconds
    asyncio.run(retries.read("connecting", lambda: require_listener(ibkr.host, ibkr.port, timeout_seconds=timeout)))


async def require_listener(host: str, port: int, *, timeout_seconds: float) -> None:
    """Return when the address accepts a connection, which is closed again. Raises ConnectionLost."""
    try:
        async with asyncio.timeout(timeout_seconds):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        raise refused_at(host, port) from None
    except TimeoutError:
        raise unreachable(host, port, f"nobody answered within {timeout_seconds:g} s") from None
    except OSError as error:
        raise unreachable(host, port, error.strerror or str(error)) from None
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def approver_for(request: Request, interaction: Interaction) -> Approver | None:
    """The approver of this run; None leaves the question to the form on the page.

    Raises UsageError when nobody could answer, SafetyRefused for --yes where approvers are set, and what settings and
    safety rules refuse, before anything is started.
    """
    if interaction.by_form and interaction.yes:
        raise UsageError(
            "--pause asks on the Prefect page, but --yes approves already",
            next_step="give --pause with --confirm-live" if request.mode is Mode.LIVE else "give one of them",
        )
    settings = request.files().settings()
    if not (request.mode.sends_orders and settings.safety.require_confirm):
        return None
    if interaction.by_form:
        if lasting_server() is None:
            raise UsageError(
                "--pause needs a lasting Prefect server",
                next_step="start one with `rebalance up`, or set PREFECT_API_URL",
            )
        return None
    if interaction.yes and request.mode is Mode.PAPER:
        return _pre_approved(settings)
    if sys.stdin.isatty():
        return TerminalApprover()
    if interaction.yes:
        check_mode(settings, request.mode, confirm_live=request.confirm_live, broker=request.broker)
        raise UsageError(
            "nobody can approve the plan: --yes approves only in paper, and there is neither a terminal nor --pause",
            next_step="run the command in a terminal, or add --pause",
        )
    raise UsageError(
        "nobody can approve the plan: there is no terminal, no --yes and no --pause",
        next_step="run the command in a terminal, or add --yes (paper) or --pause",
    )


def _pre_approved(settings: Settings) -> PreApproved:
    if settings.approval.approvers:
        raise SafetyRefused(
            "--yes cannot approve: [approval] approvers wants the one-time code of a person",
            next_step="leave --yes out and answer in the terminal, or add --pause instead",
        )
    return PreApproved()


def run_flow(request: Request, interaction: Interaction) -> ExitCode:
    """Run the flow to its end, print its result as far as the output can be written, and return its exit code.

    Raises what `precheck` and `approver_for` raise, before anything is started; ConnectionLost when the gateway is
    not there, or Prefect fails before the run could start.
    """
    precheck(request)
    approver = approver_for(request, interaction)
    require_gateway(request)
    with lasting_output() as output:
        code = _run_to_its_end(request, approver, interaction)
        output.flush()
        if output.lost:
            print_progress(f"warning: not all of the result could be printed ({output.lost}); the report is complete")
    return code


def _run_to_its_end(request: Request, approver: Approver | None, interaction: Interaction) -> ExitCode:
    # imported only now: that takes longer than all refusals together
    from prefect.exceptions import TerminationSignal

    outcomes: list[RunResult] = []
    show_progress()
    if lasting_server() is None:
        print_progress("starting Prefect's temporary server, which takes some seconds ...")
    try:
        with session(_session(approver, interaction, outcomes)), server_failures(), _terminated_as_interrupted():
            asyncio.run(_run(request))
    except (KeyboardInterrupt, TerminationSignal):
        # a run that has begun handles signals itself, and reports how it ended
        if not outcomes:
            print_progress("cancelled: stopped before the run began (exit 32)")
            return ExitCode.APPROVAL_REJECTED
    except ConnectionLost as error:
        if not outcomes:
            raise
        print_progress(f"warning: the run has ended, but its page may not show how: {error.message}")
    return outcomes[-1].exit_code


def _session(approver: Approver | None, interaction: Interaction, outcomes: list[RunResult]) -> AppSession:
    """What this terminal brings to the run; how it ended is put into `outcomes`."""

    def on_question(plan: Plan) -> None:
        if approver is None:  # the terminal's own approvers show it with their question
            show_plan(plan, errors_console())

    def on_end(outcome: RunResult, paths: tuple[Path, ...]) -> None:
        outcomes.append(outcome)
        if interaction.as_json:
            print(result_json(outcome), end="")  # noqa: T201 - the document that --json promises
        else:
            show_result(outcome, paths, console())

    return AppSession(approver=approver, data_docs=interaction.data_docs, on_question=on_question, on_end=on_end)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP are Ctrl-C while the block runs, wherever the run itself does not handle them.

    Prefect, once it has ended its run, sends the process SIGTERM again for whoever handled it before; by default
    that would end the process on the spot, whatever is still to be printed.
    """
    before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


async def _run(request: Request) -> None:
    from deployments.serving.flow_run import run_here
    from flows.rebalance import rebalance
    from tasks.app.preload import preload

    # already now: the run itself begins only when a server is up
    preload()
    if lasting_server() is not None:
        await run_here(request)
        return
    with suppress(RebalanceError):  # on_end has got it with the result
        await rebalance(**request.parameters())


def show_progress() -> None:
    """Log the runs to the terminal by our own sink alone: Prefect's console would repeat every line."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    logger.remove()
    logger.add(Progress(), level="INFO", format="{message}", filter=lambda record: "run_id" in record["extra"])
