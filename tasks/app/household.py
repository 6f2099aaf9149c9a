"""A household's run under way: its parameters, its accounts, and what it has gathered for its report."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import StrictBool, TypeAdapter

from core.errors import RunCancelled, SettingsInvalid, UsageError
from core.household import Household, HouseholdAccount, HouseholdApproval, HouseholdResult, load_household
from core.journal import Journal
from core.journal.entries import RunState
from core.model import BrokerKind, Mode, RunId
from core.model.refs import run_id_of
from core.report import report_folder
from core.text import did_you_mean, visible
from tasks.app.journals import journal_of
from tasks.app.request import FilePath, OneBroker, OneMode, Overrides, Request, checked


@dataclass(frozen=True, slots=True)
class HouseholdRequest:
    """The parameters of a household's run: `only` names the accounts that are to run, empty for all.

    `in_process` has them run in the process of the household, instead of one for each.
    """

    accounts: FilePath
    mode: OneMode = Mode.DRY_RUN
    broker: OneBroker = BrokerKind.IBKR
    market: FilePath | None = None
    overrides: Overrides = field(default_factory=dict)
    only: tuple[str, ...] = ()
    confirm_live: StrictBool = False
    in_process: StrictBool = False

    @classmethod
    def of(cls, **given: Any) -> HouseholdRequest:
        """The request that these parameters make, as `checked` does."""
        return checked(_request, given)

    def household(self, now: datetime) -> Household:
        """The household of the file.

        Raises what `load_household` raises, UsageError for names that it lacks and for orders from one process,
        SettingsInvalid where one answer cannot be for all.
        """
        if self.in_process and self.mode.sends_orders:
            raise UsageError(
                f"in_process is for modes that send no orders, and this is {self.mode}",
                next_step="leave it out: what breaks in one account then leaves the others alone",
            )
        found = load_household(self.accounts, environ=os.environ, overrides=self.overrides, now=now)
        names = {account.name for account in found.accounts}
        if unknown := [name for name in self.only if name not in names]:
            raise UsageError(
                f"{self.accounts} has no account {visible(unknown[0])}{did_you_mean(unknown[0], names)}",
                next_step="name accounts as the file does",
            )
        _check_approvers(found, self.mode)
        return found

    def parameters(self) -> dict[str, Any]:
        """The request as keyword arguments of the flow."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "only": list(self.only)}

    def accounts_of(self, household: Household) -> tuple[HouseholdAccount, ...]:
        """The accounts that are to run."""
        return tuple(account for account in household.accounts if not self.only or account.name in self.only)

    def of_account(self, household: Household, account: HouseholdAccount) -> Request:
        """The request for the run of one account."""
        return Request(
            csv=account.portfolios,
            ini=household.ini,
            mode=self.mode,
            account=f"{household.file}#{account.name}",
            broker=self.broker,
            market=self.market,
            overrides=account.overrides,
            confirm_live=self.confirm_live,
        )


_request = TypeAdapter(HouseholdRequest)


@dataclass(kw_only=True, eq=False)
class HouseholdRun:
    """One run of a household, from its start to its report, which `result` is of; None until then.

    `labels` are those of the flow run; `cancel_cause` is who cancelled it and how, `interrupt` what ends its wait then.
    `is_asked` is true once the question for all accounts was put,
    `refused` says why an account could not be started, by its name.
    """

    id: RunId
    flow_run_id: str
    request: HouseholdRequest
    household: Household
    journal: Journal
    folder: Path
    started_at: datetime
    labels: dict[str, str] = field(default_factory=dict)
    cancel_cause: RunCancelled | None = None
    interrupt: Callable[[], object] | None = None
    is_asked: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    result: HouseholdResult | None = None

    @classmethod
    def of(cls, request: HouseholdRequest, flow_run_id: str) -> HouseholdRun:
        """A run that is ready to start. Raises as the request's `household` does, OutputFailed without a journal."""
        now = datetime.now(UTC)
        household, run_id = request.household(now), run_id_of(flow_run_id)
        return cls(
            id=run_id,
            flow_run_id=flow_run_id,
            request=request,
            household=household,
            journal=_journal(request, household),
            folder=report_folder(household.settings.io.report_dir, run_id),
            started_at=now,
        )

    @property
    def accounts(self) -> tuple[HouseholdAccount, ...]:
        """The accounts that are to run."""
        return self.request.accounts_of(self.household)

    def recorded(self, run_id: RunId) -> RunState | None:
        """What is on record by now of the run of an account; None where nothing is. Raises OutputFailed."""
        # opened anew: a journal reads each run once, and it is others that write to it
        with closing(_journal(self.request, self.household)) as journal:
            try:
                return journal.state(run_id)
            except UsageError:
                return None

    def cancel(self, cause: RunCancelled) -> None:
        """Bring the run to its end: the runs of its accounts are cancelled; the first cause stands."""
        self.cancel_cause = self.cancel_cause or cause
        if self.interrupt:
            self.interrupt()


def _check_approvers(household: Household, mode: Mode) -> None:
    """Refuse one answer for all where each plan needs an approver's one-time code, which is good for one plan alone."""
    coded = [each.name for each in household.accounts if each.settings.approval.approvers]
    if coded and mode.sends_orders and household.approval is HouseholdApproval.ONE_FOR_ALL:
        raise SettingsInvalid(
            f"{household.file}: approval is one_for_all, but the approvers of {coded[0]} give a code for each plan",
            next_step="set approval: per_account, or leave approvers empty",
        )


def _journal(request: HouseholdRequest, household: Household) -> Journal:
    return journal_of(request.of_account(household, household.accounts[0]), household.settings)
