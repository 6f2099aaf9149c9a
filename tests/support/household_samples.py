"""A household that was rebalanced: one account of each ending."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from builders import NOW, fill, order_record, outcome, plan
from input_builders import made_settings

from core.errors import ApprovalExpired, ExitCode, OrderStateUnknown
from core.household import AccountResult, HouseholdAccount, HouseholdResult, account_result, crashed, not_started
from core.model import AccountId, Mode, OrderState, RunId, RunResult, Symbol, Targets
from core.money import D

SETTINGS = made_settings()
TARGETS = Targets({}, D(1), D(0), D(1))


def account(name: str = "Alice", account_id: str = "DU1234567") -> HouseholdAccount:
    return HouseholdAccount(
        name=name,
        account_id=AccountId(account_id),
        portfolios=Path("portfolios.csv"),
        overrides={},
        tags=(),
        settings=SETTINGS,
        targets=TARGETS,
    )


def household(*accounts: AccountResult, name: str = "Example household") -> HouseholdResult:
    return HouseholdResult(
        name=name,
        run_id=RunId("HHHHHHHHHH23"),
        mode=Mode.PAPER,
        started_at=NOW - timedelta(minutes=9),
        ended_at=NOW,
        accounts=accounts,
    )


def traded() -> RunResult:
    """A run that bought 10 VTI, as planned."""
    residual = {Symbol("VTI"): D(-20), Symbol("BND"): D(30)}
    return outcome(plan=plan(), orders=(order_record("VTI", fill()),), residual_drift_bps=residual)


def sample_household() -> HouseholdResult:
    """One account of each kind: traded, quarantined, unknown, expired, crashed, not started."""
    unknown = order_record(state=OrderState.UNKNOWN, reason="no answer")
    quarantined = OrderStateUnknown(
        "account ******002 is not traded: what became of RB-EARLIER23456-B1-1 is not known",
        next_step="look it up in TWS, then: rebalance resolve RB-EARLIER23456-B1-1 --found TEXT --ini FILE",
    )
    return household(
        account_result(account(), traded(), Path("reports") / "ABCDEFGHIJ23"),
        account_result(
            account("Bob | =1+1", "DU0000002"), outcome(errors=(quarantined,), run_id=RunId("BBBBBBBBBB23")), None
        ),
        account_result(
            account("Carol", "U0000003"),
            outcome(
                plan=plan(),
                orders=(order_record("VTI", fill()), unknown),
                errors=(OrderStateUnknown("what became of RB-ABCDEFGHIJ23-B1-1 is unknown"),),
                run_id=RunId("CCCCCCCCCC23"),
            ),
            Path("reports") / "CCCCCCCCCC23",
        ),
        crashed(account("Dan", "U0000004"), RunId("DDDDDDDDDD23"), "its process (U0000004) was killed"),
        account_result(
            account("Eve", "U0000005"),
            outcome(
                plan=plan(),
                errors=(ApprovalExpired("nobody answered within 3600 s", next_step="run again"),),
                run_id=RunId("EEEEEEEEEE23"),
            ),
            None,
        ),
        account_result(account("Finn", "U0000006"), outcome(run_id=RunId("FFFFFFFFFF23")), None),
        not_started(account("Grace", "U0000007"), "left out in the approval", ExitCode.DONE),
    )
