"""A household: several accounts that are rebalanced together, as accounts.yaml lists them, and their one report."""

from core.household.file import household_schema
from core.household.household import BrokerClient, Household, HouseholdAccount, HouseholdApproval
from core.household.loading import load_household
from core.household.report import ACCOUNTS_TABLE, HOUSEHOLD_FILES, household_json, household_markdown, write_household
from core.household.result import AccountResult, HouseholdResult, account_result, crashed, not_started
from core.household.template import accounts_template

__all__ = [
    "ACCOUNTS_TABLE",
    "HOUSEHOLD_FILES",
    "AccountResult",
    "BrokerClient",
    "Household",
    "HouseholdAccount",
    "HouseholdApproval",
    "HouseholdResult",
    "account_result",
    "accounts_template",
    "crashed",
    "household_json",
    "household_markdown",
    "household_schema",
    "load_household",
    "not_started",
    "write_household",
]
