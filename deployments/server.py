"""Which Prefect server this command talks to, and what Prefect's own failures mean here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import ConnectionLost
from core.wording import without_password


def lasting_server() -> str | None:
    """The server that the environment or Prefect's profile names; None when a run has a temporary one of its own."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


@contextmanager
def server_failures() -> Iterator[None]:
    """Raise ConnectionLost, in a line, when the server cannot be reached or does not take what the block asks of it."""
    import httpx
    from prefect.exceptions import PrefectException

    try:
        yield
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        text = next(iter(str(error).splitlines()), "") or type(error).__name__
        server = lasting_server()
        if server is None:
            raise ConnectionLost(
                f"Prefect's temporary server does not answer: {text}",
                next_step="try again, or start a lasting one with `prefect server start` and set PREFECT_API_URL",
            ) from error
        raise ConnectionLost(
            f"the Prefect server at {without_password(server)} does not answer: {text}",
            next_step="start it, or correct PREFECT_API_URL",
        ) from error
