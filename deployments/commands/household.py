"""`rebalance check --household`: a household's files, all of them, and a line for each account."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from core.household import Household, HouseholdAccount, load_household
from core.text import counted
from deployments import terminal


def check_household(path: Path, overrides: Mapping[str, str], *, as_json: bool) -> None:
    """Validate accounts.yaml and all that it names, and print its accounts.

    Raises SettingsInvalid or PortfoliosInvalid with every fault.
    """
    household = load_household(path, environ=os.environ, overrides=overrides, now=datetime.now(UTC))
    if as_json:
        print(json.dumps(_document(household), indent=2, ensure_ascii=False))  # noqa: T201 - the document that --json promises
        return
    terminal.console().print(_table(household))
    terminal.show_warnings(
        f"{account.name}: {text}" for account in household.accounts for text in account.settings.warnings
    )


def _table(household: Household) -> Table:
    accounts = household.accounts
    title = f"{household.name}: {counted(len(accounts), 'account')}, {household.at_once} at once, {household.approval}"
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    for heading in ("name", "account", "portfolios", "symbols", "gateway", "client", "tags"):
        # what identifies an account and a gateway is whole on 80 columns too; names and paths are folded
        is_whole = heading in {"account", "gateway"}
        is_number = heading in {"symbols", "client"}
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold", no_wrap=is_whole)
    for account in accounts:
        client = account.client
        table.add_row(
            escape(account.name),
            account.masked_id,
            escape(_portfolios(household, account)),
            str(len(account.targets.weights)),
            f"{escape(client.host)}:{client.port}",
            str(client.client_id),
            ", ".join(account.tags),
        )
    return table


def _portfolios(household: Household, account: HouseholdAccount) -> str:
    """The path as a person wrote it, where it is below the household's folder."""
    folder = household.file.parent
    return str(
        account.portfolios.relative_to(folder) if account.portfolios.is_relative_to(folder) else account.portfolios
    )


def _document(household: Household) -> dict[str, Any]:
    return {
        "name": household.name,
        "settings": str(household.ini),
        "approval": household.approval,
        "at_once": household.at_once,
        "accounts": [_account(account) for account in household.accounts],
    }


def _account(account: HouseholdAccount) -> dict[str, Any]:
    client, targets = account.client, account.targets
    return {
        "name": account.name,
        "account": account.masked_id,
        "portfolios": str(account.portfolios),
        "gateway": f"{client.host}:{client.port}",
        "client_id": client.client_id,
        "messages_per_second": account.settings.ibkr.max_messages_per_second,
        "tags": list(account.tags),
        "targets": {symbol: float(weight) for symbol, weight in targets.weights.items()},
        "gross": float(targets.gross),
        "net": float(targets.net),
    }
