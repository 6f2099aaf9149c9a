"""A part of the report that fails, for whatever reason: the others are written, and every place has the same code."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace

import pytest
from flow_runs import ACCOUNT, THIRDS, Given, Rehearsal, SaysYes, artifacts_of
from prefect.client.orchestration import get_client
from receiver import receiving

from core.errors import ExitCode, RunCancelled
from core.model import OrderState
from core.report import files
from core.settings.loading import settings_from
from tasks import lifecycle

REST = ["post_trade.csv", "post_trade.md", "pre_trade.csv", "pre_trade.md", "result.json", "run.log"]
FILLED = [OrderState.FILLED, OrderState.FILLED]


def fails(*_arguments):
    raise KeyError("VTI")


def without(monkeypatch, name):
    """No file of this name can be made."""
    for listed in ("PRE_TRADE_FILES", "POST_TRADE_FILES"):
        made = [replace(each, render=fails) if each.name == name else each for each in getattr(files, listed)]
        monkeypatch.setattr(files, listed, tuple(made))


def report_ends_once_with(error, monkeypatch):
    """The first try at the report breaks off."""
    report, left = lifecycle.report_result, [error]

    async def breaking_off(*arguments):
        if left:
            raise left.pop()
        return await report(*arguments)

    monkeypatch.setattr(lifecycle, "report_result", breaking_off)


@dataclass(frozen=True)
class Notifying(Given):
    """The settings of a rehearsal with the address of a receiver."""

    url: str = ""

    def settings(self):
        values = {"ibkr": {"account_id": ACCOUNT, "read_only": "false"}, "models": THIRDS}
        return settings_from(values, folder=self.folder, environ={"REBALANCER__NOTIFY__WEBHOOK_URL": self.url})


@pytest.fixture
def rehearsal(tmp_path):
    return Rehearsal(tmp_path, approver=SaysYes())


@pytest.fixture
async def client(prefect_server):
    async with get_client() as client:
        yield client


def assert_ended_alike(rehearsal, code, reason):
    """Everything filled, and the run is shown, reported and on record with this code."""
    outcome = rehearsal.outcomes[-1]
    result = json.loads(rehearsal.report("result.json"))
    record = rehearsal.journal.state(outcome.run_id)
    assert [order.state for order in outcome.orders] == FILLED
    assert (outcome.exit_code, result["exit_code"], record.record.exit_code, record.result.exit_code) == (code,) * 4
    assert reason in outcome.reason
    assert reason in result["reason"]
    assert reason in record.record.reason
    assert reason in rehearsal.report("post_trade.md")
    assert not record.is_open


async def test_a_page_that_cannot_be_made_costs_that_page_alone(rehearsal, monkeypatch):
    without(monkeypatch, "report.html")
    outcome = await rehearsal.run()
    assert_ended_alike(rehearsal, 50, "report.html: unexpected: KeyError: 'VTI' (test_report_fails.py:")
    assert "report it" in outcome.reason
    assert len(outcome.errors) == 1
    assert sorted(path.name for path in rehearsal.paths) == REST
    assert sorted(path.name for path in rehearsal.paths[0].parent.iterdir()) == REST
    assert "Traceback" in rehearsal.report("run.log")


async def test_a_page_that_cannot_be_made_leaves_state_and_artifacts_with_the_code(client, rehearsal, monkeypatch):
    without(monkeypatch, "report.html")
    run = rehearsal.start()
    state = await run.ended()
    artifacts = await artifacts_of(client, await run.flow_run(client))
    assert state.message.startswith("exit 50: cannot write ")
    assert "exit 50" in artifacts["result-567"]
    assert "post_trade.md" in artifacts["files-567"]
    assert "report.html" not in artifacts["files-567"]


async def test_a_plan_that_cannot_be_reported_is_not_traded(rehearsal, monkeypatch):
    without(monkeypatch, "pre_trade.md")
    outcome = await rehearsal.run()
    assert (outcome.exit_code, rehearsal.sent()) == (ExitCode.OUTPUT, [])
    assert "pre_trade.md: unexpected: KeyError" in outcome.reason
    assert json.loads(rehearsal.report("result.json"))["exit_code"] == 50


async def test_whatever_else_breaks_the_report_off_is_a_failure_and_notified_of(rehearsal, monkeypatch):
    report_ends_once_with(KeyError("VTI"), monkeypatch)
    with receiving() as receiver:
        rehearsal.source = Notifying(rehearsal.folder, url=receiver.url)
        await rehearsal.run()
    assert_ended_alike(rehearsal, 70, "unexpected: KeyError: 'VTI' (test_report_fails.py:")
    (text,) = receiver.texts
    assert text.startswith("Rebalance paper …567: Failed\nexit 70: unexpected: KeyError")


async def test_a_run_that_is_cancelled_while_it_reports_is_reported(rehearsal, monkeypatch):
    report_ends_once_with(asyncio.CancelledError(), monkeypatch)
    outcome = await rehearsal.run()
    assert isinstance(outcome.errors[0], RunCancelled)
    assert_ended_alike(rehearsal, 32, "the run was cancelled by its caller")


async def test_what_the_page_of_the_run_cannot_show_is_no_failure(rehearsal, monkeypatch):
    monkeypatch.setattr("tasks.report.result_page", fails)
    await rehearsal.run()
    assert_ended_alike(rehearsal, 0, "done")
    assert "the Prefect page does not show the result: unexpected: KeyError: 'VTI'" in rehearsal.report("run.log")


async def test_a_notification_that_fails_for_whatever_reason_is_a_line_in_the_log(rehearsal, monkeypatch):
    monkeypatch.setattr("tasks.app.notify.request_of", fails)
    with receiving() as receiver:
        rehearsal.source = Notifying(rehearsal.folder, url=receiver.url)
        await rehearsal.run()
    assert_ended_alike(rehearsal, 0, "done")
    assert "the notification was not sent: KeyError" in rehearsal.report("run.log")
