"""Who may trade an account, whose approval counts, and what stops further orders."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from uuid import uuid4

import pytest
from flow_runs import ACCOUNT, Rehearsal, SaysYes
from prefect.settings import PREFECT_API_URL, temporary_settings
from worlds import order

from core.errors import ExitCode, RunCancelled
from core.model import AccountId, Mode, RunId
from deployments.commands.kill_switch import engage
from flows.cancellation import _terminated
from tasks.app.approvers import Answer
from tasks.app.request import Request
from tasks.app.wiring import prepare

EACH_STAGE = {"approval": {"each_stage": "true"}}


@pytest.mark.parametrize(
    ("mode", "code"), [(Mode.PAPER, ExitCode.BUSY), (Mode.DRY_RUN, ExitCode.DONE), (Mode.REPORT_ONLY, ExitCode.DONE)]
)
async def test_an_account_that_another_run_holds_is_not_traded_but_may_be_looked_at(tmp_path, mode, code):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), mode=mode)
    with rehearsal.journal.lock(AccountId(ACCOUNT), RunId("ANOTHERRUN22")):
        outcome = await rehearsal.run()
    assert (outcome.exit_code, rehearsal.sent()) == (code, [])


@dataclass(frozen=True)
class Says:
    """An approver who answers this, with the right account."""

    approve: bool
    how: str = "test"

    async def ask(self, question):
        return Answer(approve=self.approve, approver="Ann", account_suffix=ACCOUNT[-3:])


async def test_a_no_that_names_the_account_rightly_is_a_no(tmp_path):
    rehearsal = Rehearsal(tmp_path, approver=Says(approve=False))
    outcome = await rehearsal.run()
    assert (outcome.exit_code, rehearsal.sent()) == (ExitCode.APPROVAL_REJECTED, [])
    assert [approval.approved for approval in outcome.approvals] == [False]


async def test_each_stage_is_approved_under_an_id_of_its_own(tmp_path):
    rehearsal = Rehearsal(tmp_path, EACH_STAGE, approver=Says(approve=True))
    outcome = await rehearsal.run()
    plan_hash = outcome.plan.hash
    assert [approval.plan_hash for approval in outcome.approvals] == [
        plan_hash,
        f"{plan_hash}:sells",
        f"{plan_hash}:buys",
    ]


def ready(rehearsal):
    """A run of the rehearsal that has not begun."""
    with rehearsal.wired():
        return prepare(Request.of(**rehearsal.parameters()), "a flow run", SaysYes())


async def test_a_run_that_was_cancelled_lets_no_order_out_though_its_stage_is_not_broken_off(tmp_path):
    run = ready(Rehearsal(tmp_path))
    run.is_sending = True
    run.guard(order())
    run.cancel(RunCancelled("somebody stopped it"))
    with pytest.raises(RunCancelled, match="somebody stopped it"):
        run.guard(order())


async def test_while_a_server_that_does_not_answer_is_asked_who_sent_sigterm_no_further_order_leaves(tmp_path):
    run = ready(Rehearsal(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as unresponsive:
        unresponsive.setblocking(False)
        address = f"http://127.0.0.1:{unresponsive.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: address}):
            asking = asyncio.create_task(_terminated(run, uuid4()))
            asked, _ = await asyncio.get_running_loop().sock_accept(unresponsive)
            with asked, pytest.raises(RunCancelled, match="stopped by SIGTERM"):
                run.guard(order())
            await asking
    with pytest.raises(RunCancelled, match="stopped by SIGTERM"):
        run.guard(order())


def test_the_kill_switch_is_written_where_two_folders_are_missing(tmp_path, capsys):
    ini = tmp_path / "settings.ini"
    ini.write_text(
        f"[ibkr]\naccount_id = {ACCOUNT}\n[models]\nCORE = 1\n[safety]\nkill_switch_file = not/there/KILL_SWITCH\n"
    )
    engage(ini)
    path = tmp_path / "not" / "there" / "KILL_SWITCH"
    assert path.read_text().startswith("stopped by ")
    assert str(path) in capsys.readouterr().out
