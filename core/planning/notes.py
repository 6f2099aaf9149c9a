"""What was cut from a line, in words."""

from __future__ import annotations

from decimal import Decimal

from core.model import LimitedBy, SizingRules


def note_for(limited_by: LimitedBy, quantity: Decimal, wished: Decimal, rules: SizingRules) -> str:
    """What `cut` did to a line that wished for `wished` shares and got `quantity`.

    Where max_order_usd is not the upper bound, the approved quantity was.
    """
    if limited_by is LimitedBy.MINIMUM:
        return f"not traded: below min_order_usd {rules.min_order_usd:f}"
    if limited_by is LimitedBy.ROUNDING:
        return "not traded: less than half a share" if not quantity else "rounded to whole shares"
    if limited_by is LimitedBy.HELD:
        return f"no more than held: {quantity:,f} of {wished:,f} shares"
    if limited_by is LimitedBy.MAXIMUM:
        bound = "the approval" if rules.max_order_usd is None else f"max_order_usd {rules.max_order_usd:f}"
        return f"{bound} allows {quantity:,f} of {wished:,f} shares"
    limit = "the limits of borrowing allow" if limited_by is LimitedBy.LEVERAGE else "the money allows"
    return f"{limit} {quantity:,f} of {wished:,f} shares"
