"""From targets, account and quotes to the plan that a person approves."""

from core.plan.compose import make_plan
from core.plan.inputs import PlanInputs
from core.plan.observing import Reads, observe
from core.plan.resize import resize_buys

__all__ = ["PlanInputs", "Reads", "make_plan", "observe", "resize_buys"]
