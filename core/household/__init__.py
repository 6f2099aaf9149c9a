"""A household: several accounts that are rebalanced together, as accounts.yaml lists them, and their one report."""

from core.household.file import household_schema
from core.household.household import BrokerClient, Household, HouseholdAccount, HouseholdApproval
from core.household.loading import Listed, account_id_in, load_household, read_listed
from core.household.question import PlannedAccount, household_hash, household_question
from core.household.report import ACCOUNTS_TABLE, HOUSEHOLD_FILES, household_json, household_markdown, write_household
from core.household.result import AccountResult, HouseholdResult, account_result, crashed, not_started
from core.household.template import accounts_template
from core.household.turns import Turn, next_turns

__all__ = [
    "ACCOUNTS_TABLE",
    "HOUSEHOLD_FILES",
    "AccountResult",
    "BrokerClient",
    "Household",
    "HouseholdAccount",
    "HouseholdApproval",
    "HouseholdResult",
    "Listed",
    "PlannedAccount",
    "Turn",
    "account_id_in",
    "account_result",
    "accounts_template",
    "crashed",
    "household_hash",
    "household_json",
    "household_markdown",
    "household_question",
    "household_schema",
    "load_household",
    "next_turns",
    "not_started",
    "read_listed",
    "write_household",
]
