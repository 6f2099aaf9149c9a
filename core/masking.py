"""Account ids as anybody may see them."""

from __future__ import annotations

import re

# what follows "such as" is an example of our own messages, never anybody's account
ACCOUNT_FORM = re.compile(r"(?<!such as )\b(?:DU|DF|U|F)\d{5,9}\b")
VISIBLE = 3


def mask_account(account_id: str) -> str:
    """The id with all but its last 3 characters replaced by `*`.

    >>> mask_account("DU1234567")
    '******567'
    """
    return "*" * max(len(account_id) - VISIBLE, 0) + account_id[-VISIBLE:]


def mask_accounts(text: str, *known: str) -> str:
    """The text with every `known` account id, and whatever else has the form of one, masked.

    >>> mask_accounts("DU1234567 is not U7654321")
    '******567 is not *****321'
    >>> mask_accounts("an id such as DU1234567")
    'an id such as DU1234567'
    """
    for account_id in filter(None, known):
        text = text.replace(account_id, mask_account(account_id))
    return ACCOUNT_FORM.sub(lambda found: mask_account(found.group()), text)
