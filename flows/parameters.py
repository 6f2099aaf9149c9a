"""How the parameters of a flow look in the forms of the Prefect pages."""

import inspect
from typing import Any, TypeVar

from prefect import Flow
from prefect.utilities.callables import parameter_schema
from pydantic import Field

AnyFlow = TypeVar("AnyFlow", bound=Flow[..., Any])

TITLES = {
    "accounts": "Accounts file (YAML)",
    "only": "Only these accounts",
    "csv": "Portfolios file (CSV)",
    "ini": "Settings file (INI)",
    "mode": "Mode",
    "account": "Account",
    "broker": "Broker",
    "market": "Market file",
    "overrides": "Settings of this run",
    "confirm_live": "Real money: I am sure",
    "in_process": "All accounts in one process",
}


def with_titles(flow: AnyFlow) -> AnyFlow:
    """The same flow, whose forms show our titles instead of the parameters' names.

    Prefect overwrites a title in an annotation by the name, but keeps one among the extras of a default, and it asks
    for the signature of the flow. So the flow gets one for the forms; the function is called with its own defaults.
    """
    given = inspect.signature(flow.fn)
    entered = [
        each.replace(
            default=Field(
                ... if each.default is each.empty else each.default, json_schema_extra={"title": TITLES[each.name]}
            )
        )
        for each in given.parameters.values()
    ]
    flow.__signature__ = given.replace(parameters=entered)  # type: ignore[attr-defined]
    flow.parameters = parameter_schema(flow)
    return flow
