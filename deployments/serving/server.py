"""Which Prefect server this command talks to, and what Prefect's own failures mean here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core.errors import ConnectionLost
from core.text import without_password

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun


def lasting_server() -> str | None:
    """The API of the server that the environment or Prefect's profile names, else of the one that `rebalance up` runs.

    None when a run has a temporary one of its own.
    """
    from prefect.settings import get_current_settings

    from tasks.app.service import use_lasting_server

    use_lasting_server()
    return get_current_settings().api.url


def first_line(error: BaseException) -> str:
    """The first line of an error of the client, which may be a page long; its type for one without a text."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def page_of(run: FlowRun) -> str:
    """The address of the run's page."""
    from prefect.utilities.urls import url_for

    return url_for("flow-run", run.id) or ""


@contextmanager
def server_failures() -> Iterator[None]:
    """Raise ConnectionLost, on one line, when the server cannot be reached or refuses a request of the block."""
    import httpx
    from prefect.exceptions import PrefectException

    try:
        yield
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        text = first_line(error)
        server = lasting_server()
        if server is None:
            raise ConnectionLost(
                f"Prefect's temporary server does not answer: {text}",
                next_step="try again, or start a lasting one with `rebalance up`",
            ) from error
        raise ConnectionLost(
            f"the Prefect server at {without_password(server)} does not answer: {text}",
            next_step="start it (`rebalance up`), or correct PREFECT_API_URL",
        ) from error
