"""One run at a time has an account: runs that start at once in processes of their own, over one journal."""

from __future__ import annotations

import signal
from contextlib import closing

import pytest
from flow_runs import ACCOUNT
from racing import ASKED, ROUNDS, Start, delays, race, workers

from core.journal import Journal
from core.journal.sql import SqlStore


@pytest.fixture(scope="module")
def three():
    with workers(3) as made:
        yield made


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/journal/journal.sqlite"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_of_two_runs_at_once_one_trades_and_the_other_names_it_and_ends_with_40(three, tmp_path, url, seed):
    racers = three[:2]
    starts = [Start(ACCOUNT, tmp_path / str(number), url, after) for number, after in enumerate(delays(seed, 2))]
    first, second = sorted(race(racers, starts), key=lambda ended: ended.exit_code)
    assert (first.exit_code, second.exit_code) == (0, 40)
    assert (first.orders, second.orders) == (2, 0)
    with closing(SqlStore(url)) as store:
        (run,) = store.runs()
        assert all(record.state.is_final for record in Journal(store).orders(run.run_id))
    assert f"account ******567 is busy with run {run.run_id} (since 20" in second.reason
    assert f", process {first.process} on " in second.reason


@pytest.mark.slow
def test_three_accounts_trade_at_once(three, tmp_path, url):
    accounts = ("DU1111111", "DU2222222", "DU3333333")
    ended = race(three, [Start(account, tmp_path / account, url) for account in accounts])
    assert [(each.exit_code, each.orders) for each in ended] == [(0, 2)] * 3
    with closing(SqlStore(url)) as store:
        assert {run.account_id for run in store.runs()} == set(accounts)


@pytest.mark.slow
def test_an_account_is_free_again_when_the_process_that_has_it_is_killed(tmp_path, url):
    with workers(2) as (doomed, other):
        doomed.start(Start(ACCOUNT, tmp_path / "first", url))
        assert doomed.heard() == ASKED
        doomed.process.kill()
        doomed.process.join()
        other.start(Start("DU7654321", tmp_path / "second", url))
        assert other.heard() == ASKED
        assert other.approve().exit_code == 0
        with closing(SqlStore(url)) as store, store.lock(ACCOUNT, "AFTERWARDS22"):
            pass
        assert doomed.process.exitcode == -signal.SIGKILL
