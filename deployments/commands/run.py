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

from core.errors import ConnectionLost, ExitCode, RebalanceError, UsageError
from core.model import Mode, Plan, RunResult
from core.report import result_json
from core.safety import check_mode
from deployments.approvers import PreApproved, TerminalApprover
from deployments.commands.precheck import precheck, require_gateway
from deployments.serving.server import lasting_server, server_failures
from deployments.streams import lasting_output
from deployments.terminal import Progress, console, errors_console, show_plan, show_result
from tasks.app.approvers import Approver
from tasks.app.request import Request
from tasks.app.wiring import AppSession, session


@dataclass(frozen=True, slots=True)
class Terms:
    """How the command is to ask and to answer."""

    says_yes: bool = False
    by_form: bool = False
    as_json: bool = False


def approver_for(request: Request, terms: Terms) -> Approver | None:
    """Who is asked in this run; None leaves the question to the form.

    Raises UsageError when nobody could answer, and what settings and safety rules refuse, before anything is started.
    """
    if terms.by_form and terms.says_yes:
        raise UsageError(
            "--pause asks and --yes has answered already",
            next_step="give --pause with --confirm-live" if request.mode is Mode.LIVE else "give one of them",
        )
    settings = request.files().settings()
    if not (request.mode.sends_orders and settings.safety.require_confirm):
        return None
    if terms.by_form:
        if lasting_server() is None:
            raise UsageError(
                "--pause needs a Prefect server that outlives the question",
                next_step="start one with `rebalance up`, or name one with PREFECT_API_URL",
            )
        return None
    if terms.says_yes and request.mode is Mode.PAPER:
        return PreApproved()
    if sys.stdin.isatty():
        return TerminalApprover()
    if terms.says_yes:
        check_mode(settings, request.mode, confirm_live=request.confirm_live, broker=request.broker)
        raise UsageError(
            "nobody can approve: --yes approves in paper only, and there is no terminal and no --pause",
            next_step="run it in a terminal, or add --pause",
        )
    raise UsageError(
        "nobody can approve: there is no terminal, no --yes and no --pause",
        next_step="run it in a terminal, or add --yes (paper) or --pause",
    )


def run_flow(request: Request, terms: Terms) -> ExitCode:
    """Run the flow to its end; its exit code, after its result was printed as far as somebody reads it.

    Raises what `precheck` and `approver_for` raise, before anything is started; ConnectionLost when the gateway is
    not there, or Prefect fails before the run could start.
    """
    precheck(request)
    approver = approver_for(request, terms)
    require_gateway(request)
    with lasting_output() as output:
        code = _run_to_its_end(request, approver, terms)
        output.flush()
        if output.lost:
            _say(f"warning: not all of the result could be printed ({output.lost}); the report has it")
    return code


def _run_to_its_end(request: Request, approver: Approver | None, terms: Terms) -> ExitCode:
    # only now: it takes longer than all refusals
    from prefect.exceptions import TerminationSignal

    outcomes: list[RunResult] = []
    show_progress()
    if lasting_server() is None:
        _say("starting Prefect's temporary server, which takes some seconds ...")
    try:
        with session(_session(approver, terms, outcomes)), server_failures(), _terminated_as_interrupted():
            asyncio.run(_run(request))
    except (KeyboardInterrupt, TerminationSignal):
        # a run that has begun sees to signals itself
        if not outcomes:
            _say("cancelled: stopped before the run began (exit 32)")
            return ExitCode.APPROVAL_REJECTED
    except ConnectionLost as error:
        if not outcomes:
            raise
        _say(f"warning: the run has ended, but its page may not show how: {error.message}")
    return outcomes[-1].exit_code


def _session(approver: Approver | None, terms: Terms, outcomes: list[RunResult]) -> AppSession:
    """What this terminal brings to the run; how it ended is put into `outcomes`."""

    def asked(plan: Plan) -> None:
        if approver is None:  # the terminal's own approvers show it with their question
            show_plan(plan, errors_console())

    def ended(outcome: RunResult, paths: tuple[Path, ...]) -> None:
        outcomes.append(outcome)
        if terms.as_json:
            print(result_json(outcome), end="")  # noqa: T201 - the document that --json promises
        else:
            show_result(outcome, paths, console())

    return AppSession(approver=approver, asked=asked, ended=ended)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP are Ctrl-C while the block runs, wherever the run itself does not see to them.

    Prefect, once it has ended its run, sends the process SIGTERM again for whoever handled it before; by default
    that would end the process on the spot, whatever is still to be said.
    """
    before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


async def _run(request: Request) -> None:
    if lasting_server() is not None:
        from deployments.serving.flow_run import run_here

        await run_here(request)
        return
    from flows.rebalance import rebalance

    with suppress(RebalanceError):  # the outcome says it all
        await rebalance(**request.parameters())


def show_progress() -> None:
    """Lines of runs go to the terminal by us alone: Prefect's own console lines would say everything twice."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    logger.remove()
    logger.add(Progress(), level="INFO", format="{message}", filter=lambda record: "run_id" in record["extra"])


def _say(line: str) -> None:
    errors_console().print(line, markup=False, soft_wrap=True)
