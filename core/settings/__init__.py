"""Settings of a run: settings.ini, the environment and the run's overrides as one frozen, checked value."""

from core.settings.describe import Described, describe
from core.settings.loading import load_settings, settings_from, webhook_from
from core.settings.model import Settings
from core.settings.sections import LogLevel
from core.settings.template import PLACEHOLDER, settings_template

__all__ = [
    "PLACEHOLDER",
    "Described",
    "LogLevel",
    "Settings",
    "describe",
    "load_settings",
    "settings_from",
    "settings_template",
    "webhook_from",
]
