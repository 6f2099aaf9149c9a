"""`rebalance household` shows how a household ended from what its flow run left on the server."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from household_samples import sample_household
from prefect import State, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

from core.errors import ExitCode
from core.household import household_json, household_markdown
from deployments.commands.watch import show_end
from tasks.app.artifacts import publish_household

RESULT = sample_household()


@pytest.mark.parametrize("as_json", [True, False], ids=["for a program", "for a person"])
async def test_the_report_comes_from_the_page_of_the_run(as_json, prefect_server, capsys):
    name = f"household-{uuid4()}"

    @flow(flow_run_name=name, persist_result=False)
    async def ending():
        await publish_household(RESULT.run_id, household_markdown(RESULT), household_json(RESULT))
        message = f"exit {RESULT.exit_code:d}: {RESULT.reason}"
        return State(type=StateType.FAILED, message=message)

    state = await ending(return_state=True)
    async with get_client() as client:
        found = await client.read_flow_run(state.state_details.flow_run_id)
        assert await show_end(client, found, as_json=as_json) is ExitCode.UNKNOWN
    printed = capsys.readouterr().out
    if as_json:
        document = json.loads(printed)
        assert document.pop("page").endswith(str(found.id))
        assert document == json.loads(household_json(RESULT))
    else:
        assert "Who needs a person first" in printed
        assert printed.rstrip().endswith(RESULT.reason)
