"""The report of a household: what the journal and the server know of each account's run, in one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from prefect.client.schemas.objects import FlowRun

from core.errors import ExitCode
from core.household import HouseholdAccount
from core.household.report import household_json, household_markdown, write_household
from core.household.result import AccountResult, HouseholdResult, account_result, crashed, not_started
from core.model import Plan
from core.model.refs import run_id_of
from core.report import report_folder
from tasks.app.artifacts import publish_household
from tasks.app.household import HouseholdRun

# as flows.states writes it
_ENDED = re.compile(r"exit ([0-9]+): (.*)", re.DOTALL)


async def report_household(run: HouseholdRun, ended: Mapping[str, FlowRun | None]) -> HouseholdResult:
    """Write the household's reports, and show them on its page. Raises OutputFailed.

    `ended` has the flow run of every account by its name, None for one that had none.
    """
    result = HouseholdResult(
        name=run.household.name,
        run_id=run.id,
        mode=run.request.mode,
        started_at=run.started_at,
        ended_at=datetime.now(UTC),
        accounts=tuple(_result(run, account, ended[account.name]) for account in run.household.accounts),
        cancelled=run.cancel_cause.message if run.cancel_cause else "",
    )
    write_household(result, run.folder)
    await publish_household(run.id, household_markdown(result), household_json(result))
    return result


def plan_of(run: HouseholdRun, found: FlowRun) -> Plan | None:
    """The newest plan of an account's run; None where none is on record."""
    state = run.recorded(run_id_of(str(found.id)))
    return state.plan if state else None


def ended_with(found: FlowRun) -> tuple[ExitCode, str] | None:
    """The exit code of a flow run and why, as its last message says; None where it says nothing of the kind."""
    ended = _ENDED.fullmatch((found.state and found.state.message) or "")
    return (ExitCode(int(ended[1])), ended[2]) if ended else None


def _result(run: HouseholdRun, account: HouseholdAccount, found: FlowRun | None) -> AccountResult:
    """How the account's run ended, by the journal; what the server says of it where the journal has nothing."""
    if account.name in run.refused:
        return not_started(account, run.refused[account.name], ExitCode.USAGE)
    if found is None or found.state is None:
        wanted = account in run.accounts
        why = run.cancel_cause.message if wanted and run.cancel_cause else "it was not among those to run"
        return not_started(account, why, ExitCode.APPROVAL_REJECTED if wanted else ExitCode.DONE)
    run_id, state = run_id_of(str(found.id)), found.state
    on_record = run.recorded(run_id)
    if on_record and on_record.result:
        return account_result(account, on_record.result, report_folder(account.settings.io.report_dir, run_id))
    ended = ended_with(found)
    if ended is None or state.is_crashed():
        return crashed(account, run_id, state.message or "its process has gone")
    exit_code, reason = ended
    return AccountResult(
        name=account.name,
        account=account.masked_id,
        state=state.name or "",
        exit_code=exit_code,
        reason=reason,
        run_id=run_id,
    )
