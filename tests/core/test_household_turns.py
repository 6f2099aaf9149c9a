"""Whose turn it is: bounded, never two of one client of a gateway, and everybody's at last."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from core.household import Turn, next_turns

CLIENTS = st.integers(0, 4)
TURNS = st.sampled_from(Turn)


def accounts_of(clients):
    return [SimpleNamespace(name=f"account {number}", client=client) for number, client in enumerate(clients)]


def with_turns(clients, turns):
    accounts = accounts_of(clients)
    return accounts, {account.name: turn for account, turn in zip(accounts, turns, strict=True)}


@st.composite
def households(draw):
    clients = draw(st.lists(CLIENTS, min_size=1, max_size=12))
    turns = draw(st.lists(TURNS, min_size=len(clients), max_size=len(clients)))
    return with_turns(clients, turns)


@given(households(), st.integers(1, 6))
def test_those_chosen_may_go_on_and_no_limit_is_passed_that_was_kept(household, at_once):
    accounts, turns = household
    at_work = [account for account in accounts if turns[account.name] is Turn.AT_WORK]
    chosen = next_turns(accounts, turns, at_once)
    assert all(turns[account.name] in {Turn.TO_START, Turn.ANSWERED} for account in chosen)
    assert len(chosen) <= max(0, at_once - len(at_work))
    clients = [account.client for account in chosen]
    assert len(set(clients)) == len(clients)
    assert not set(clients) & {account.client for account in at_work}


@given(households(), st.integers(1, 6))
def test_every_account_has_its_turn_when_those_before_it_have_ended(household, at_once):
    accounts, turns = household
    for _ in range(2 * len(accounts)):
        for account in next_turns(accounts, turns, at_once):
            turns[account.name] = Turn.AT_WORK
        turns = {name: Turn.ENDED if turn is Turn.AT_WORK else turn for name, turn in turns.items()}
    assert set(turns.values()) <= {Turn.ENDED, Turn.WAITING}


def test_an_account_with_an_answer_goes_before_one_that_has_not_started():
    accounts, turns = with_turns([1, 2, 3], [Turn.TO_START, Turn.WAITING, Turn.ANSWERED])
    assert [account.name for account in next_turns(accounts, turns, 1)] == ["account 2"]


def test_one_that_waits_for_a_person_takes_nobodys_place():
    accounts, turns = with_turns([1, 1], [Turn.WAITING, Turn.TO_START])
    assert [account.name for account in next_turns(accounts, turns, 1)] == ["account 1"]
