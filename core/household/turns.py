"""Whose turn it is: which accounts of a household may start or go on, beside those that are at work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto

from core.household.household import HouseholdAccount


class Turn(Enum):
    """Where the run of one account stands.

    WAITING is for a person's answer: its process is there and its connection closed, so it takes nobody's place.
    ANSWERED has an answer that it does not know yet.
    """

    TO_START = auto()
    AT_WORK = auto()
    WAITING = auto()
    ANSWERED = auto()
    ENDED = auto()


def next_turns(accounts: Sequence[HouseholdAccount], turns: Mapping[str, Turn], at_once: int) -> list[HouseholdAccount]:
    """The accounts that may start or go on now, those with an answer first: the prices they were approved at age.

    `turns` has every account's name. With those at work they are never more than `at_once`, and never two of one client
    of a gateway, which has one connection.
    """
    at_work = [account for account in accounts if turns[account.name] is Turn.AT_WORK]
    busy = {account.client for account in at_work}
    chosen: list[HouseholdAccount] = []
    for account in _in_order(accounts, turns):
        if len(at_work) + len(chosen) >= at_once:
            break
        if account.client not in busy:
            busy.add(account.client)
            chosen.append(account)
    return chosen


def _in_order(accounts: Sequence[HouseholdAccount], turns: Mapping[str, Turn]) -> Iterator[HouseholdAccount]:
    for turn in (Turn.ANSWERED, Turn.TO_START):
        yield from (account for account in accounts if turns[account.name] is turn)
