"""How a household's run ended: a result for every account, their totals, and who needs a person first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from core.errors import ExitCode, leading
from core.household.household import HouseholdAccount
from core.masking import mask_accounts
from core.model import Currency, Mode, RunEnding, RunId, RunResult
from core.money import ZERO
from core.report.columns import commissions
from core.report.facts import drift_left_bps, turnover_usd
from core.text import counted

NOT_STARTED = "Not started"
CRASHED = "Crashed"
STATES = (*RunEnding, CRASHED, NOT_STARTED)
_MOST_NAMED = 3


class Need(StrEnum):
    """Why an account needs a person, the most urgent first."""

    QUARANTINED = "quarantined"
    UNKNOWN = "unknown order"
    CRASHED = "crashed"
    EXPIRED = "expired"
    REFUSED = "refused"
    FAILED = "failed"


_BY_STATE = {
    CRASHED: Need.CRASHED,
    RunEnding.EXPIRED: Need.EXPIRED,
    RunEnding.REFUSED: Need.REFUSED,
    RunEnding.FAILED: Need.FAILED,
}
_LOOK_UP = "look the order up in TWS or in the statement, then: rebalance resolve ORDER --found TEXT --ini FILE"
# where the failure itself does not say it
_NEXT_STEPS = {
    Need.QUARANTINED: _LOOK_UP,
    Need.UNKNOWN: _LOOK_UP,
    Need.CRASHED: "its orders may still be working: rebalance recover --ini FILE --account ID",
    Need.EXPIRED: "run the household again, and answer in time",
    Need.REFUSED: "read its report, and correct what it names",
    Need.FAILED: "read its report, then run the household again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountResult:
    """How one account of a household ended; None is a figure that nobody knows.

    `account` is its masked id. `state` is a RunEnding, `CRASHED` or `NOT_STARTED`. `orders` is how many left;
    `turnover_usd` what was sold and bought, conversions apart; `commissions` are by currency; the drifts sum the
    absolute drift of all symbols in bps. `folder` is that of its reports.
    """

    name: str
    account: str
    state: str
    exit_code: ExitCode
    reason: str
    next_step: str = ""
    run_id: RunId | None = None
    orders: int | None = 0
    turnover_usd: Decimal | None = ZERO
    commissions: Mapping[Currency, Decimal] | None = field(default_factory=dict)
    drift_before_bps: Decimal | None = None
    drift_after_bps: Decimal | None = None
    folder: Path | None = None

    @property
    def need(self) -> Need | None:
        """Why it needs a person; None for one that does not, or that a person has stopped."""
        if self.exit_code is ExitCode.UNKNOWN:
            # what is unknown before anything was sent is an order of an earlier run
            return Need.UNKNOWN if self.orders else Need.QUARANTINED
        return _BY_STATE.get(self.state)

    @property
    def is_rejected(self) -> bool:
        """Whether a person said no to its plan."""
        return self.state == RunEnding.REJECTED and self.exit_code is ExitCode.APPROVAL_REJECTED

    @property
    def what_to_do(self) -> str:
        """What the person is to do, on one line; empty where nobody is needed."""
        return "" if self.need is None else self.next_step or _NEXT_STEPS[self.need]

    @property
    def is_complete(self) -> bool:
        """Whether its figures are all that it traded; those of one with an unknown order are a lower bound."""
        is_known = None not in (self.orders, self.turnover_usd, self.commissions)
        return is_known and self.need is not Need.UNKNOWN


def account_result(account: HouseholdAccount, result: RunResult, folder: Path | None) -> AccountResult:
    """The result of an account whose run has ended, with its reports in `folder`."""
    fills = [fill for record in result.orders for fill in record.fills]
    return AccountResult(
        name=account.name,
        account=account.masked_id,
        state=result.ending,
        exit_code=result.exit_code,
        reason=mask_accounts(result.reason, account.account_id),
        next_step=mask_accounts(leading(result.errors).next_step, account.account_id) if result.errors else "",
        run_id=result.run_id,
        orders=sum(record.sent_at is not None for record in result.orders),
        turnover_usd=turnover_usd(result),
        commissions=commissions(fills),
        drift_before_bps=result.plan.totals.drift_before_bps if result.plan else None,
        drift_after_bps=drift_left_bps(result),
        folder=folder,
    )


def crashed(account: HouseholdAccount, run_id: RunId | None, why: str) -> AccountResult:
    """The result of an account whose run died without a result of its own."""
    return AccountResult(
        name=account.name,
        account=account.masked_id,
        state=CRASHED,
        exit_code=ExitCode.UNFORESEEN,
        reason=mask_accounts(why, account.account_id),
        run_id=run_id,
        orders=None,
        turnover_usd=None,
        commissions=None,
    )


def not_started(account: HouseholdAccount, why: str, exit_code: ExitCode) -> AccountResult:
    """The result of an account that had no run; the code is 0 where that was wanted."""
    return AccountResult(
        name=account.name,
        account=account.masked_id,
        state=NOT_STARTED,
        exit_code=exit_code,
        reason=mask_accounts(why, account.account_id),
    )


@dataclass(frozen=True, slots=True)
class HouseholdTotals:
    """Sums over all accounts of what is known; `incomplete` names those of which there may be more."""

    orders: int
    turnover_usd: Decimal
    commissions: Mapping[Currency, Decimal]
    incomplete: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseholdResult:
    """How the run of a household ended; `accounts` are all of them, in the order of its file.

    `cancelled` is who stopped it and how, empty where nobody did.
    """

    name: str
    run_id: RunId
    mode: Mode
    started_at: datetime
    ended_at: datetime
    accounts: tuple[AccountResult, ...]
    cancelled: str = ""

    @property
    def failed(self) -> tuple[AccountResult, ...]:
        """The accounts that ended neither with 0 nor by a person's no."""
        return tuple(each for each in self.accounts if each.exit_code is not ExitCode.DONE and not each.is_rejected)

    @property
    def rejected(self) -> tuple[AccountResult, ...]:
        """The accounts that a person said no to, or left out of a yes for the others."""
        return tuple(each for each in self.accounts if each.is_rejected)

    @property
    def exit_code(self) -> ExitCode:
        """41, then 50, where any account has it, as these need somebody at once; 29 when another failed; else 0.

        32 for a household that was cancelled, and for one whose accounts were all rejected.
        """
        codes = {each.exit_code for each in self.failed}
        urgent = (code for code in (ExitCode.UNKNOWN, ExitCode.OUTPUT) if code in codes)
        is_stopped = self.cancelled or self.rejected == self.accounts
        usual = ExitCode.HOUSEHOLD if codes else ExitCode.DONE
        return next(urgent, ExitCode.APPROVAL_REJECTED if is_stopped else usual)

    @property
    def reason(self) -> str:
        """What happened, on one line."""
        stopped = f"{self.cancelled}; " if self.cancelled else ""
        if not self.failed:
            names = ", ".join(each.name for each in self.rejected)
            done = f"done: {counted(len(self.accounts) - len(self.rejected), 'account')}"
            return f"{stopped}{done}{f'; rejected: {names}' if names else ''}"
        named = [f"{each.name} ({each.exit_code:d})" for each in self.failed[:_MOST_NAMED]]
        more = len(self.failed) - len(named)
        others = f" and {more} more" if more else ""
        count = f"{len(self.failed)} of {counted(len(self.accounts), 'account')}"
        return f"{stopped}{count} did not end well: {', '.join(named)}{others}"

    @property
    def states(self) -> Mapping[str, int]:
        """How many accounts ended in each state."""
        counts = Counter(each.state for each in self.accounts)
        return {str(state): counts[state] for state in STATES if counts[state]}

    @property
    def totals(self) -> HouseholdTotals:
        """The sums over all accounts; each currency by itself."""
        paid: dict[Currency, Decimal] = {}
        for each in self.accounts:
            for currency, amount in (each.commissions or {}).items():
                paid[currency] = paid.get(currency, ZERO) + amount
        return HouseholdTotals(
            orders=sum(each.orders or 0 for each in self.accounts),
            turnover_usd=sum((each.turnover_usd or ZERO for each in self.accounts), ZERO),
            commissions=paid,
            incomplete=tuple(each.name for each in self.accounts if not each.is_complete),
        )

    @property
    def need_person(self) -> tuple[AccountResult, ...]:
        """The accounts that need a person, the most urgent first, else in their order."""
        order = list(Need)
        needing = [(order.index(each.need), each) for each in self.accounts if each.need is not None]
        return tuple(each for _, each in sorted(needing, key=lambda ranked: ranked[0]))
