"""The environment that Prefect and Great Expectations are to be imported with, and the product's own folder."""

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
    """Telemetry off and more time for the server to start, unless the environment sets these itself."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def state_folder() -> Path:
    """The product's own folder for what outlives a command: $REBALANCER_HOME, else the user's state folder."""
    home = os.environ.get("REBALANCER_HOME")
    return Path(home).absolute() if home else user_state_path("ibkr-rebalancer")
