"""What was cut from a line, in words."""

from __future__ import annotations

from decimal import Decimal

from core.model import Cut, SizingRules


def note_for(cut: Cut, quantity: Decimal, wished: Decimal, rules: SizingRules) -> str:
    """What `cut` did to a line that wished for `wished` shares and got `quantity`.

    Where max_order_usd is not the upper bound, the approved quantity was.
    """
    if cut is Cut.MINIMUM:
        return f"not traded: below min_order_usd {rules.min_order_usd:f}"
    if cut is Cut.ROUNDING:
        return "not traded: less than half a share" if not quantity else "rounded to whole shares"
    if cut is Cut.HELD:
        return f"no more than held: {quantity:,f} of {wished:,f} shares"
    if cut is Cut.MAXIMUM:
        bound = "the approval" if rules.max_order_usd is None else f"max_order_usd {rules.max_order_usd:f}"
        return f"{bound} allows {quantity:,f} of {wished:,f} shares"
    limit = "the limits of borrowing allow" if cut is Cut.LEVERAGE else "the money allows"
    return f"{limit} {quantity:,f} of {wished:,f} shares"
