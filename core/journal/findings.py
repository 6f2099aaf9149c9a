"""What a person writes about an order that was looked up, as a finding; pure."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from core.errors import UsageError
from core.model import Finding, OrderRecord, Side
from core.text import price_text

FORMS = '"filled N at PRICE", "cancelled", "cancelled, filled N at PRICE" or "never existed"'
_NUMBER = r"(\d[\d,]*(?:\.\d+)?|\.\d+)"
_NEVER = re.compile(r"never existed", re.IGNORECASE)
_FOUND = re.compile(rf"(cancell?ed)?(?:,? *(?:and )?)?(?:filled {_NUMBER} at {_NUMBER})?", re.IGNORECASE)


def parse_finding(text: str, record: OrderRecord, *, by: str, at: datetime) -> Finding:
    """The finding that the text states of this order. Raises UsageError where it cannot be read, or cannot be true.

    What cannot be true: an order that never existed though the broker has shown it, fewer fills than are on record,
    more than were ordered, at a price worse than the limit, and an order that filled in part and was not cancelled, for
    its remainder may still fill.
    """
    words = " ".join(text.split())
    if _NEVER.fullmatch(words):
        if record.perm_id or record.fills:
            raise _impossible(record, "the broker has shown it, so it did exist")
        return Finding(by, at, words, existed=False)
    found = _FOUND.fullmatch(words)
    if not words or found is None or not any(found.groups()):
        raise UsageError(f"{text!r} says nothing that can be recorded of an order", next_step=f"write {FORMS}")
    is_cancelled, filled, price = found.group(1), _decimal(found.group(2)), _decimal(found.group(3))
    shares = filled if filled is not None else Decimal(0)
    if shares < record.filled:
        raise _impossible(record, f"fills of {record.filled:f} are on record already")
    if shares > max(record.order.quantity, record.filled):
        raise _impossible(record, f"{record.order.quantity:f} were ordered")
    if not is_cancelled and shares < record.order.quantity:
        raise _impossible(record, "its remainder may still fill unless it was cancelled")
    if price is not None and shares > record.filled:
        _check_price(record, price)
    return Finding(by, at, words, shares, price)


def _check_price(record: OrderRecord, price: Decimal) -> None:
    """Raise UsageError for a price that is worse than the limit: an average cannot be either."""
    side, limit = record.order.side, record.order.limit_price
    if limit is not None and (price < limit if side is Side.SELL else price > limit):
        raise _impossible(record, f"a {side} with limit {price_text(limit)} cannot fill at {price_text(price)}")


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text.replace(",", ""))


def _impossible(record: OrderRecord, why: str) -> UsageError:
    return UsageError(f"order {record.order.ref}: {why}", next_step=f"look again in TWS, then write {FORMS}")
