"""A household on `rebalance up`, the user's whole way: three accounts, one answer for all, one report; and a cancel."""

from __future__ import annotations

import json

import pytest
from households import NAMES, write_household
from lasting import BIN, lasting, until
from prefect.states import Cancelling

from flows.liveness import HOUSEHOLD_FLOW

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
LONGEST = 400.0
DEPLOYMENT = f"{HOUSEHOLD_FLOW}/household"


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    with lasting(tmp_path_factory.mktemp("household")) as own:
        path = write_household(own.folder, approval="one_for_all")
        own.rebalance("up", "--port", str(own.port), "--accounts", str(path), "--broker", "simulated")
        yield own


def waiting_household(up) -> str:
    """The run of the household, once it waits for the answer for all."""
    rows = until(lambda: [row for row in up.status()["waiting"] if row["deployment"] == DEPLOYMENT], LONGEST)
    return rows[0]["run_id"]


def test_two_accounts_of_three_trade_once_after_one_answer_that_leaves_the_third_out(up):
    command = (str(BIN / "rebalance"), "household", "accounts.yaml", "--paper", "--broker", "simulated", "--json")
    with up.beside(*command, environment=up.environment) as watched:
        run_id = waiting_household(up)
        below = [row for row in up.status()["waiting"] if row["household"] == run_id]
        assert len(below) == len(NAMES)
        answer = ("--household", "ours", "--leave-out", "Carol", "--approver", "Ann")
        assert f"approved: run {run_id}" in up.rebalance("approve", run_id, *answer).stdout
        assert watched.wait(LONGEST) == 0
    printed = (up.folder / "rebalance.log").read_text()
    assert "Ours: waits for one answer for all accounts: rebalance approve" in printed
    assert "DU12345" not in printed

    folder = up.folder / "reports" / run_id
    assert {path.name for path in folder.iterdir()} >= {f"household.{kind}" for kind in ("md", "html", "csv", "json")}
    rows = {row["name"]: row for row in json.loads((folder / "household.json").read_text())["accounts"]}
    assert {name: row["exit_code"] for name, row in rows.items()} == {"Alice": 0, "Bob": 0, "Carol": 32}
    assert (rows["Carol"]["state"], rows["Carol"]["orders"]) == ("Rejected", 0)
    assert rows["Alice"]["orders"] > 0

    history = json.loads(up.rebalance("history", "--household", "accounts.yaml", "--rehearsals", "--json").stdout)
    # the other household's runs stand there too, if it came first
    ours = {row["run_id"] for row in rows.values()}
    assert sorted(row["name"] for row in history["runs"] if row["run_id"] in ours) == list(NAMES)
    result = json.loads((up.folder / "reports" / rows["Alice"]["run_id"] / "result.json").read_text())
    assert {each["approver"] for each in result["approvals"]} == {f"Ann (household {run_id})"}


def test_cancelling_a_household_cancels_the_runs_of_its_accounts(up):
    flow_run_id = up.start(DEPLOYMENT, mode="paper")
    run_id = waiting_household(up)
    with up.client() as client:
        client.set_flow_run_state(flow_run_id, Cancelling())
    state = up.ended(flow_run_id, LONGEST)
    assert state.is_cancelled()
    assert state.message.startswith("exit 32: ")
    found = json.loads((up.folder / "reports" / run_id / "household.json").read_text())
    assert {row["name"]: (row["state"], row["exit_code"]) for row in found["accounts"]} == dict.fromkeys(
        NAMES, ("Cancelled", 32)
    )
