"""Every scenario file through the flow, in one process, against its golden result.

`make test-long` plays all of them by the command and the real Prefect server; `make test` a handful, and a sixth of the
others by the flow's body, which gives the same results in half the time.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
import yaml
from goldens import assert_golden

from core.errors import UsageError
from core.scenario import read_scenario
from deployments.commands.scenario import run_scenario, run_scenarios
from flows.rebalance import rebalance

FOLDER = Path(__file__).parent.parent / "scenarios"
FILES = sorted(FOLDER.glob("*.yaml"))
REPORTS = {"pre_trade.csv", "pre_trade.md", "post_trade.csv", "post_trade.md", "report.html", "result.json", "run.log"}

# among them each in which Prefect tries a task again
ON_THE_SERVER = (
    "e2e_fx_first",
    "exit_20_connection_lost_between_stages",
    "exit_20_connection_refused",
    "exit_21_pacing",
)
OTHERS = [path for path in FILES if path.stem not in ON_THE_SERVER]
BY_ITS_BODY = [] if os.environ.get("REBALANCER_ALL_SCENARIOS") else OTHERS[::6]
BY_COMMAND = [path for path in FILES if path not in OTHERS or os.environ.get("REBALANCER_ALL_SCENARIOS")]
NAMES = sorted(path.stem for path in (*BY_COMMAND, *BY_ITS_BODY))

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("prefect_server"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def results(prefect_server, tmp_path_factory) -> Path:
    """The folder into which `rebalance scenario FILE... --out DIR` wrote all of them."""
    out = tmp_path_factory.mktemp("scenarios")
    run_scenarios(BY_COMMAND, out)

    async def by_its_body() -> None:
        for path in BY_ITS_BODY:
            await run_scenario(read_scenario(path), out / path.stem, rebalance.fn)

    asyncio.run(by_its_body())
    return out


def result_of(results: Path, name: str) -> dict:
    return json.loads((results / name / "result.json").read_text())


def summary(result: dict) -> str:
    """What money depends on: exit code, orders, positions and cash, and the kinds of the timeline's events in order."""
    kept = {
        "exit_code": result["exit_code"],
        "orders": [order_line(order, result["run_id"]) for order in result["orders"]],
        "positions": result["positions_after"],
        "cash": result["cash_after"],
        "timeline": " ".join(event["kind"] for event in result["events"]),
    }
    return yaml.safe_dump(kept, sort_keys=False, width=110)


def order_line(order: dict, run_id: str) -> str:
    terms = [order[key] for key in ("side", "quantity", "symbol", "order_type", "limit_price")]
    ended = f"{order['status']}, {order['filled']} at {order['avg_price']}"
    return f"{order['order_ref'].replace(run_id, 'RUN')} {' '.join(map(str, terms))}: {ended}"


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_ends_as_its_golden(results, name):
    assert_golden(f"scenarios/{name}.yaml", summary(result_of(results, name)))


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("exit_")])
def test_a_scenario_named_for_an_exit_code_ends_with_it(results, name):
    assert result_of(results, name)["exit_code"] == int(name.split("_")[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_had_a_plan_leaves_every_report(results, name):
    written = {path.name for path in (results / name).iterdir()}
    if result_of(results, name)["plan"]:
        assert written >= REPORTS
    else:
        assert "result.json" in written


@pytest.mark.parametrize("name", NAMES)
def test_no_report_shows_the_account(results, name):
    for path in (results / name).iterdir():
        assert "DU1234567" not in path.read_text(), path.name


def test_there_is_a_scenario_for_every_exit_code_that_a_rehearsal_can_raise():
    codes = {int(path.stem.split("_")[1]) for path in FILES if path.stem.startswith("exit_")}
    assert codes == {2, 10, 11, 12, 20, 21, 22, 23, 24, 25, 26, 27, 28, 30, 31, 32, 33, 34, 40, 41}


def test_a_file_that_is_no_scenario_is_named_when_the_others_have_run(prefect_server, tmp_path):
    folder, out = tmp_path / "files", tmp_path / "out"
    folder.mkdir()
    (folder / "b_good.yaml").write_text((FOLDER / "exit_10_settings_invalid.yaml").read_text())
    (folder / "a_typo.yaml").write_text("nmae: text\n")
    (folder / "c_list.yaml").write_text("- text\n")
    with pytest.raises(UsageError, match="2 scenarios could not be run") as refusal:
        run_scenarios([folder], out)
    assert [each.name for each in out.iterdir()] == ["b_good"]
    assert result_of(out, "b_good")["exit_code"] == 10
    assert any("a_typo.yaml: line 1: nmae: unknown key" in fault for fault in refusal.value.faults)
    (folder / "a_typo.yaml").unlink()
    with pytest.raises(UsageError, match=r"c_list\.yaml: must be a mapping"):
        run_scenarios([folder], out)
