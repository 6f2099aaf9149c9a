"""How a run asks a person: the question, the answer, and who puts the one and brings the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from core.masking import VISIBLE
from core.model import Plan


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one plan. `key` is new for each; `title` says what is asked ("Approve the plan")."""

    key: str
    title: str
    plan: Plan
    markdown: str
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `account_suffix` must be the account's last 3 characters for a yes to count."""

    approve: bool
    approver: str
    account_suffix: str
    note: str = ""


class Approver(Protocol):
    """Puts a question to whoever may answer it. `how` names the way in the journal and the report."""

    @property
    def how(self) -> str: ...

    async def ask(self, question: Question) -> Answer:
        """The answer. Raises ApprovalExpired after `question.seconds_left` of the asker's time without one."""
        ...


class AutoApprover:
    """`[safety] require_confirm = false`: whoever wrote the settings has approved every plan."""

    how = "settings"

    async def ask(self, question: Question) -> Answer:
        """Yes."""
        suffix = question.plan.account_id[-VISIBLE:]
        return Answer(approve=True, approver="[safety] require_confirm = false", account_suffix=suffix)
