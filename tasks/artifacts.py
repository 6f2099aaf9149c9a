"""What a run leaves on the Prefect page: the plan, the gates, the result."""

from __future__ import annotations

from pathlib import Path

from prefect.artifacts import acreate_markdown_artifact
from prefect.context import FlowRunContext


async def publish(key: str, markdown: str, description: str) -> None:
    """Put Markdown on the page of the flow run; nothing outside a flow run. `key` is lower case and dashes."""
    if FlowRunContext.get() is not None:
        await acreate_markdown_artifact(key=key, markdown=markdown, description=description)


def as_list(paths: tuple[Path, ...]) -> str:
    """Markdown list of the files of a report."""
    return "\n".join(f"- `{path}`" for path in paths)
