"""`rebalance gateway`: ready when it says so, there for any client, stopped by a signal."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from ib_async import IB

from core.errors import UsageError
from deployments import cli
from deployments.commands.gateway import GatewayWorld, serve_gateway

DEMO = Path(cli.__file__).parent / "demo"
COMMAND = (str(Path(sys.executable).with_name("rebalance")), "gateway")
DEADLINE = 60

pytestmark = pytest.mark.timeout(120)


@contextmanager
def served(*arguments: str):
    """The port of a gateway in a process of its own, and the process; it is stopped by SIGTERM."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("ready 127.0.0.1:"), line + process.stderr.read()
        yield int(line.rpartition(":")[2]), process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE)


async def looked_at(port: int) -> tuple[list[str], dict[str, float]]:
    """The accounts and holdings that ib_async sees there."""
    ib = IB()
    await ib.connectAsync("127.0.0.1", port, clientId=7, timeout=DEADLINE, raiseSyncErrors=True)
    try:
        return ib.managedAccounts(), {each.contract.symbol: each.position for each in ib.portfolio()}
    finally:
        ib.disconnect()


def test_it_serves_the_demo_until_it_is_stopped():
    with served() as (port, process):
        accounts, holdings = asyncio.run(looked_at(port))
        assert accounts == ["DU1234567"]
        assert holdings["VTI"] == 260
        again, _ = asyncio.run(looked_at(port))
        assert again == accounts
    assert process.returncode == 0


@pytest.mark.slow
def test_it_serves_a_scenario_and_a_market_file_as_well(tmp_path):
    scenario = Path(__file__).parent.parent / "scenarios" / "e2e_fx_first.yaml"
    with served("--scenario", str(scenario)) as (port, _):
        assert asyncio.run(looked_at(port))[0] == ["DU1234567"]
    market = shutil.copy(DEMO / "market.yaml", tmp_path)
    with served("--market", str(market)) as (port, _):
        assert asyncio.run(looked_at(port))[1]["IWM"] == 25


def second_market(folder, **changed):
    """The demo's market with an account of its own: DU7654321 holds 3 VTI and 9 000 USD."""
    market = yaml.safe_load((DEMO / "market.yaml").read_text())
    positions = [{"symbol": "VTI", "quantity": 3, "average_cost": 300}]
    market["account"] = {"id": "DU7654321", "cash": {"USD": 9000}, "positions": positions}
    (folder / "second.yaml").write_text(yaml.safe_dump(market | changed))
    return str(folder / "second.yaml")


def test_it_serves_an_account_of_each_market_file(tmp_path):
    files = ("--market", str(DEMO / "market.yaml"), "--market", second_market(tmp_path))
    with served(*files) as (port, _):
        accounts, _ = asyncio.run(looked_at(port))
        assert accounts == ["DU1234567", "DU7654321"]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"as_of": "2026-03-03T10:30:00-05:00"}, "as_of differs"),
        ({"quotes": {"VTI": {"bid": 1, "ask": 2}}}, "the quotes of VTI differ"),
        ({"account": {"id": "DU1234567", "cash": {"USD": 1}}}, "two of them have the same account"),
    ],
)
def test_market_files_that_do_not_fit_together_are_refused(changed, fault, tmp_path):
    files = [DEMO / "market.yaml", Path(second_market(tmp_path, **changed))]
    with pytest.raises(UsageError, match=fault):
        serve_gateway(0, GatewayWorld(markets=files))


def test_what_went_over_the_wire_is_in_the_log_with_the_account_masked(tmp_path):
    log = tmp_path / "wire.jsonl"
    with served("--log", str(log)) as (port, _):
        asyncio.run(looked_at(port))
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"in", "out"} <= {entry["dir"] for entry in entries}
    assert "managedAccounts" in {entry["message"] for entry in entries}
    assert "DU1234567" not in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_only_this_machine_can_reach_it():
    with served() as (port, _):
        other = socket.gethostbyname(socket.gethostname())
        if other.startswith("127."):
            other = "127.0.0.2"
        with socket.socket() as client:
            client.settimeout(5)
            assert client.connect_ex((other, port)) != 0


@pytest.mark.slow
def test_a_port_that_is_taken_is_reported_as_such():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ended = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=DEADLINE, check=False
        )
    assert ended.returncode == 2
    assert f"port {port} is not free: address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--scenario", "none.yaml"), "none.yaml", marks=pytest.mark.slow),
        (("--market", "none.yaml"), "none.yaml"),
        pytest.param(
            ("--scenario", "a.yaml", "--market", "b.yaml"),
            "--scenario and --market cannot be combined",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_file_that_cannot_be_served_is_named(arguments, message, tmp_path):
    ended = subprocess.run(
        [*COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert message in ended.stderr
