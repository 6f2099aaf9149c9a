"""`rebalance status`: the server, the executor, the schedules, and every run that has not ended."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort

from core.errors import ConnectionLost, ExitCode, UsageError
from core.masking import mask_account, mask_accounts
from core.model.refs import run_id_of
from core.settings.loading import load_settings
from core.text import age_text, with_ini, without_password
from deployments.serving.server import lasting_server, page_of, server_failures
from deployments.terminal import console
from flows.account_runs import household_of, household_tag
from flows.approval import SERVER_WAITS_LONGER
from flows.liveness import FLOW_FILTER, HOUSEHOLD_LABEL, UNFINISHED, end_crashed_runs, is_alive, read_runs
from tasks.app.journals import open_journal
from tasks.app.process import Process
from tasks.app.service import Service, password, read_service

ENDED = (StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED)
MOST_ENDED = 5

Row = dict[str, Any]


def show_password() -> None:
    """Print `user:password` of the server that `rebalance up` runs. Raises UsageError when it was never started."""
    kept = password()
    if not kept:
        raise UsageError(
            "no password has been set yet", next_step="start the server with `rebalance up`, which makes one"
        )
    print(kept)  # noqa: T201 - what was asked for, and a program may read it


def show_status(ini: Path | None, *, as_json: bool) -> ExitCode:
    """Print what runs and what waits; 20 without a running executor, else 0. Runs that lost their process end first.

    Raises ConnectionLost when no server is running, or the one that is configured does not answer; what the journal
    has to say is printed all the same.
    """
    on_record, server = open_on_record(ini), lasting_server()
    if server is None:
        if not as_json:
            _print(journal_lines(on_record, ini))
        raise ConnectionLost("no Prefect server is running", next_step="start it with `rebalance up`")
    service = read_service()
    own = service if service is not None and service.api_url == server else None
    with server_failures():
        found = {**asyncio.run(_look(server, own)), "journal": on_record}
    if as_json:
        print(mask_accounts(json.dumps(found, indent=2, ensure_ascii=False)))  # noqa: T201 - what --json promises
    else:
        _print(_lines(found, ini))
    return ExitCode(found["exit_code"])


def open_on_record(ini: Path | None) -> list[Row]:
    """The runs of the journal without an end, or with orders that a person is to look up. Raises OutputFailed."""
    settings = load_settings(ini, environ=os.environ, overrides={}) if ini else None
    with closing(open_journal(settings)) as journal:
        accounts = sorted({run.account_id for run in journal.runs() if run.mode.sends_orders})
        states = [state for account in accounts for state in journal.open_runs(account)]
    return [
        {
            "run_id": state.record.run_id,
            "account": mask_account(state.record.account_id),
            "since": _time(state.record.started_at),
            "needing_person": [record.order.ref for record in state.needing_person],
        }
        for state in states
    ]


async def _look(server: str, service: Service | None) -> Row:
    async with get_client() as client:
        await end_crashed_runs(client)
        unfinished = await read_runs(client, UNFINISHED)
        ended = await read_runs(client, ENDED, sort=FlowRunSort.END_TIME_DESC, limit=MOST_ENDED)
        ended += await _ended_accounts(client, unfinished, ended)
        coming = await read_runs(client, [StateType.SCHEDULED], sort=FlowRunSort.EXPECTED_START_TIME_ASC)
        deployments = await client.read_deployments(flow_filter=FLOW_FILTER)
        flows = {each.id: each.name for each in await client.read_flows(flow_filter=FLOW_FILTER)}
    names = {each.id: f"{flows.get(each.flow_id)}/{each.name}" for each in deployments}
    waiting = [run for run in unfinished if run.state_type is StateType.PAUSED]
    is_served = service is None or service.has_executor
    return {
        "exit_code": int(ExitCode.DONE if is_served else ExitCode.CONNECTION),
        "server": {"api": without_password(server), **_process(service.server if service else None)},
        "executor": None if service is None else {"is_alive": service.has_executor, **_process(service.executor)},
        "schedules": [row for each in deployments for row in _schedules(each, names[each.id], coming)],
        "waiting": [{**_run(run, names), **_question(run)} for run in waiting],
        "running": [_run(run, names) for run in unfinished if run not in waiting],
        "ended": [_run(run, names) for run in ended],
    }


async def _ended_accounts(
    client: PrefectClient, unfinished: Iterable[FlowRun], known: Iterable[FlowRun]
) -> list[FlowRun]:
    """What has ended of the households that have not."""
    ids = {each.id for each in known}
    tags = [household_tag(run_id_of(str(run.id))) for run in unfinished if HOUSEHOLD_LABEL in run.labels]
    return [each for tag in tags for each in await read_runs(client, ENDED, tag=tag) if each.id not in ids]


def _process(process: Process | None) -> Row:
    if process is None:
        return {"pid": None, "since": None}
    return {"pid": process.pid, "since": _time(process.since)}


def _schedules(deployment: DeploymentResponse, name: str, coming: Sequence[FlowRun]) -> list[Row]:
    """The schedules of a deployment, each with the deployment's next scheduled run."""
    times = (run.expected_start_time for run in coming if run.deployment_id == deployment.id and run.auto_scheduled)
    following = next((time for time in times if time is not None), None)
    return [
        {
            "deployment": name,
            "schedule": _schedule_text(each.schedule),
            "is_on": (is_on := each.active and not deployment.paused),
            "next": _time(following) if is_on and following else None,
        }
        for each in deployment.schedules
    ]


def _schedule_text(schedule: Any) -> str:
    if isinstance(schedule, CronSchedule):
        return f"{schedule.cron} {schedule.timezone or 'UTC'}"
    return str(schedule)


def _run(run: FlowRun, names: Mapping[UUID, str]) -> Row:
    state = run.state
    return {
        "run_id": run_id_of(str(run.id)),
        "flow_run_id": str(run.id),
        "name": run.name,
        "deployment": names.get(run.deployment_id) if run.deployment_id else None,
        "household": household_of(run),
        "state": state.name if state else None,
        "message": state.message if state else None,
        "since": _time(state.timestamp) if state else None,
        "is_alive": is_alive(run) if state and not state.is_final() else False,
        "page": page_of(run),
    }


def _question(run: FlowRun) -> Row:
    """For how long it has waited for an answer, and until when it does."""
    state = run.state
    if state is None:
        return {}
    end = state.state_details.pause_timeout
    return {
        "waiting_seconds": round((datetime.now(UTC) - state.timestamp).total_seconds()),
        "expires": _time(end - timedelta(seconds=SERVER_WAITS_LONGER)) if end else None,
        "answer": f"rebalance approve {run_id_of(str(run.id))}",
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _print(lines: Iterable[str]) -> None:
    to = console()
    for line in lines:
        to.print(mask_accounts(line), markup=False, soft_wrap=True)


def _lines(found: Row, ini: Path | None) -> Iterator[str]:
    page = found["server"]["api"].removesuffix("/api")
    yield f"server    {page}{_process_text(found['server'])}"
    executor = found["executor"]
    if executor is not None:
        text = _process_text(executor) if executor["is_alive"] else "  has stopped; start it again with `rebalance up`"
        yield f"executor{text}"
    for each in found["schedules"]:
        state = f"on, next {_short(each['next'])}" if each["is_on"] else "off"
        yield f"schedule  {each['deployment']}: {each['schedule']}: {state}"
    yield from _run_lines([(kind, each) for kind in KINDS for each in found[kind]])
    alive = {each["run_id"] for kind in ("waiting", "running") for each in found[kind] if each["is_alive"]}
    yield from journal_lines(found["journal"], ini, alive)
    if not (found["waiting"] or found["running"]):
        yield "no run is waiting or running"


def _run_lines(runs: Sequence[tuple[str, Row]]) -> Iterator[str]:
    """The lines of every run, those of a household's accounts indented below the household's."""
    shown = {run["run_id"] for _, run in runs}
    for kind, run in runs:
        if run["household"] not in shown:
            yield from KINDS[kind](run)
            for other, account in runs:
                if account["household"] == run["run_id"]:
                    yield from (f"  {line}" for line in KINDS[other](account))


def _waiting_lines(run: Row) -> Iterator[str]:
    waits = age_text(timedelta(seconds=run["waiting_seconds"]))
    yield f"waiting   {_run_text(run)}: for approval, {waits} so far, until {_short(run['expires'])}"
    yield f"          {run['answer']}   {run['page']}"


def _running_lines(run: Row) -> Iterator[str]:
    yield f"running   {_run_text(run)} since {_short(run['since'])}   {run['page']}"


def _ended_lines(run: Row) -> Iterator[str]:
    yield f"ended     {_run_text(run)} at {_short(run['since'])}: {run['message'] or run['state']}"


KINDS = {"waiting": _waiting_lines, "running": _running_lines, "ended": _ended_lines}


def journal_lines(rows: Iterable[Row], ini: Path | None, alive: Collection[str] = ()) -> Iterator[str]:
    """A line for each row that somebody has to act on; a run that is alive is to be recovered by nobody."""
    for each in rows:
        needing = each["needing_person"]
        if each["run_id"] in alive and not needing:
            continue
        text = f"has an open run; if its process died: {with_ini('rebalance recover', ini)}"
        if needing:
            resolve = with_ini(f"rebalance resolve {needing[0]} --found TEXT", ini)
            text = f"is quarantined for {', '.join(needing)}: {resolve}"
        yield f"journal   account {each['account']} {text} (run {each['run_id']} since {_short(each['since'])})"


def _process_text(process: Row) -> str:
    return f"  process {process['pid']} since {_short(process['since'])}" if process["pid"] else ""


def _run_text(run: Row) -> str:
    return f"{run['run_id']} {run['name']} ({run['deployment'] or 'no deployment'}) {run['state']}"


def _short(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC" if moment else "unknown"
