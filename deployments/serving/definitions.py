"""The deployments of the flow, and how they are registered without undoing what an operator set on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron, Schedule
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.annotations import freeze

from core.model import NEW_YORK, Mode
from deployments.options import Defaults
from flows.household import household
from flows.rebalance import rebalance


@dataclass(frozen=True, slots=True)
class Definition:
    """One deployment: its first parameters, which an operator may change, and those that stay what they are."""

    flow: Flow[..., Any]
    name: str
    description: str
    first: dict[str, Any]
    fixed: dict[str, Any]
    schedule: Schedule | None = None

    @property
    def full_name(self) -> str:
        return f"{self.flow.name}/{self.name}"


DEFINITIONS = (
    Definition(
        rebalance,
        "on-demand",
        "Rebalances when you ask for it. Paper and live send orders, after your approval.",
        first={},
        fixed={},
    ),
    Definition(
        rebalance,
        "scheduled",
        "Rebalances on weekdays: plans, then waits for your approval. Off until you switch its schedule on.",
        first={"mode": Mode.PAPER.value},
        fixed={},
        # half an hour before the close, which leaves time to approve
        schedule=Cron("30 15 * * 1-5", timezone=NEW_YORK.key, active=False, slug="weekdays"),
    ),
    Definition(
        rebalance,
        "preview",
        "What would be traded: reads the account, plans, reports. Sends no order.",
        first={},
        fixed={"mode": Mode.DRY_RUN.value},
        schedule=Cron("0 10 * * 1-5", timezone=NEW_YORK.key, active=False, slug="weekdays"),
    ),
    Definition(
        household,
        "household",
        "Rebalances every account of a household, each by a run of its own. Paper and live wait for your approval.",
        first={},
        fixed={},
    ),
)


async def register(client: PrefectClient, defaults: Defaults) -> dict[UUID, str]:
    """Register every deployment and return their ids with their names.

    One that is there already keeps its schedules, switched on or off as they are, and the parameters that
    `defaults` does not name. Raises what Prefect's client raises.
    """
    return {await _register(client, each, defaults): each.full_name for each in DEFINITIONS}


async def _register(client: PrefectClient, definition: Definition, defaults: Defaults) -> UUID:
    known, known_to_flow = await _known(client, definition), definition.flow.parameters.properties
    deployment = await definition.flow.ato_deployment(
        definition.name,
        description=definition.description,
        parameters={
            **definition.first,
            **(known.parameters if known else {}),
            **{name: value for name, value in defaults.parameters().items() if name in known_to_flow},
            # a frozen parameter is shown on the page and cannot be changed there
            **{name: freeze(value) for name, value in definition.fixed.items()},
        },
        entrypoint_type=EntrypointType.MODULE_PATH,
        # naming a schedule again would switch it off, as it is here, whatever the operator chose
        schedule=None if known else definition.schedule,
    )
    return await deployment.aapply()


async def _known(client: PrefectClient, definition: Definition) -> DeploymentResponse | None:
    try:
        return await client.read_deployment_by_name(definition.full_name)
    except ObjectNotFound:
        return None
