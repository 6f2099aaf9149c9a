"""Where approvers are set: an answer counts only with a code of one of them, good once and for one plan."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
from authenticator import Authenticator
from flow_runs import YES, Rehearsal
from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import SetStateStatus
from prefect.input.run_input import keyset_from_paused_state

from core.errors import ExitCode, UsageError
from core.model.refs import run_id_of
from deployments.commands.approve import Decision, answer
from tasks.app.approvers import Answer

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

APPROVERS = {"approval": {"approvers": "ANN, BOB"}}


@pytest.fixture
async def client():
    async with get_client() as client:
        yield client


@pytest.fixture
def ann(monkeypatch):
    own = Authenticator()
    monkeypatch.setenv(own.variable, own.secret)
    monkeypatch.setattr("flows.approval.POLL_SECONDS", 0.1)
    monkeypatch.setattr("deployments.commands.approve.POLL_SECONDS", 0.1)
    return own


def yes(code: str) -> dict[str, str]:
    return YES | {"approver": "ANN", "code": code}


async def command(run, client, monkeypatch, code: str, decision: Decision) -> None:
    """`rebalance approve` or `reject`, with the code sent to its standard input."""
    waiting = await run.question(client)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{code}\n"))
    try:
        await asyncio.to_thread(answer, str(waiting.id), decision)
    finally:
        run.keys.append(waiting.state.state_details.pause_key)


async def test_a_code_is_asked_for_on_the_page_and_proves_who_answered(client, tmp_path, ann):
    rehearsal = Rehearsal(tmp_path, settings=APPROVERS)
    run, code = rehearsal.start(), ann.code()
    waiting = await run.question(client)
    schema = json.loads(await client.read_flow_run_input(waiting.id, keyset_from_paused_state(waiting.state)["schema"]))
    assert schema["properties"]["approver"]["enum"] == ["ANN"]
    assert {"answer", "approver", "account_suffix", "code"} == set(schema["required"])
    for unfit in (YES | {"approver": "ANN"}, YES | {"code": code}, yes("12345")):
        refused = await client.resume_flow_run(waiting.id, run_input=unfit)
        assert refused.status is SetStateStatus.REJECT, unfit
    await run.answer(client, **yes(code))
    assert (await run.ended()).is_completed()
    (approval,) = rehearsal.outcomes[-1].approvals
    assert (approval.approver, approval.how) == ("ANN", "form and one-time code")
    assert "approvers without a secret cannot answer: BOB" in rehearsal.outcomes[-1].warnings[0]
    for name in ("result.json", "post_trade.md", "report.html", "run.log"):
        text = rehearsal.report(name)
        assert ann.secret not in text
        assert f'"{code}"' not in text
    assert '"approver": "ANN"' in rehearsal.report("result.json")


@pytest.mark.slow
async def test_a_code_is_good_once_and_after_five_without_a_valid_one_nothing_is_sent(client, tmp_path, ann):
    rehearsal = Rehearsal(tmp_path, settings=APPROVERS)
    run = rehearsal.start()
    await run.question(client)
    code = ann.code(1)  # the next one is good for longest: a slow machine takes a minute to both answers
    await run.answer(client, **yes(code))
    assert (await run.ended()).is_completed()
    # another run makes another plan, and sends nothing for a code that is used up
    again = rehearsal.start()
    await again.answer(client, **yes(code))
    for _ in range(4):
        await again.answer(client, **yes(ann.wrong))
    ended = await again.ended()
    assert ended.message.startswith("exit 30: 5 answers had no valid code of an approver - nothing was sent")
    warnings = rehearsal.outcomes[-1].warnings
    assert "the code of ANN was used before - wait for the next one" in warnings
    assert "the code of ANN is wrong, or its time is over" in warnings
    assert len(rehearsal.sent()) == len(rehearsal.outcomes[0].orders) == 2


@pytest.mark.slow
async def test_the_command_asks_for_the_code_and_says_when_an_answer_did_not_count(
    client, tmp_path, ann, monkeypatch, capsys
):
    rehearsal = Rehearsal(tmp_path, settings=APPROVERS)
    run = rehearsal.start()
    approve = Decision(approve=True, approver="ann", account_suffix="567")
    wrong_account, first = Decision(approve=True, approver="ANN", account_suffix="999"), ann.code()
    for code, decision, why in (
        (
            first,
            Decision(approve=True, account_suffix="567"),
            r"no approver was named - add --approver with one of: ANN",
        ),
        (first, Decision(approve=True, approver="bob", account_suffix="567"), "BOB is not an approver"),
        ("", approve, "no one-time code was given"),
    ):
        waiting = await run.question(client)
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{code}\n"))
        with pytest.raises(UsageError, match=why):
            await asyncio.to_thread(answer, str(waiting.id), decision)
    for code, decision, why in (
        (ann.wrong, approve, "the code of ANN is wrong, or its time is over - the run asks again; answer it anew"),
        (first, wrong_account, "the answer named another account than"),
        # it was typed, so that whoever reads the server's database knows it
        (first, approve, "the code of ANN was used before"),
    ):
        with pytest.raises(UsageError, match=why):
            await command(run, client, monkeypatch, code, decision)
    await command(run, client, monkeypatch, ann.code(1), Decision(approve=False, approver="ANN", note="not today"))
    assert (await run.ended()).message.startswith("exit 32: ANN said no: not today")
    shown = capsys.readouterr().out
    assert f"rejected: run {rehearsal.outcomes[-1].run_id}" in shown
    assert "approved: run" not in shown


@pytest.mark.slow
async def test_the_last_wrong_answer_is_not_reported_as_approved(client, tmp_path, ann, capsys):
    run = Rehearsal(tmp_path).start()
    wrong = Decision(approve=True, approver="Ann", account_suffix="999")
    for why in ("the run asks again", "the run asks again", "has ended: the answer named another account than"):
        waiting = await run.question(client)
        with pytest.raises(UsageError, match=why):
            await asyncio.to_thread(answer, str(waiting.id), wrong)
        run.keys.append(waiting.state.state_details.pause_key)
    assert (await run.ended()).message.startswith("exit 32")
    assert f"approved: run {run_id_of(str(waiting.id))}" not in capsys.readouterr().out


class InProcess:
    """An approver of this process, as a program may bring its own: it has no code, or the wrong one."""

    how = "program"

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def ask(self, question):
        return self._answer


@pytest.mark.parametrize(
    ("given", "exit_code"),
    [
        (Answer(approve=True, approver="ANN", account_suffix="567"), ExitCode.SAFETY),
        (Answer(approve=True, approver="ANN", account_suffix="567", code="000"), ExitCode.SAFETY),
        (Answer(approve=False, approver="ANN", account_suffix="567", code="000"), ExitCode.SAFETY),
        (Answer(approve=False, approver="ANN", account_suffix="567"), ExitCode.APPROVAL_REJECTED),
    ],
    ids=["a yes without a code", "a yes with a wrong one", "a no with a wrong one", "a no without a code"],
)
async def test_no_way_of_asking_gets_round_the_code(given, exit_code, tmp_path, ann):
    rehearsal = Rehearsal(tmp_path, settings=APPROVERS, approver=InProcess(given))
    assert (await rehearsal.run()).exit_code is exit_code
    assert rehearsal.sent() == []


async def test_without_any_secret_a_run_ends_before_it_asks_and_a_dry_run_goes_on(tmp_path):
    rehearsal = Rehearsal(tmp_path, settings=APPROVERS)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.SAFETY
    assert outcome.reason.startswith("nobody can approve: no approver of [approval] approvers has a secret (ANN, BOB)")
