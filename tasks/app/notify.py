"""Notify a person elsewhere that a run is waiting, or how it ended: a POST to `[notify] webhook_url`, if set.

Slack, Discord and ntfy understand it. No run depends on it: it takes a few seconds at most, and a failure is one line
in the log. The address is a secret: it appears in no log and in no error.

A skipped run notifies nobody. It has sent nothing and asks for nothing, and a schedule of many runs that finds the
account busy or the market closed would flood the channel; the page and `rebalance status` show it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.utilities.urls import url_for

from core.masking import VISIBLE, Secret, mask_accounts
from core.model import Plan, RunEnding, RunResult
from core.report import plan_summary
from core.settings.loading import webhook_from
from tasks.app.progress import log

TIMEOUT_SECONDS = 5.0
# Discord refuses more
MOST_CHARACTERS = 2000
ELLIPSIS = " …"


@dataclass(frozen=True, slots=True)
class Note:
    """A notification: a title of one line, and some lines of text."""

    title: str
    text: str


async def notify(url: Secret | None, note: Note | None) -> None:
    """Send the note; nothing without an address or a note. What goes wrong is one warning."""
    if url is None or note is None:
        return
    address = url.reveal()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with _unlogged(address):
                status = await _posted(address, note)
    except Exception as error:  # noqa: BLE001 - whatever it is, no run depends on it
        log("WARNING", "the notification was not sent: {}", type(error).__name__)
        return
    if status >= httpx.codes.MULTIPLE_CHOICES:
        log("WARNING", "the notification was refused: HTTP status {}", status)


def webhook() -> Secret | None:
    """The address in the environment, for what has no settings: a run that could not start, one that crashed.

    None without one, and when it is not valid.
    """
    return webhook_from(os.environ)


def page() -> str | None:
    """The address of the flow run's page; None outside a flow run, and on a server without pages."""
    context = FlowRunContext.get()
    return url_for(context.flow_run) if context and context.flow_run else None


def waiting_note(plan: Plan, page: str | None) -> Note:
    """That a run is waiting for approval: the plan in three lines, and where to answer."""
    places = [page or "", f"rebalance approve {plan.run_id}"]
    return Note(
        f"Rebalance {plan.mode.value} …{plan.account_id[-VISIBLE:]} waits for approval",
        "\n".join(filter(None, (*plan_summary(plan), *places))),
    )


def ended_note(outcome: RunResult, page: str | None) -> Note | None:
    """How a run ended; None for one that was skipped."""
    if outcome.ending is RunEnding.SKIPPED:
        return None
    account = f" …{outcome.account_id[-VISIBLE:]}" if outcome.account_id else ""
    reason = mask_accounts(f"exit {outcome.exit_code:d}: {outcome.reason}", outcome.account_id)
    return Note(
        f"Rebalance {outcome.mode.value}{account}: {outcome.ending.value}",
        "\n".join(filter(None, (reason, page or "", f"run {outcome.run_id}"))),
    )


def crashed_note(run: FlowRun, reason: str) -> Note:
    """That a run crashed, since its process is gone; `reason` is the message on its page."""
    return Note(f"Rebalance {run.name}: crashed", "\n".join(filter(None, (reason, url_for(run)))))


def request_of(address: str, note: Note) -> httpx.Request:
    """The request that sends the note: text for ntfy, JSON for everybody else."""
    if (urlsplit(address).hostname or "").startswith("ntfy"):
        title = note.title.replace("…", "...").encode("ascii", "ignore").decode()
        return httpx.Request("POST", address, content=_short(note.text).encode(), headers={"Title": title})
    text = _short(f"{note.title}\n{note.text}")
    # Slack reads `text`, Discord `content`, and no name in it may ping anybody
    return httpx.Request("POST", address, json={"text": text, "content": text, "allowed_mentions": {"parse": []}})


async def _posted(address: str, note: Note) -> int:
    is_here = urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=not is_here) as client:
        return (await client.send(request_of(address, note))).status_code


def _short(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - len(ELLIPSIS)] + ELLIPSIS


@contextmanager
def _unlogged(address: str) -> Iterator[None]:
    """Keep httpx from logging the address while the block runs."""

    def is_without_address(record: logging.LogRecord) -> bool:
        return address not in record.getMessage()

    loggers = [logging.getLogger(name) for name in ("httpx", "httpcore", "httpcore.http11")]
    for each in loggers:
        each.addFilter(is_without_address)
    try:
        yield
    finally:
        for each in loggers:
            each.removeFilter(is_without_address)
