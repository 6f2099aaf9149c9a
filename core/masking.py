"""Account ids as anybody may see them."""

from __future__ import annotations

VISIBLE = 3


def mask_account(account_id: str) -> str:
    """The id with all but its last 3 characters replaced by `*`.

    >>> mask_account("DU1234567")
    '******567'
    """
    return "*" * max(len(account_id) - VISIBLE, 0) + account_id[-VISIBLE:]
