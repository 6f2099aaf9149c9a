"""The broker's codes: what each asks for, and which of them end an order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.broker.error_codes import CODES, Ends, ErrorKind, meaning_of, reject_reason_of
from core.model import RejectReason
from core.sim.gateway.error_texts import TEXTS

REFUSES_WHAT_IS_NEW = (100, 109, 110, 111, 113, 200, 203, 320, 321, 434, 460, 10243)
ENDS_ANY = (201,)


def test_each_code_stands_once_with_a_meaning_and_a_source():
    assert all(code.number == number and code.meaning and code.source for number, code in CODES.items())


def test_every_code_that_the_simulated_gateway_sends_is_known():
    assert set(TEXTS) <= set(CODES)


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (ErrorKind.INFORMATION, (102, 300, 309, 317, 399, 2104, 2106, 2107, 2108, 2109, 2119, 2158, 10167, 10349)),
        (ErrorKind.CONNECTIVITY, (501, 502, 504, 507, 1100, 1101, 1102, 1300, 2103, 2105, 2110, 2157)),
        (ErrorKind.RETRY, (101, 162, 165, 322, 366, 420)),
        (ErrorKind.FATAL, (326, 354, 503, 2148, 10089, 10090, 10197)),
        (ErrorKind.ORDER, (109, 110, 111, 113, 200, 201, 202, 203, 404, 434, 460, 10243)),
        (ErrorKind.AMBIGUOUS, (100, 103, 104, 105, 106, 107, 135, 161, 320, 321, 329, 512, 10147, 10148)),
    ],
)
def test_what_a_code_calls_for(kind, numbers):
    assert {number: meaning_of(number).kind for number in numbers} == dict.fromkeys(numbers, kind)


def test_only_these_codes_end_an_order():
    ending = {number for number, code in CODES.items() if code.ends is not Ends.NONE}
    assert ending == {*REFUSES_WHAT_IS_NEW, *ENDS_ANY}


@pytest.mark.parametrize("number", REFUSES_WHAT_IS_NEW)
def test_a_code_that_refuses_a_new_order_leaves_one_alone_that_works(number):
    assert meaning_of(number).refuses(is_acknowledged=False)
    assert not meaning_of(number).refuses(is_acknowledged=True)


@pytest.mark.parametrize("number", ENDS_ANY)
def test_a_rejection_ends_an_order_that_works_too(number):
    assert meaning_of(number).refuses(is_acknowledged=True)


@given(st.integers(min_value=-1, max_value=100_000).filter(lambda number: number not in CODES), st.booleans())
def test_an_unknown_code_never_ends_an_order(number, is_acknowledged):
    assert not meaning_of(number).refuses(is_acknowledged=is_acknowledged)
    assert meaning_of(number).kind in (ErrorKind.AMBIGUOUS, ErrorKind.INFORMATION)


@pytest.mark.parametrize(("number", "kind"), [(2100, "INFORMATION"), (2199, "INFORMATION"), (2200, "AMBIGUOUS")])
def test_codes_from_2100_to_2199_are_warnings(number, kind):
    assert meaning_of(number).kind is ErrorKind[kind]


@pytest.mark.parametrize(
    ("number", "text", "failure"),
    [
        (
            201,
            "Order rejected - reason: the initial margin of CAD 5 exceeds the available funds of 3",
            RejectReason.MARGIN,
        ),
        (201, "Order rejected - reason: USD 10.00 are needed and 3.00 are there", RejectReason.MARGIN),
        (
            201,
            "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. ... EQUITY WITH LOAN VALUE ...",
            RejectReason.MARGIN,
        ),
        (201, "Your account has insufficient funds", RejectReason.MARGIN),
        (201, "Order rejected - reason:Available settled cash 12.00 USD is less than the order", RejectReason.MARGIN),
        (201, "Order rejected - reason:CASH AVAILABLE: 12.00; CASH NEEDED FOR THIS ORDER: 640.00", RejectReason.MARGIN),
        (201, "Order rejected - reason:Exchange is closed.", RejectReason.CLOSED),
        (10243, "Exchange is closed.", RejectReason.FRACTION),
        (201, "Order rejected - reason: 10 shares are held, nothing is lent", RejectReason.REJECTED),
        (201, "Order rejected - reason: no trading permission", RejectReason.REJECTED),
        (200, "No security definition has been found for the request", RejectReason.CONTRACT),
        (100, "Max rate of messages per second has been exceeded", RejectReason.PACING),
        (10243, "Fractional-sized order cannot be placed via API", RejectReason.FRACTION),
        (110, "The price does not conform to the minimum price variation: margin", RejectReason.REJECTED),
        (4711, "something new", RejectReason.REJECTED),
    ],
)
def test_why_an_order_was_refused(number, text, failure):
    assert reject_reason_of(number, text) is failure
