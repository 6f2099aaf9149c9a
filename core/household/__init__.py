"""A household: several accounts that are rebalanced together, as accounts.yaml lists them."""

from core.household.file import household_schema
from core.household.household import BrokerClient, Household, HouseholdAccount, HouseholdApproval
from core.household.loading import load_household
from core.household.template import accounts_template

__all__ = [
    "BrokerClient",
    "Household",
    "HouseholdAccount",
    "HouseholdApproval",
    "accounts_template",
    "household_schema",
    "load_household",
]
