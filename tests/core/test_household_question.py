"""The one question about all accounts: as a person reads it, bound to all plans, and without an account id."""

from __future__ import annotations

from dataclasses import replace

from builders import plan
from goldens import assert_golden

from core.household import PlannedAccount, household_hash, household_question
from core.model import AccountId

PLANNED = [
    PlannedAccount("Alice", plan()),
    PlannedAccount("Bob | =1+1", replace(plan(), account_id=AccountId("DU7654321"))),
]
OTHERS = ["Carol: exit 25: the market of DU1234568 is closed"]


def test_the_question_as_a_person_reads_it():
    text = household_question("Ours", PLANNED, OTHERS, "Asked again (2 of 3): the answer named another household")
    assert_golden("report/household_question.md", text)
    assert "DU1234568" not in text


def test_the_hash_is_that_of_all_plans_in_any_order_and_of_no_others():
    assert household_hash(PLANNED) == household_hash(reversed(PLANNED))
    assert household_hash(PLANNED) != household_hash(PLANNED[:1])
