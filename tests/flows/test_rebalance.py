"""The rebalance on a real Prefect server, and however it ends: what is on its page, in its files and at the broker."""

from __future__ import annotations

import asyncio
import json

import pytest
from flow_runs import ACCOUNT, Given, Rehearsal, SaysYes, artifacts_of, log_of
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from worlds import scripted

from core.broker.fake import FakeIB
from core.errors import ExitCode, RunCancelled
from core.model import Mode, OrderState
from core.sim.venue.world import Fault, FaultKind, Point

NEVER_FILLED = {"fills": scripted(fill_fraction=0)}


@pytest.fixture
async def client(prefect_server):
    async with get_client() as client:
        yield client


class Waiting(FakeIB):
    """A broker on which time stands still once an order works, until somebody cancels it: the run waits for real."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stands_still = asyncio.Event()
        self.is_cancelling = False

    async def next_event(self, timeout_seconds):
        if self.exchange.working() and not self.is_cancelling:
            self.stands_still.set()
            await asyncio.Event().wait()
        return await super().next_event(timeout_seconds)

    async def cancel(self, ref):
        self.is_cancelling = True
        await super().cancel(ref)


class Stumbling(FakeIB):
    """A broker with a mistake in it that shows once, when the first order works."""

    has_stumbled = False

    async def next_event(self, timeout_seconds):
        if self.exchange.working() and not self.has_stumbled:
            self.has_stumbled = True
            raise KeyError("next_event")
        return await super().next_event(timeout_seconds)


class Mistaking(FakeIB):
    """A broker that cannot read the account, for an unexpected reason."""

    async def snapshot(self):
        raise KeyError(ACCOUNT)


class Mistaken(Given):
    def settings(self):
        raise KeyError(ACCOUNT)


async def test_what_happened_is_on_the_page_of_the_run(client, tmp_path):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes())
    run = rehearsal.start()
    state = await run.ended()
    flow_run = await run.flow_run(client)
    run_id = rehearsal.outcomes[-1].run_id
    artifacts = await artifacts_of(client, flow_run)
    log = await log_of(client, flow_run, wanted=["plan: 1 sell, 1 buy", "buy: 1 of 1 order filled"])
    logged = [json.loads(line)["message"] for line in rehearsal.report("run.log").splitlines()]
    assert state.is_completed()
    assert artifacts.keys() == {
        *("plan-567", "orders-567", "chart-567", "gates-567", "result-567", "files-567", "progress-567")
    }
    assert "SELL" in artifacts["plan-567"]
    assert all(run_id in artifacts[f"{name}-567"] for name in ("plan", "chart", "gates", "result", "files"))
    assert [(row["symbol"], row["status"]) for row in json.loads(artifacts["orders-567"])] == [
        ("VTI", "Filled"),
        ("BND", "Filled"),
    ]
    assert artifacts["progress-567"] == "100"
    assert "sell: 1 of 1 order filled" in logged
    assert [line for line in logged if line.startswith(("sell", "buy"))] == [
        line for line in log.splitlines() if line.startswith(("sell", "buy"))
    ]


async def test_a_failure_has_one_code_and_one_line_on_the_page_in_the_report_and_in_the_journal(client, tmp_path):
    faults = (Fault(Point.CONNECT, FaultKind.DISCONNECT, times=9),)
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), changes={"faults": faults})
    run = rehearsal.start()
    state = await run.ended()
    result = json.loads(rehearsal.report("result.json"))
    on_record = rehearsal.journal.run(rehearsal.outcomes[-1].run_id)
    flow_run = await run.flow_run(client)
    assert state.is_failed()
    assert flow_run.state.message == f"exit 20: {result['reason']}"
    assert "Traceback" not in await log_of(client, flow_run, wanted=["exit 20: "])
    assert (result["exit_code"], on_record.exit_code) == (20, ExitCode.CONNECTION)


async def test_a_cancelled_run_cancels_its_working_orders_and_reports(client, tmp_path):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=Waiting, changes=NEVER_FILLED)
    run = rehearsal.start()
    while not rehearsal.brokers:
        await asyncio.wait([run.task], timeout=0.05)
    await rehearsal.brokers[0].stands_still.wait()
    assert len(rehearsal.brokers[0].exchange.working()) == 1
    run.task.cancel()
    state = await run.ended()
    outcome = rehearsal.outcomes[-1]
    assert rehearsal.brokers[0].exchange.working() == ()
    assert [record.state for record in outcome.orders] == [OrderState.CANCELLED]
    assert isinstance(outcome.errors[0], RunCancelled)
    assert json.loads(rehearsal.report("result.json"))["exit_code"] == 32
    at_server = (await run.flow_run(client)).state
    assert (state.name, at_server.name, at_server.type) == ("Cancelled", "Cancelled", StateType.CANCELLED)
    assert at_server.message.startswith("exit 32: the run was cancelled by its caller")
    assert not rehearsal.brokers[0].is_connected


async def test_a_run_that_was_started_before_sends_nothing_and_leaves_the_first_report(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.rebalance.uuid4", lambda: "the same flow run")
    rehearsal = Rehearsal(tmp_path, approver=SaysYes())
    first = await rehearsal.run()
    before = rehearsal.report("result.json")
    again = await rehearsal.run()
    assert (first.exit_code, again.exit_code) == (ExitCode.DONE, ExitCode.BUSY)
    assert "was started before" in again.reason
    assert len(rehearsal.sent()) == 2
    assert rehearsal.report("result.json") == before
    assert rehearsal.journal.run(first.run_id).exit_code is ExitCode.DONE


async def test_a_report_folder_that_is_a_file_ends_with_50_before_anything_is_sent(tmp_path):
    (tmp_path / "reports").write_text("in the way")
    rehearsal = Rehearsal(tmp_path, approver=SaysYes())
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.OUTPUT
    assert rehearsal.sent() == []


async def test_a_mistake_in_the_program_is_one_line_with_70_and_its_traceback_is_in_the_log_alone(client, tmp_path):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=Mistaking)
    run = rehearsal.start()
    state = await run.ended()
    flow_run = await run.flow_run(client)
    on_page = await log_of(client, flow_run, wanted=["exit 70"])
    assert rehearsal.outcomes[-1].exit_code is ExitCode.UNFORESEEN
    assert state.message.startswith("exit 70: unexpected: KeyError: '******567' (test_rebalance.py:")
    assert "\n" not in state.message
    assert "Traceback" not in on_page
    assert "Traceback" in rehearsal.report("run.log")


async def test_a_mistake_while_an_order_works_leaves_no_order_working(tmp_path):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=Stumbling, changes=NEVER_FILLED)
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.UNFORESEEN
    assert rehearsal.brokers[0].exchange.working() == ()
    assert [record.state for record in outcome.orders] == [OrderState.CANCELLED]
    assert outcome.status == "failed"


async def test_a_mistake_before_there_is_a_run_is_one_line_too(tmp_path):
    rehearsal = Rehearsal(tmp_path, source=Mistaken(tmp_path))
    outcome = await rehearsal.run()
    assert outcome.exit_code is ExitCode.UNFORESEEN
    assert outcome.reason.startswith("unexpected: KeyError")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(FakeIB, id="a run that ends well"),
        pytest.param(Mistaking, id="a run that fails", marks=pytest.mark.slow),
    ],
)
async def test_the_account_is_nowhere_to_be_read(client, tmp_path, kind, capsys):
    rehearsal = Rehearsal(tmp_path, approver=SaysYes(), kind=kind)
    run = rehearsal.start()
    state = await run.ended()
    flow_run = await run.flow_run(client)
    shown = [
        *(path.read_text() for path in tmp_path.rglob("*") if path.is_file()),
        *(await artifacts_of(client, flow_run)).values(),
        await log_of(client, flow_run, wanted=["models: "]),
        str(state.message),
        repr(flow_run.state),
        json.dumps(flow_run.parameters),
    ]
    assert len(shown) > 6
    assert not [text for text in shown if ACCOUNT in text]


async def test_a_dry_run_asks_nobody_and_sends_nothing(tmp_path):
    rehearsal = Rehearsal(tmp_path, mode=Mode.DRY_RUN)
    outcome = await rehearsal.run()
    assert outcome.status == "completed"
    assert outcome.reason == "planned; this mode sends no orders"
    assert rehearsal.sent() == []


async def test_settings_may_approve_in_the_place_of_a_person(tmp_path):
    rehearsal = Rehearsal(tmp_path, settings={"safety": {"require_confirm": "false"}})
    outcome = await rehearsal.run()
    (approval,) = outcome.approvals
    assert outcome.exit_code is ExitCode.DONE
    assert (approval.how, approval.approver) == ("settings", "[safety] require_confirm = false")
