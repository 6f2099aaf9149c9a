"""Whether the Prefect server may be trusted with approvals: on this computer, or over https and with a password.

Whoever reaches a server without a password can approve a plan, and whoever reads or changes what passes unencrypted
between two computers can do so with the password.
"""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
from prefect.settings import get_current_settings

from core.errors import ConnectionLost, SafetyRefused
from core.text import without_password

TIMEOUT_SECONDS = 10.0
ASKS_WHO = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


async def check_server() -> None:
    """Return for the temporary server of a run, one on this computer, and one over https that has a password.

    Raises SafetyRefused for any other, and ConnectionLost when it does not answer.
    """
    api = get_current_settings().api
    if api.url is None or is_here(api.url):
        return
    name = without_password(api.url)
    if urlsplit(api.url).scheme != "https" or api.tls_insecure_skip_verify:
        raise SafetyRefused(
            f"the Prefect server {name} is on another computer, and the connection is not a verified https one",
            next_step="give it https, or reach it through `ssh -N -L 4200:127.0.0.1:4200 HOST` and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api",
        )
    await check_password(api.url)


def is_here(url: str) -> bool:
    """Whether the address is of this computer and of no other."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def check_password(url: str) -> None:
    """Return when the API at `url` tells nothing without a password.

    Raises SafetyRefused when it does, or when that is uncertain; ConnectionLost when it does not answer.
    """
    name = without_password(url)
    verify = ssl.create_default_context(cafile=get_current_settings().api.ssl_cert_file)
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, verify=verify) as client:
            # without the user and the password that may stand in the address
            parts = urlsplit(url)
            bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
            status = (await client.post(f"{bare}/flow_runs/count", json={})).status_code
    except httpx.HTTPError as error:
        raise ConnectionLost(
            f"the Prefect server {name} does not answer: {type(error).__name__}",
            next_step="check it, and PREFECT_API_URL",
        ) from error
    if status not in ASKS_WHO:
        raise SafetyRefused(
            f"the Prefect server {name} answers whoever asks it (HTTP {status} without a password), and could be told "
            "to approve",
            next_step="set PREFECT_SERVER_API_AUTH_STRING=user:password where it runs, PREFECT_API_AUTH_STRING here",
        )
