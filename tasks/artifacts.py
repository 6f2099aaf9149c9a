"""What a run leaves on the Prefect page: the plan, the gates, the result."""

from __future__ import annotations

import httpx
from loguru import logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException


async def publish(key: str, markdown: str, description: str) -> None:
    """Put Markdown on the page of the flow run; nothing outside a flow run. `key` is lower case and dashes.

    A server that does not take it costs a line in the log, never the run: its report is in files.
    """
    if FlowRunContext.get() is None:
        return
    try:
        await acreate_markdown_artifact(key=key, markdown=markdown, description=description)
    except (httpx.HTTPError, PrefectException) as error:
        logger.warning("the Prefect page lacks {}: {}", key, error)
