"""How long the stages of a plan may take at most."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from core.model import ExecutionRules, Plan


def longest_trading(plan: Plan, rules: ExecutionRules) -> timedelta:
    """The sum of all time-outs of the plan's stages, as if every attempt at every order used up its own.

    Seven sells of which five may work at once wait twice for three attempts of a minute: 6 min. What the broker
    needs to acknowledge and to confirm comes on top; there is a margin for that.
    """
    tries = (1 + rules.reprice_attempts) * rules.order_timeout_seconds
    rounds = sum(ceil(len(lines) / rules.max_open_orders) for lines in (plan.sells, plan.buys))
    conversion = rules.fx_timeout_seconds if plan.fx and plan.fx.quantity else 0.0
    return timedelta(seconds=rounds * tries + conversion)
