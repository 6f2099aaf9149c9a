"""What a person found of an order, read from a text: three forms, and what cannot be true is refused."""

from __future__ import annotations

import pytest
from builders import NOW
from journals import after_reports, order, part, update

from core.errors import UsageError
from core.journal import Journal, MemoryStore
from core.journal.findings import parse_finding
from core.journal.transitions import intended, sending
from core.model import Finding, OrderState, Side
from core.money import D
from core.text import price_text


def found(text: str, *events) -> Finding:
    """The finding of an order for 10 VTI of which the broker had reported these events."""
    return parse_finding(text, after_reports(Journal(MemoryStore()), *events), by="Ann", at=NOW)


@pytest.mark.parametrize(
    ("text", "filled", "price", "existed"),
    [
        ("never existed", D(0), None, False),
        ("cancelled", D(0), None, True),
        ("Canceled", D(0), None, True),
        ("filled 10 at 100.01", D(10), D("100.01"), True),
        ("cancelled, filled 4 at 99", D(4), D(99), True),
        ("cancelled and  filled 4.5 at .5", D("4.5"), D("0.5"), True),
    ],
)
def test_the_forms_of_a_finding(text, filled, price, existed):
    finding = found(text)
    assert (finding.by, finding.at, finding.text) == ("Ann", NOW, " ".join(text.split()))
    assert (finding.filled, finding.price, finding.existed) == (filled, price, existed)


def test_shares_may_have_commas_between_thousands():
    record = sending(intended(order(quantity=D(41_925)), at=NOW), at=NOW)
    assert parse_finding("filled 41,925 at 1.36", record, by="Ann", at=NOW).filled == D(41_925)


@pytest.mark.parametrize("text", ["", " ", "looks fine", "filled", "filled ten at 9", "filled 10", "filled -3 at 9"])
def test_a_text_of_no_form_is_refused_with_the_forms(text):
    with pytest.raises(UsageError, match="says nothing that can be recorded") as refused:
        found(text)
    assert "never existed" in refused.value.next_step


@pytest.mark.parametrize(
    ("text", "events", "why"),
    [
        ("never existed", (update(OrderState.WORKING),), "the broker has shown it"),
        ("never existed", (part("1"),), "the broker has shown it"),
        ("cancelled", (part("4"),), "fills of 4 are on record already"),
        ("cancelled, filled 3 at 100", (part("4"),), "fills of 4 are on record already"),
        ("filled 11 at 100", (), "10 were ordered"),
        ("filled 4 at 100", (), "its remainder may still fill"),
    ],
)
def test_what_cannot_be_true_is_refused(text, events, why):
    with pytest.raises(UsageError, match=why):
        found(text, *events)


def test_an_overfill_on_record_can_be_confirmed():
    assert found("filled 12 at 100", part("6"), part("6", 2)).filled == D(12)


@pytest.mark.parametrize(
    ("side", "text", "is_possible"),
    [
        (Side.SELL, "filled 10 at 0.01", False),
        (Side.SELL, "filled 10 at 99.99", False),
        (Side.SELL, "cancelled, filled 4 at 99", False),
        (Side.SELL, "filled 10 at 100", True),
        (Side.SELL, "filled 10 at 101", True),
        (Side.SELL, "cancelled, filled 0 at 0", True),
        (Side.BUY, "filled 10 at 100.01", False),
        (Side.BUY, "filled 10 at 100", True),
        (Side.BUY, "filled 10 at 99", True),
    ],
)
def test_no_order_fills_at_a_price_worse_than_its_limit(side, text, is_possible):
    record = sending(intended(order(side=side, limit_price=D(100)), at=NOW), at=NOW)
    if is_possible:
        assert parse_finding(text, record, by="Ann", at=NOW).text == text
    else:
        price = price_text(D(text.split()[-1]))
        with pytest.raises(UsageError, match=f"a {side} with limit 100.00 cannot fill at {price}"):
            parse_finding(text, record, by="Ann", at=NOW)


def test_an_order_at_the_market_fills_at_any_price():
    record = sending(intended(order(limit_price=None), at=NOW), at=NOW)
    assert parse_finding("filled 10 at 999", record, by="Ann", at=NOW).price == D(999)


def test_what_the_broker_itself_has_reported_can_be_confirmed_at_any_price():
    assert found("cancelled, filled 4 at 999", part("4")).price == D(999)
