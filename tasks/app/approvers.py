"""How a run asks a person for approval: the question, the answer, and the port that carries them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from core.errors import ApprovalExpired
from core.masking import VISIBLE
from core.model import Plan


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one plan. `key` is new for each; `title` says what is asked ("Approve the plan").

    `approvers` are those who may answer, with a one-time code; without any anybody may.
    """

    key: str
    title: str
    plan: Plan
    markdown: str
    seconds_left: float
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer; `account_suffix` must be the account's last 3 characters for a yes to count.

    `code` is the approver's one-time code, where the question wants one.
    """

    approve: bool
    approver: str
    account_suffix: str
    note: str = ""
    code: str = field(default="", repr=False)


def expired(what: str = "nobody answered in time") -> ApprovalExpired:
    """The failure of a question that got no answer, or got it too late."""
    return ApprovalExpired(what, next_step="run it again when somebody is there to approve it")


class Approver(Protocol):
    """Puts a question to a person. `how` names the channel in the journal and the report."""

    @property
    def how(self) -> str: ...

    async def ask(self, question: Question) -> Answer:
        """The answer. Raises ApprovalExpired when there is none within `question.seconds_left`."""
        ...


class AutoApprover:
    """`[safety] require_confirm = false`: the settings approve every plan."""

    how = "settings"

    async def ask(self, question: Question) -> Answer:
        """Yes."""
        # the same check as for a person, so that an answer is recorded in the same form
        suffix = question.plan.account_id[-VISIBLE:]
        return Answer(approve=True, approver="[safety] require_confirm = false", account_suffix=suffix)
