"""What must not be shown: account ids are masked, secrets print as stars."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# what follows "such as" is an example in one of our own messages, never a real account
ACCOUNT_FORM = re.compile(r"(?<!such as )\b(?:DU|DF|U|F)\d{5,9}\b")
VISIBLE = 3


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that shows as stars wherever it is printed, logged or formatted.

    Ours, and not pydantic's, because settings hold one and the arithmetic imports settings.

    >>> print(Secret("https://hooks.example.com/x"))
    **********
    """

    text: str = field(repr=False)

    def __str__(self) -> str:
        return "*" * 10

    def reveal(self) -> str:
        """The text itself."""
        return self.text


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
