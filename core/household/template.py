"""An accounts.yaml to start from: one account, and a second one as an example of what may differ."""

from __future__ import annotations

from string import Template

from core.settings import PLACEHOLDER

_TEXT = Template("""\
# The accounts of a household, which are rebalanced together. What is not said of an account here is in settings.ini.
# Relative paths start in the folder of this file. `rebalance check --household FILE` checks it with all that it names.

# shown in reports, and typed to approve orders for all accounts with real money
name: My household

# settings of all accounts: reports, journal and kill switch are those of this file
settings: $ini

# portfolios of the accounts that name none
portfolios: $csv

# per_account: a question for each account. one_for_all: one question with a line for each
approval: per_account

# how many accounts run at the same time (1 to 32)
at_once: 4

accounts:
  # id: as the broker writes it; never shown in full. name: at most 40 characters, no comma, each different
  - id: $account
    name: First account

  # - id: $placeholder
  #   name: Second account
  #   # its own models
  #   portfolios: second.csv
  #   # its own settings, as section.key: value. Accounts of one gateway and client_id run one after the other
  #   settings:
  #     ibkr.port: 4003
  #     rebalance.min_order_usd: 1000
  #   # words by which its runs are found
  #   tags: [pension]
""")


def accounts_template(*, ini: str, csv: str, account: str | None = None) -> str:
    """The text of an accounts.yaml over these files; without `account` its id is a text that is refused."""
    return _TEXT.substitute(ini=ini, csv=csv, account=account or PLACEHOLDER, placeholder=PLACEHOLDER)
