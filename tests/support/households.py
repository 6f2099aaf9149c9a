"""A household of files: accounts of the demo, and a run of it that is ready to start."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

from core.model import BrokerKind, Mode
from tasks.app.household import HouseholdRequest, HouseholdRun

DEMO = Path(__file__).parents[2] / "deployments" / "demo"
NAMES = ("Alice", "Bob", "Carol")
HEAD = "name: Ours\nsettings: settings.ini\nportfolios: portfolios.csv\n"


def write_household(folder: Path, *, approval: str = "per_account", at_once: int = 3) -> Path:
    """The accounts.yaml of Alice, Bob and Carol, each with a client of its own, beside the files that it names."""
    shutil.copytree(DEMO, folder, dirs_exist_ok=True)
    listed = "".join(
        f"  - {{id: DU123456{number}, name: {name}, settings: {{ibkr.client_id: {10 * number}}}}}\n"
        for number, name in enumerate(NAMES, start=7)
    )
    path = folder / "accounts.yaml"
    path.write_text(f"{HEAD}approval: {approval}\nat_once: {at_once}\naccounts:\n{listed}")
    return path


def rehearsed(path: Path, **more: object) -> HouseholdRun:
    """A run of the household on the simulated broker, in paper."""
    given = {"accounts": path, "mode": Mode.PAPER, "broker": BrokerKind.SIMULATED} | more
    return HouseholdRun.of(HouseholdRequest.of(**given), str(uuid4()))
