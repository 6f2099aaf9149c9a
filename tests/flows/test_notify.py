"""Notifications: what is sent when a run waits and ends, to a receiver on loopback; nothing depends on it."""

from __future__ import annotations

import json
import logging
import platform
import socket

import pytest
from flow_runs import ACCOUNT, THIRDS, YES, Given, Rehearsal, SaysYes, artifacts_of, log_of
from loguru import logger
from prefect.client.orchestration import get_client
from prefect.states import Running
from receiver import receiving
from worlds import scripted

from core.errors import AccountBusy, ExitCode
from core.masking import Secret
from core.model import AccountId
from core.settings.loading import settings_from
from flows.liveness import PROCESS_LABEL, end_crashed_runs
from flows.rebalance import rebalance
from tasks.app.notify import MOST_CHARACTERS, Note, notify, request_of, webhook

NOTE = Note("Rebalance paper …567 waits for approval", "sell 1, buy 1")


class NotifyingSource(Given):
    """The settings of a rehearsal with the address of a receiver, from the environment as always."""

    url = ""

    def settings(self):
        values = {"ibkr": {"account_id": ACCOUNT, "read_only": "false"}, "models": THIRDS}
        environ = {"REBALANCER__NOTIFY__WEBHOOK_URL": self.url}
        return settings_from(values, folder=self.folder, environ=environ)


def notifying(folder, url) -> NotifyingSource:
    source = NotifyingSource(folder)
    object.__setattr__(source, "url", url)
    return source


@pytest.fixture
async def client(prefect_server):
    async with get_client() as client:
        yield client


@pytest.fixture
def logged():
    """Every line that loguru or logging gets."""
    lines = []
    sink = logger.add(lines.append, level="DEBUG", format="{level} {message}")
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: lines.append(record.getMessage())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(level)
    root.removeHandler(handler)
    logger.remove(sink)


async def test_a_run_that_waits_notifies_of_its_plan_and_page_and_then_how_it_ended(client, tmp_path):
    with receiving() as receiver:
        rehearsal = Rehearsal(tmp_path, source=notifying(tmp_path, receiver.url))
        run = rehearsal.start()
        waiting = await run.question(client)
        await run.answer(client, **YES)
        await run.ended()
    outcome = rehearsal.outcomes[-1]
    asked, ended = receiver.texts
    lines = asked.splitlines()
    assert lines[0] == "Rebalance paper …567 waits for approval"
    assert lines[1].startswith("PAPER · account …567 · until ")
    assert lines[2] == "sell 1, buy 1"
    assert lines[3].startswith("turnover ")
    assert lines[4].endswith(f"/runs/flow-run/{waiting.id}")
    assert lines[5] == f"rebalance approve {outcome.run_id}"
    assert ended.startswith("Rebalance paper …567: Completed\nexit 0: ")
    assert ACCOUNT not in str(receiver.bodies)
    shown = [
        *(path.read_text() for path in tmp_path.rglob("*") if path.is_file()),
        *(await artifacts_of(client, waiting)).values(),
        await log_of(client, waiting),
        json.dumps(waiting.parameters),
    ]
    assert not [text for text in shown if "SECRET" in text]


async def test_a_run_that_fails_or_is_refused_notifies_of_it(tmp_path):
    with receiving() as receiver:
        rehearsal = Rehearsal(tmp_path, source=notifying(tmp_path, receiver.url), approver=SaysYes())
        (tmp_path / "KILL_SWITCH").write_text("stop")
        await rehearsal.run()
        (tmp_path / "KILL_SWITCH").unlink()
        rehearsal.changes = {"fills": scripted(reject=201)}
        await rehearsal.run()
    refused, failed = receiver.texts
    assert refused.startswith("Rebalance paper …567: Refused\nexit 31: ")
    assert failed.startswith("Rebalance paper …567: Failed\nexit 27: ")


async def test_a_run_that_could_not_start_notifies_why_at_the_address_in_the_environment(client, demo, monkeypatch):
    with receiving() as receiver:
        monkeypatch.setenv("REBALANCER__NOTIFY__WEBHOOK_URL", receiver.url)
        await rebalance(csv=demo / "portfolios.csv", ini=demo / "missing.ini", return_state=True)
    (text,) = receiver.texts
    assert text.startswith("Rebalance dry_run: Refused\nexit 10: ")


async def test_a_run_whose_process_is_gone_is_notified_of_when_it_is_found(client, monkeypatch):
    made = await client.create_flow_run(rebalance, name="paper …567 GONE", parameters={}, state=Running())
    await client.update_flow_run_labels(made.id, {PROCESS_LABEL: f"{platform.node()} 4194399 12.00"})
    with receiving() as receiver:
        monkeypatch.setenv("REBALANCER__NOTIFY__WEBHOOK_URL", receiver.url)
        await end_crashed_runs(client)
    (text,) = [each for each in receiver.texts if "GONE" in each]
    assert text.startswith("Rebalance paper …567 GONE: crashed\nexit 70: the process of this run is gone; ")
    assert text.endswith(f"/runs/flow-run/{made.id}")


async def test_a_run_that_is_skipped_notifies_nobody(tmp_path):
    with receiving() as receiver:
        rehearsal = Rehearsal(tmp_path, source=notifying(tmp_path, receiver.url), approver=SaysYes())
        with rehearsal.journal.lock(AccountId(ACCOUNT), "ANOTHER"):
            outcome = await rehearsal.run()
    assert isinstance(outcome.errors[0], AccountBusy)
    assert receiver.bodies == []


async def test_a_run_goes_its_way_when_nobody_takes_the_note(tmp_path, logged):
    with socket.socket() as unanswering:
        unanswering.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unanswering.getsockname()[1]}/hook/SECRET"
        outcome = await Rehearsal(tmp_path, source=notifying(tmp_path, url), approver=SaysYes()).run()
    assert outcome.exit_code is ExitCode.DONE
    warned = [line for line in logged if line.startswith("WARNING the notification")]
    assert warned == ["WARNING the notification was not sent: ConnectError\n"]
    assert not [line for line in logged if "SECRET" in line]


async def test_a_receiver_that_refuses_is_one_warning_without_the_address(logged):
    with receiving(status=404) as receiver:
        await notify(Secret(receiver.url), NOTE)
    assert len(receiver.bodies) == 1
    assert [line for line in logged if "notification" in line] == [
        "WARNING the notification was refused: HTTP status 404\n"
    ]
    assert not [line for line in logged if "SECRET" in line]


def test_slack_and_discord_read_the_same_text_each_in_its_own_field():
    body = json.loads(request_of("https://hooks.example.com/x", NOTE).content)
    assert body["text"] == body["content"] == f"{NOTE.title}\n{NOTE.text}"
    assert body["allowed_mentions"] == {"parse": []}


def test_a_long_text_is_shortened_to_what_discord_takes():
    body = json.loads(request_of("https://hooks.example.com/x", Note("title", "x" * 3000)).content)
    assert len(body["content"]) == MOST_CHARACTERS
    assert body["content"].endswith("x …")


def test_ntfy_gets_plain_text_and_a_title():
    sent = request_of("https://ntfy.sh/topic", NOTE)
    assert sent.content == b"sell 1, buy 1"
    assert sent.headers["Title"] == "Rebalance paper ...567 waits for approval"


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://hooks.example.com/T0PQ", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://localhost/x", True),
        ("http://[::1]:8000", True),
        ("http://hooks.example.com/x", False),
        ("http://127.0.0.1@evil.example.com/x", False),
        ("http://localhost.example.com/x", False),
        ("", False),
    ],
)
def test_an_address_is_https_or_on_this_computer(monkeypatch, url, is_taken):
    monkeypatch.setenv("REBALANCER__NOTIFY__WEBHOOK_URL", url)
    found = webhook()
    assert (found is not None and found.reveal() == url) == is_taken
