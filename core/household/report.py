"""The one report of a household: household.csv, .md, .json and .html, all from a HouseholdResult alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.household.result import AccountResult, HouseholdResult
from core.masking import mask_accounts
from core.model import USD
from core.money import ZERO
from core.report import ReportFile, formats, write_files
from core.report.columns import Column, Columns, csv_of, figures_of, left, markdown_of, right
from core.report.documents import number_or_none, numbers
from core.report.facts import Fact, balances_text, usd
from core.report.formats import UNKNOWN, bullets, document, section, table
from core.report.sections import mode_text
from core.report.web_page import PageSection, figures_grid, grid_of, render
from core.text import counted

_NOBODY = "Nobody is needed."
# the answers are to fit the first screen, of a phone too
_MOST_IN_SUMMARY = 3


def _commissions(row: AccountResult) -> str:
    """`1.00 USD + 2.50 CAD`, for programs; empty where nothing was paid, or nobody knows what."""
    return " + ".join(
        f"{formats.money(amount)} {currency}" for currency, amount in sorted((row.commissions or {}).items())
    )


def _known_commissions(row: AccountResult) -> str:
    return UNKNOWN if row.commissions is None else balances_text(row.commissions or {USD: ZERO})


def _orders(row: AccountResult) -> str:
    return "" if row.orders is None else str(row.orders)


NAME: Column[AccountResult] = left("name", lambda row: row.name)
TURNOVER: Column[AccountResult] = right(
    "turnover_usd",
    lambda row: formats.money(row.turnover_usd),
    title="turnover USD",
    reading=lambda row: formats.amount(row.turnover_usd) or UNKNOWN,
)
ACCOUNTS_TABLE: Columns[AccountResult] = (
    NAME,
    left("account", lambda row: row.account),
    left("state", lambda row: row.state),
    right("exit_code", lambda row: f"{row.exit_code:d}", title="exit"),
    right("orders", _orders, reading=lambda row: _orders(row) or UNKNOWN),
    TURNOVER,
    right("commissions", _commissions, reading=_known_commissions),
    right("drift_before_bps", lambda row: formats.bps(row.drift_before_bps), title="drift before"),
    right("drift_after_bps", lambda row: formats.bps(row.drift_after_bps), title="drift after"),
)
"""What fits a screen."""

ACCOUNTS_FILE: Columns[AccountResult] = (
    *ACCOUNTS_TABLE,
    left("run_id", lambda row: row.run_id or ""),
    left("reason", lambda row: row.reason),
    left("report", lambda row: str(row.folder or "")),
)
NEEDS: Columns[AccountResult] = (
    NAME,
    left("why", lambda row: row.need or ""),
    left("what to do", lambda row: row.what_to_do),
)


def household_csv(result: HouseholdResult) -> str:
    """household.csv: a row for each account, in the order of accounts.yaml."""
    return mask_accounts(csv_of(ACCOUNTS_FILE, result.accounts))


def household_markdown(result: HouseholdResult) -> str:
    """household.md: how it ended, who needs a person first, then every account, the totals and the reasons."""
    text = document(
        f"# Household {formats.plain(result.name)}: {formats.plain(result.reason)}",
        table(("household", result.name), _about(result)),
        section("Who needs a person first", markdown_of(NEEDS, result.need_person) or _NOBODY),
        section("Accounts", markdown_of(ACCOUNTS_TABLE, result.accounts)),
        section("Totals", figures_of("total", _totals(result))),
        section("What happened", bullets(_reasons(result))),
        section("Reports", bullets(_reports(result))),
    )
    return mask_accounts(text)


def household_json(result: HouseholdResult) -> str:
    """household.json. Every key is always there; null is a figure that nobody knows.

    - `name`, `run_id`, `mode`, `started_at`, `ended_at` (UTC), `exit_code`, `reason`
    - `accounts`, in the order of accounts.yaml: `name`, `account` (masked), `state`, `exit_code`, `reason`, `need`
      (null where nobody is needed), `what_to_do`, `run_id` (null without a run), `orders`, `turnover_usd`,
      `commissions` by currency, `drift_before_bps`, `drift_after_bps`, `report` (a folder, null for none)
    - `states`: accounts by state; `totals`: `orders`, `turnover_usd`, `commissions` by currency, and `incomplete`: the
      names of accounts that may have traded more
    - `need_person`: names of accounts, the most urgent first
    """
    totals = result.totals
    found = {
        "name": result.name,
        "run_id": result.run_id,
        "mode": result.mode,
        "started_at": formats.utc(result.started_at),
        "ended_at": formats.utc(result.ended_at),
        "exit_code": int(result.exit_code),
        "reason": result.reason,
        "accounts": [_account(row) for row in result.accounts],
        "states": dict(result.states),
        "totals": {
            "orders": totals.orders,
            "turnover_usd": number_or_none(totals.turnover_usd),
            "commissions": numbers(totals.commissions),
            "incomplete": list(totals.incomplete),
        },
        "need_person": [row.name for row in result.need_person],
    }
    return mask_accounts(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def household_html(result: HouseholdResult) -> str:
    """household.html: the same on one page, for a browser, a phone and paper."""
    sections = [
        PageSection("Who needs a person first", grids=(grid_of("needs", NEEDS, result.need_person),)),
        PageSection("Accounts", grids=(grid_of("accounts", ACCOUNTS_TABLE, result.accounts),)),
        PageSection("Totals", grids=(figures_grid("total", _totals(result)),)),
        PageSection("What happened", lines=tuple(_reasons(result))),
        PageSection("Reports", lines=tuple(_reports(result))),
    ]
    times = f"{formats.utc(result.started_at)} to {formats.utc(result.ended_at)}"
    page = render(
        "report.html",
        sections,
        title=f"Household {result.name}",
        headline=f"Household {result.name}: exit {result.exit_code:d}",
        meta=f"{counted(len(result.accounts), 'account')} · {mode_text(result.mode)} · {times}",
        mood="bad" if result.failed else "good",
        summary=_summary(result),
    )
    return mask_accounts(page)


HOUSEHOLD_FILES: tuple[ReportFile[HouseholdResult], ...] = (
    ReportFile("household.csv", "a row for each account", household_csv),
    ReportFile("household.md", "how every account ended, and who needs a person first", household_markdown),
    ReportFile("household.html", "all of it on one page, for a browser and for paper", household_html),
    # last, so that a program that sees it finds the others
    ReportFile("household.json", "the household for programs", household_json),
)
"""Written when the household's run has ended, in this order."""


def write_household(result: HouseholdResult, folder: Path) -> tuple[Path, ...]:
    """Write `HOUSEHOLD_FILES` into the folder, as reports are written; their paths.

    A file that cannot be made or written does not prevent the others; OutputFailed then names each that failed.
    """
    return write_files(HOUSEHOLD_FILES, result, folder)


def _about(result: HouseholdResult) -> list[Fact]:
    code = result.exit_code
    return [
        ("exit code", f"{code.value} {code.name.lower()}"),
        ("mode", mode_text(result.mode)),
        ("run", result.run_id),
        ("started", formats.utc(result.started_at)),
        ("ended", formats.utc(result.ended_at)),
    ]


def _totals(result: HouseholdResult) -> list[Fact]:
    totals = result.totals
    facts = [
        ("accounts", str(len(result.accounts))),
        *((state.lower(), str(number)) for state, number in result.states.items()),
        ("orders sent", str(totals.orders)),
        ("turnover", usd(totals.turnover_usd)),
        ("commissions", balances_text(totals.commissions or {USD: ZERO})),
    ]
    incomplete = [("at least, as not all is known of", ", ".join(totals.incomplete))] if totals.incomplete else []
    return [*facts, *incomplete]


def _reasons(result: HouseholdResult) -> Iterator[str]:
    """A line for each account that is not simply done."""
    for row in result.accounts:
        if row.reason != "done":
            yield f"{row.name} (exit {row.exit_code:d}): {row.reason}"


def _reports(result: HouseholdResult) -> Iterator[str]:
    return (f"{row.name}: {row.folder}" for row in result.accounts if row.folder)


def _summary(result: HouseholdResult) -> list[tuple[str, list[str]]]:
    """The three questions of whoever opens the page, with their answers."""
    totals = result.totals
    states = ", ".join(f"{number} {state.lower()}" for state, number in result.states.items())
    least = "at least " if totals.incomplete else ""
    traded = f"{least}{counted(totals.orders, 'order')}, turnover {usd(totals.turnover_usd)}"
    needing = [f"{row.name}: {row.need}" for row in result.need_person[:_MOST_IN_SUMMARY]]
    more = len(result.need_person) - len(needing)
    return [
        ("What happened?", [f"{states}.", f"{traded[:1].upper()}{traded[1:]}."]),
        ("Did it work?", [f"{result.reason[:1].upper()}{result.reason[1:]}."]),
        ("Who needs a person first?", [*needing, *([f"and {more} more"] if more > 0 else [])] or [_NOBODY]),
    ]


def _account(row: AccountResult) -> dict[str, Any]:
    return {
        "name": row.name,
        "account": row.account,
        "state": row.state,
        "exit_code": int(row.exit_code),
        "reason": row.reason,
        "need": row.need,
        "what_to_do": row.what_to_do,
        "run_id": row.run_id,
        "orders": row.orders,
        "turnover_usd": number_or_none(row.turnover_usd),
        "commissions": None if row.commissions is None else numbers(row.commissions),
        "drift_before_bps": number_or_none(row.drift_before_bps),
        "drift_after_bps": number_or_none(row.drift_after_bps),
        "report": None if row.folder is None else str(row.folder),
    }
