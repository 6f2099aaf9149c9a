"""Settings of a run: settings.ini, the environment and the run's overrides as one frozen, checked value.

What is exported here imports no pydantic, so that the arithmetic may use it; who loads settings imports
`core.settings.loading`.
"""

from core.settings.describe import KeyDescription, describe, echo
from core.settings.schema import (
    ApprovalSection,
    ExecutionSection,
    FxSection,
    IbkrSection,
    IoSection,
    LimitsSection,
    LogLevel,
    NotifySection,
    PricingSection,
    RebalanceSection,
    SafetySection,
    Settings,
)
from core.settings.template import PLACEHOLDER, settings_template

__all__ = [
    "PLACEHOLDER",
    "ApprovalSection",
    "ExecutionSection",
    "FxSection",
    "IbkrSection",
    "IoSection",
    "KeyDescription",
    "LimitsSection",
    "LogLevel",
    "NotifySection",
    "PricingSection",
    "RebalanceSection",
    "SafetySection",
    "Settings",
    "describe",
    "echo",
    "settings_template",
]
