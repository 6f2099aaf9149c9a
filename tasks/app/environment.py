"""What the product wants of the environment before Prefect and Great Expectations are imported."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_state_path

DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # the temporary server needs more than Prefect's own 20 s on a small machine
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}


def set_defaults() -> None:
    """Telemetry off and a patient server start, unless the environment says otherwise."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def state_folder() -> Path:
    """The product's own folder for what outlives a command: $REBALANCER_HOME, else the user's state folder."""
    home = os.environ.get("REBALANCER_HOME")
    return Path(home).absolute() if home else user_state_path("ibkr-rebalancer")
