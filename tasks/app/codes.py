"""One-time codes by which approvers prove who they are (TOTP, RFC 6238): their secrets, and which code is whose.

A secret is kept in the environment of what executes the runs, or in a Secret block of the Prefect server; whoever has
the server's password can read the block, so the environment proves more.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx
import pyotp
from pydantic import SecretStr

from core.errors import ConnectionLost, SafetyRefused, UsageError
from core.masking import Secret
from core.text import visible

PREFIX = "REBALANCER_APPROVER_"
STEP_SECONDS = 30
# RFC 4226: no secret is shorter than 128 bits
LEAST_BYTES = 16
MOST_WRONG_CODES = 5


@dataclass(slots=True)
class ApproverCodes:
    """The approvers who can answer, each with a secret; `wrong` counts the codes of this run that were refused."""

    secrets: Mapping[str, Secret]
    wrong: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.secrets)

    def step_of(self, approver: str, code: str, at: float) -> int | None:
        """The time step that the code of this approver is of, at most one beside that of `at` (seconds since 1970).

        None for a code of nobody's, of somebody else's, or of another time.
        """
        secret = self.secrets.get(approver)
        if secret is None:
            return None
        now = int(at) // STEP_SECONDS
        codes = pyotp.HOTP(secret.reveal())
        # verify compares in constant time
        typed = "".join(code.split())  # authenticators show it in two halves
        fitting = [step for step in (now, now - 1, now + 1) if codes.verify(typed, step)]
        return next(iter(fitting), None)


async def read_codes(approvers: Iterable[str], *, with_blocks: bool) -> ApproverCodes | None:
    """The secrets of these approvers, as far as they have one; None without approvers.

    `with_blocks` reads the Secret blocks of the server too. Raises SafetyRefused for a secret that is none, and when
    nobody has one; ConnectionLost when the server does not answer.
    """
    names = tuple(approvers)
    if not names:
        return None
    found = {name: await find_secret(name, with_blocks=with_blocks) for name in names}
    secrets = {name: secret for name, secret in found.items() if secret is not None}
    if not secrets:
        raise SafetyRefused(
            f"nobody can approve: no approver of [approval] approvers has a secret ({', '.join(names)})",
            next_step=f"make one: rebalance approver add {names[0]}",
        )
    return ApproverCodes(secrets)


async def find_secret(name: str, *, with_blocks: bool) -> Secret | None:
    """The approver's secret, from the environment, else from the block; None when there is none.

    Raises SafetyRefused for one that is no secret, ConnectionLost when the server does not answer.
    """
    text = os.environ.get(variable_of(name)) or (await _kept_in_block(name) if with_blocks else "")
    if text and not _is_secret(text):
        raise SafetyRefused(
            f"the secret of approver {name} is not one: it has to be base32, of {LEAST_BYTES} bytes or more",
            next_step=f"make another: rebalance approver add {name}",
        )
    return Secret(text) if text else None


def variable_of(name: str) -> str:
    """The variable of the environment in which the approver's secret is looked for."""
    return f"{PREFIX}{name}"


def block_of(name: str) -> str:
    """The Secret block in which it is looked for else; its name may have no capitals and no `_`."""
    return f"rebalancer-approver-{name.lower().replace('_', '-')}"


def new_secret() -> Secret:
    """A secret of 160 bits, as authenticators take it."""
    return Secret(pyotp.random_base32())


async def save_secret(name: str, secret: Secret) -> None:
    """Keep the secret in the approver's block. Raises UsageError when there is one, and what the client raises."""
    from prefect.blocks.system import Secret as SecretBlock  # noqa: PLC0415 - takes seconds, and few need it

    try:
        await SecretBlock(value=SecretStr(secret.reveal())).asave(block_of(name))
    except ValueError:  # the name is taken
        raise UsageError(
            f"approver {name} has a secret on the server already",
            next_step=f"to replace it, delete its Secret block {block_of(name)} on the page first",
        ) from None


async def _kept_in_block(name: str) -> str:
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - takes seconds, and few need it
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415 - as above

    try:
        async with get_client() as client:
            block = await client.read_block_document_by_name(block_of(name), "secret")
    except ObjectNotFound:
        return ""
    except httpx.HTTPError as error:
        raise ConnectionLost(
            f"the Prefect server did not answer whether approver {name} has a secret: {type(error).__name__}",
            next_step="check the server, then start the run again",
        ) from None
    return str(block.data.get("value", ""))


def _is_secret(text: str) -> bool:
    try:
        return len(base64.b32decode(text, casefold=True)) >= LEAST_BYTES
    except (binascii.Error, ValueError):
        return False


def wrong_code(approver: str) -> str:
    """Why a code does not count."""
    return f"the code of {visible(approver)} is wrong, or its time is over"
