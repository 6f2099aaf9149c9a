"""The flows; importing this sets the product's defaults for Prefect before Prefect is imported."""

from tasks.environment import set_defaults

set_defaults()
