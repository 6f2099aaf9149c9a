"""`rebalance approver add`: a secret for the one-time codes of an approver, as a QR code for the authenticator."""

from __future__ import annotations

import asyncio
import sys

import pyotp
import segno

from core.errors import UsageError
from core.masking import Secret
from core.settings.kinds import read_approvers
from core.text import visible
from tasks.app.codes import block_of, new_secret, save_secret, variable_of

ISSUER = "Rebalancer"
MARGIN = 2  # modules around the code; cameras find it with these


def add_approver(name: str, *, save: bool) -> None:
    """Make a secret and show it as QR code and text; with `save` keep it in the approver's Secret block on the server.

    It is written nowhere else. Raises UsageError for a name that no approver can have, and for `save` without a server
    or with a block that is there already; ConnectionLost when the server does not answer.
    """
    approver, secret = _checked(name), new_secret()
    if save:
        _save(approver, secret)
    _show(approver, secret)
    if save:
        print(f"It is kept in the Secret block {block_of(approver)} of the Prefect server.")  # noqa: T201
    else:
        print("Put this into the environment of `rebalance up` and workers, then restart them:")  # noqa: T201
        print(f"{variable_of(approver)}={secret.reveal()}")  # noqa: T201
    print(f"Then name {approver} in [approval] approvers of the settings.")  # noqa: T201


def _checked(name: str) -> str:
    try:
        (approver,) = read_approvers(name)
    except ValueError:
        raise UsageError(
            f"{visible(name)} cannot be the name of an approver",
            next_step="choose one of A-Z, 0-9 and _ that begins with a letter",
        ) from None
    return approver


def _show(approver: str, secret: Secret) -> None:
    uri = pyotp.TOTP(secret.reveal()).provisioning_uri(name=approver, issuer_name=ISSUER)
    print("Scan this with an authenticator app, and let nobody else see it.")  # noqa: T201
    segno.make_qr(uri, error="l").terminal(sys.stdout, border=MARGIN, compact=True)
    print(f"or type its secret: {secret.reveal()}")  # noqa: T201


def _save(approver: str, secret: Secret) -> None:
    from deployments.serving.server import lasting_server, server_failures

    if lasting_server() is None:
        raise UsageError(
            "no Prefect server is running to keep the secret",
            next_step="start one with `rebalance up`, or leave --save out and use the environment",
        )

    with server_failures():
        asyncio.run(save_secret(approver, secret))
