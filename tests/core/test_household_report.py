"""A household's one report: every account once, totals that are sums, and who needs a person first."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from builders import fill, order_record, outcome
from goldens import assert_golden
from household_samples import account, household, sample_household, traded
from hypothesis import given
from hypothesis import strategies as st

from core.errors import (
    AccountBusy,
    ApprovalExpired,
    ConnectionLost,
    ExitCode,
    OrderStateUnknown,
    OutputFailed,
    RunCancelled,
    SafetyRefused,
)
from core.household import (
    HOUSEHOLD_FILES,
    AccountResult,
    account_result,
    crashed,
    not_started,
    write_household,
)
from core.household.result import CRASHED, NOT_STARTED, Need
from core.masking import mask_account
from core.model import CAD, USD, OrderState, RunEnding
from core.money import D

RENDERS = {file.name: file.render for file in HOUSEHOLD_FILES}


def ended(*errors, name="Alice", **changes):
    """The result of an account whose run ended with these failures."""
    return account_result(account(name), outcome(errors=errors, **changes), None)


@pytest.mark.parametrize("name", RENDERS)
def test_the_report_of_a_household_is_as_its_golden(name):
    assert_golden(f"report/{name}", RENDERS[name](sample_household()))


@pytest.mark.parametrize("name", RENDERS)
def test_no_account_id_is_in_any_file_in_full(name):
    text = RENDERS[name](sample_household())
    assert not any(account_id in text for account_id in ("DU1234567", "DU0000002", "U0000003", "U0000004"))


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ((0, 0), 0),
        ((0, 32), 29),
        ((29, 26, 40), 29),
        ((26, 50), 50),
        ((50, 41, 26), 41),
    ],
)
def test_the_code_of_a_household_is_41_before_50_before_29(codes, code):
    results = (not_started(account(f"A{number}"), "", ExitCode(each)) for number, each in enumerate(codes))
    assert household(*results).exit_code == code


def test_the_reason_names_the_accounts_that_did_not_end_well():
    results = [not_started(account(f"A{number}"), "", ExitCode.FUNDS) for number in range(5)]
    assert household(*results).reason == "5 of 5 accounts did not end well: A0 (26), A1 (26), A2 (26) and 2 more"
    assert household(not_started(account(), "", ExitCode.DONE)).reason == "done: 1 account"


@pytest.mark.parametrize(
    ("result", "need"),
    [
        (ended(OrderStateUnknown("x")), Need.QUARANTINED),
        (ended(OrderStateUnknown("x"), orders=(order_record(),)), Need.UNKNOWN),
        (crashed(account(), None, "killed"), Need.CRASHED),
        (ended(ApprovalExpired("x")), Need.EXPIRED),
        (ended(SafetyRefused("x")), Need.REFUSED),
        (ended(ConnectionLost("x")), Need.FAILED),
        (ended(OutputFailed("x")), Need.FAILED),
        (ended(AccountBusy("x")), None),
        (ended(RunCancelled("x")), None),
        (ended(), None),
        (not_started(account(), "the household was stopped", ExitCode.APPROVAL_REJECTED), None),
    ],
)
def test_what_a_person_is_needed_for(result, need):
    assert result.need == need
    assert bool(result.what_to_do) == (need is not None)


def test_a_failure_says_itself_what_to_do_where_it_can():
    assert ended(SafetyRefused("x", next_step="set paper_only")).what_to_do == "set paper_only"
    assert ended(SafetyRefused("x")).what_to_do == "read its report, and correct what it names"


def test_who_needs_a_person_first_comes_first():
    assert [row.name for row in sample_household().need_person] == ["Bob | =1+1", "Carol", "Dan", "Eve"]


def test_the_figures_of_an_account_are_those_of_its_run():
    row = account_result(account(), traded(), Path("reports"))
    assert (row.state, row.exit_code, row.reason) == (RunEnding.COMPLETED, ExitCode.DONE, "done")
    assert (row.orders, row.turnover_usd, row.commissions) == (1, D("1000.10"), {USD: D("1.00")})
    assert (row.drift_before_bps, row.drift_after_bps) == (D(200), D(50))
    assert row.is_complete


@pytest.mark.parametrize(
    "orders", [(order_record("VTI", fill(commission=None)),), (order_record(state=OrderState.UNKNOWN),)]
)
def test_sums_over_what_nobody_knows_are_lower_bounds(orders):
    row = ended(OrderStateUnknown("x"), orders=orders)
    assert household(row).totals.incomplete == ("Alice",)
    assert "at least" in RENDERS["household.html"](household(row))


def test_a_file_of_a_household_that_cannot_be_made_keeps_no_other_from_being_written(tmp_path, monkeypatch):
    def render(_result):
        raise KeyError("Bob")

    broken = [replace(each, render=render) if each.name == "household.html" else each for each in HOUSEHOLD_FILES]
    monkeypatch.setattr("core.household.report.HOUSEHOLD_FILES", tuple(broken))
    with pytest.raises(OutputFailed, match=r"household\.html: unexpected: KeyError: 'Bob'"):
        write_household(sample_household(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["household.csv", "household.json", "household.md"]


def test_the_files_are_written_as_reports_are_the_json_last(tmp_path):
    paths = write_household(sample_household(), tmp_path / "HHHHHHHHHH23")
    assert [path.name for path in paths] == ["household.csv", "household.md", "household.html", "household.json"]
    assert json.loads(paths[-1].read_text())["exit_code"] == 41


AMOUNTS = st.decimals(0, 10**6, places=2)
ROWS = st.builds(
    AccountResult,
    name=st.just(""),
    account=st.integers(0, 999).map(lambda number: mask_account(f"U0000{number:03}")),
    state=st.sampled_from([*RunEnding, CRASHED, NOT_STARTED]),
    exit_code=st.sampled_from(list(ExitCode)),
    reason=st.text(max_size=20),
    orders=st.none() | st.integers(0, 50),
    turnover_usd=st.none() | AMOUNTS,
    commissions=st.none() | st.dictionaries(st.sampled_from([USD, CAD]), AMOUNTS),
)
HOUSEHOLDS = st.lists(ROWS, min_size=1, max_size=8).map(
    lambda rows: household(*(replace(row, name=f"account {number}") for number, row in enumerate(rows)))
)


@given(HOUSEHOLDS)
def test_totals_are_the_sums_of_the_accounts_and_no_currency_is_added_to_another(result):
    totals = result.totals
    assert totals.orders == sum(row.orders or 0 for row in result.accounts)
    assert totals.turnover_usd == sum(row.turnover_usd or D(0) for row in result.accounts)
    for currency in (USD, CAD):
        paid = sum((row.commissions or {}).get(currency, D(0)) for row in result.accounts)
        assert totals.commissions.get(currency, D(0)) == paid
    unknown = {row.name for row in result.accounts if None in (row.orders, row.turnover_usd, row.commissions)}
    assert unknown <= set(totals.incomplete)
    assert sum(result.states.values()) == len(result.accounts)


@given(HOUSEHOLDS)
def test_every_account_is_in_every_file_once(result):
    names = Counter(row.name for row in result.accounts)
    assert Counter(row["name"] for row in csv.DictReader(RENDERS["household.csv"](result).splitlines())) == names
    assert Counter(row["name"] for row in json.loads(RENDERS["household.json"](result))["accounts"]) == names
    markdown = RENDERS["household.md"](result).partition("## Accounts\n")[2].partition("## Totals")[0]
    assert (
        Counter(line.split(" | ")[0].strip("| ") for line in markdown.splitlines() if line.startswith("| account "))
        == names
    )
    page = RENDERS["household.html"](result).partition('<section id="accounts"')[2].partition("</section>")[0]
    assert Counter(part.partition("</th>")[0] for part in page.split('<th scope="row">')[1:]) == names


@given(HOUSEHOLDS)
def test_a_household_is_done_only_when_every_account_is_or_was_left_out_of_a_yes(result):
    codes = [row.exit_code for row in result.accounts if not row.is_rejected]
    assert (result.exit_code == 0) == (bool(codes) and not any(codes))
    assert (result.exit_code == 32) == (not codes)
