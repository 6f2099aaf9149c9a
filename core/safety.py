"""What may never happen, whatever the plan is: orders in the wrong mode, account or port, or with the kill switch on.

Nothing here depends on the market. Every refusal is one sentence with the account masked. In modes that send no orders
only the account is checked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.errors import ConnectionLost, KillSwitchOn, OutputFailed, SafetyRefused, UsageError
from core.masking import mask_account
from core.model import AccountId, BrokerKind, Mode
from core.settings import Settings
from core.text import age_text, visible

# individual and advisor paper accounts
PAPER_PREFIXES = ("DU", "DF")
# IB Gateway and TWS as installed; their paper ports are 4002 and 7497
LIVE_PORTS = frozenset({4001, 7496})


def check_mode(settings: Settings, mode: Mode, *, confirm_live: bool, broker: BrokerKind) -> None:
    """Refuse, before anything is connected, a mode that settings or command do not allow.

    `confirm_live` is the second confirmation for live; it does not replace the approval. Raises SafetyRefused, and
    UsageError for live on a broker that is not the real one.
    """
    if not mode.sends_orders:
        return
    if settings.ibkr.read_only:
        raise SafetyRefused(
            f"mode {mode} sends orders, but [ibkr] read_only is true",
            next_step="use a dry run, or set [ibkr] read_only = false",
        )
    _check_approvers(settings)
    if mode is Mode.LIVE:
        _check_live(settings, confirm_live=confirm_live, broker=broker)
    _check_account(settings.ibkr.account_id, mode)
    _check_port(settings.ibkr.port, mode)


def check_gateway(settings: Settings, mode: Mode, *, port: int | None, managed: Sequence[AccountId]) -> None:
    """Refuse a gateway that does not manage the account, in every mode, or whose port is not for this mode.

    `port` is the connection's own, None where there is none. Raises SafetyRefused.
    """
    account = settings.ibkr.account_id
    # in every mode: a plan or a report of another account than the one meant misleads
    if account not in managed:
        known = ", ".join(mask_account(other) for other in sorted(managed)) or "none"
        raise SafetyRefused(
            f"account {mask_account(account)} is not managed by this gateway (it manages {known})",
            next_step="correct [ibkr] account_id, or log the gateway in as the user of that account",
        )
    if mode.sends_orders:
        _check_account(account, mode)
        _check_port(port, mode)


def check_clock(mode: Mode, gap: timedelta) -> str:
    """The warning about a venue's clock that is `gap` ahead of this computer's; empty when they agree.

    Raises ConnectionLost in mode live: one of the two is wrong, and what a person approves has a time.
    """
    if not gap:
        return ""
    direction = "ahead of" if gap > timedelta(0) else "behind"
    text = f"the gateway's clock is {age_text(abs(gap))} {direction} this computer's"
    if mode is Mode.LIVE:
        raise ConnectionLost(text, next_step="synchronize both clocks with a time server, then start the run again")
    return f"{text}; the run uses the gateway's"


def check_kill_switch(path: Path) -> None:
    """Raise KillSwitchOn when anything is at `path`, or when that cannot be determined.

    A folder or a link to nowhere counts as well: whoever put it there meant to stop.
    """
    try:
        is_on = _exists(path)
    except (OSError, ValueError) as error:
        raise KillSwitchOn(
            f"the kill switch is treated as on: {path} cannot be checked ({_why(error)})",
            next_step="make that path readable, or correct [safety] kill_switch_file; nothing is sent until then",
        ) from None
    if is_on:
        raise KillSwitchOn(
            f"the kill switch is on: {path} exists",
            next_step="find out who stopped trading and why; when it is safe again: rebalance go --ini FILE",
        )


def write_kill_switch(path: Path, *, by: str, at: datetime) -> None:
    """Create the kill switch at `path`, with a note of who and when; one that is there already stays as it is.

    Raises OutputFailed when it could not be created.
    """
    handle = _created(path)
    if handle is None:
        return
    moment = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    note = f"stopped by {visible(by)} at {moment}; rebalance go --ini FILE removes this file\n"
    # on a full disk the note is lost, but the file is there, and so the switch is on
    with suppress(OSError), os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(note)
        file.flush()
        os.fsync(handle)


def remove_kill_switch(path: Path) -> bool:
    """Remove the kill switch; whether there was one. Raises OutputFailed when it could not be removed."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise _failed("remove", path, _why(error)) from None
    return True


def _created(path: Path) -> int | None:
    """A handle on the new file, or None when something is there already. Raises OutputFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _failed("write", path, _why(error)) from None
    try:
        # in place, not renamed from a copy: it stops from the moment it exists
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return None
    except OSError as error:
        raise _failed("write", path, _why(error)) from None


def _check_live(settings: Settings, *, confirm_live: bool, broker: BrokerKind) -> None:
    if settings.safety.paper_only:
        raise SafetyRefused(
            "mode live is refused, since [safety] paper_only is true",
            next_step="use mode paper, or set [safety] paper_only = false",
        )
    if not confirm_live:
        raise SafetyRefused(
            "mode live needs a second, explicit confirmation",
            next_step="add --yes or --confirm-live in the terminal, or confirm_live to the run's parameters",
        )
    # two settings must agree: one alone may have been copied from a paper account
    if not (settings.safety.require_confirm or settings.safety.live_without_approval):
        raise SafetyRefused(
            "mode live without approval is refused, since [safety] require_confirm is false",
            next_step="set [safety] require_confirm = true, or also live_without_approval = true if that is intended",
        )
    if broker is not BrokerKind.IBKR:
        raise UsageError(
            "mode live runs on broker ibkr only, never in a rehearsal",
            next_step="use mode paper to rehearse, or --broker ibkr",
        )


def _check_approvers(settings: Settings) -> None:
    # whoever starts a run may set require_confirm, and must not do away with the approvers by that
    if settings.approval.approvers and not settings.safety.require_confirm:
        raise SafetyRefused(
            "[approval] approvers wants a person's code, and [safety] require_confirm = false asks nobody",
            next_step="set [safety] require_confirm = true, or remove the approvers",
        )


def _check_account(account: AccountId, mode: Mode) -> None:
    is_paper = account.startswith(PAPER_PREFIXES)
    if mode is Mode.PAPER and not is_paper:
        raise SafetyRefused(
            f"mode paper is refused for account {mask_account(account)}: paper accounts begin with DU or DF",
            next_step="set [ibkr] account_id to the paper account",
        )
    if mode is Mode.LIVE and is_paper:
        raise SafetyRefused(
            f"mode live is refused for account {mask_account(account)}: it is a paper account",
            next_step="use mode paper, or set [ibkr] account_id to the live account",
        )


def _check_port(port: int | None, mode: Mode) -> None:
    if mode is Mode.PAPER and port in LIVE_PORTS:
        raise SafetyRefused(
            f"mode paper is refused on port {port}, which is a live port",
            next_step="set [ibkr] port to 4002 (IB Gateway) or 7497 (TWS) and log in to the paper account",
        )


def _exists(path: Path) -> bool:
    """Whether anything, be it a broken link, is at `path`. Raises OSError or ValueError when that is uncertain."""
    try:
        path.lstat()
    except FileNotFoundError:
        _require_sound_folders(path)
        return False
    return True


def _require_sound_folders(path: Path) -> None:
    """Raise OSError where a folder on the way to `path` is a link to nowhere, behind which the file may well be."""
    nearest = next(folder for folder in path.parents if folder.is_symlink() or folder.exists())
    if not nearest.exists():
        raise FileNotFoundError(f"{nearest} is a broken link")


def _why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _failed(verb: str, path: Path, why: str) -> OutputFailed:
    return OutputFailed(
        f"cannot {verb} the kill switch {path}: {why}",
        next_step=f"{verb} it by hand; to stop a run at once, cancel it",
    )
