"""From targets, account and quotes to the plan that a person approves."""

from core.plan.compose import make_plan
from core.plan.inputs import PlanInputs
from core.plan.resize import resize_buys

__all__ = ["PlanInputs", "make_plan", "resize_buys"]
