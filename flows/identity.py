"""What identifies a run on the Prefect page: its name, its tags, and a label for its account."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import httpx
from loguru import logger
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run as current

from core.masking import VISIBLE
from core.model import AccountId, Mode
from core.model.refs import run_id_of
from tasks.app.request import Request
from tasks.app.wiring import current_session

ACCOUNT_LABEL = "rebalance.account"


def run_name() -> str:
    """`paper …567 XHUPNDYFCAX3`: mode, account and run id, without the account when the settings cannot be read."""
    entered: dict[str, Any] = dict(current.parameters or {})
    account = _account(entered)
    masked = f"…{account[-VISIBLE:]}" if account else ""
    mode = str(entered.get("mode") or Mode.DRY_RUN)
    return " ".join(filter(None, (mode, masked, run_id_of(str(current.id)))))


async def tag_run(request: Request) -> None:
    """Tag the flow run with its mode, its broker and its masked account, beside the tags it has.

    A run that sends orders also gets a label by which runs of the same account find each other. A server that refuses
    them only causes a warning. Nothing outside a flow run.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run, account = context.flow_run, _account(request.parameters())
    tags = {*run.tags, request.mode.value, request.broker.value, *([account_tag(account)] if account else [])}
    try:
        async with get_client() as client:
            await client.update_flow_run(run.id, tags=sorted(tags))
            if account and request.mode.sends_orders:
                await client.update_flow_run_labels(run.id, {ACCOUNT_LABEL: account_key(account)})
    except (httpx.HTTPError, PrefectException) as error:
        logger.warning("the run's page does not show its tags: {}", error)


def account_tag(account: AccountId) -> str:
    """The tag of an account's runs; accounts that end alike share it.

    >>> account_tag(AccountId("DU1234567"))
    'acct-567'
    """
    return f"acct-{account[-VISIBLE:].lower()}"


@cache
def account_key(account: AccountId) -> str:
    """A hash of the whole account id, for where the id may not be shown: the same on every computer.

    It is slow on purpose, some 30 ms: there are only ten million ids of seven digits to try.
    """
    # no secret salt: the same hash must come out on every computer that trades the account
    return hashlib.scrypt(account.encode(), salt=b"ibkr-rebalancer", n=2**13, r=8, p=1, dklen=16).hex()


def _account(entered: dict[str, Any]) -> AccountId | None:
    """The account of a run with these parameters; None when the settings cannot be read."""
    try:
        source = current_session().source or Request.of(**entered).files()
        return source.settings().ibkr.account_id
    except Exception:  # noqa: BLE001 - what is wrong is reported when the run itself reads its settings
        return None
