"""The examples of machines.md: units that systemd understands, a compose file whose parts fit, and no secret."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from programs import find, needs

from deployments import cli

DEPLOYMENTS = Path(cli.__file__).parent
EXAMPLES = DEPLOYMENTS / "examples"
UNITS = sorted(EXAMPLES.glob("*.service"))
COMPOSE = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())
INSTALLED = "/opt/ibkr-rebalancer/.venv"
# what is assigned to a name like these, and the password within a URL
SECRETS = re.compile(r"^[ ]*\w*(?:PASSWORD|AUTH)\w*\s*[=:]\s*(.+)|://[^/\s:]+:(\$\{[^}]+\}|\S+?)@", re.MULTILINE)


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_every_line_of_a_unit(unit, tmp_path):
    # it looks for the program as well, which is not installed there
    (tmp_path / unit.name).write_text(unit.read_text().replace(INSTALLED, sys.prefix))
    checked = subprocess.run(
        [find("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", tmp_path / unit.name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_exposes_little(unit):
    checked = subprocess.run(
        [find("systemd-analyze"), "security", "--offline=true", "--no-pager", "--threshold=35", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout.splitlines()[-1]


def test_every_unit_and_the_compose_file_are_named_on_the_page():
    page = (DEPLOYMENTS / "machines.md").read_text()
    assert len(UNITS) == 2
    assert all(f"(examples/{path.name})" in page for path in EXAMPLES.iterdir())


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_no_example_holds_a_secret(path):
    found = [first or second for first, second in SECRETS.findall(path.read_text())]
    assert [text for text in found if not text.startswith("${")] == []


def test_a_secret_in_an_example_would_be_found():
    text = "PREFECT_AUTH: me:secret\nurl: postgresql://me:secret@host/db\nPASSWORD=secret\n"
    assert [first or second for first, second in SECRETS.findall(text)] == ["me:secret", "secret", "secret"]


def test_every_name_in_the_compose_file_is_one_that_it_declares():
    services = COMPOSE["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        named = {text.partition(":")[0] for text in service.get("volumes", ())}
        assert {name for name in named if not name.startswith("/")} <= set(COMPOSE["volumes"])
        assert {config["source"] for config in service.get("configs", ())} <= set(COMPOSE["configs"])
        mode, _, other = service.get("network_mode", "").partition(":")
        assert mode != "service" or other in services
    waited_for = {name for service in services.values() for name in service.get("depends_on", {})}
    assert all("healthcheck" in services[name] for name in waited_for)


def test_the_compose_file_publishes_the_page_on_loopback_alone():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports == ["127.0.0.1:4200:4200"]


def test_what_the_image_is_built_from_is_there():
    lines = COMPOSE["x-rebalancer"]["build"]["dockerfile_inline"].splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied
    assert all((DEPLOYMENTS.parent / word).exists() for word in copied)


def test_a_worker_is_started_for_the_pool_of_the_deployments():
    deployments = yaml.safe_load((DEPLOYMENTS / "prefect.yaml").read_text())["deployments"]
    (pool,) = {each["work_pool"]["name"] for each in deployments}
    command = COMPOSE["services"]["worker"]["command"]
    assert command[command.index("--pool") + 1] == pool
    assert f" --pool {pool} " in (EXAMPLES / "rebalance-worker.service").read_text()
    assert f"work-pool create {pool} --type process" in (DEPLOYMENTS / "machines.md").read_text()
