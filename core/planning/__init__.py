"""From targets, account and quotes to the plan that a person approves."""

from core.planning.inputs import PlanInputs
from core.planning.observing import MarketReader, observe
from core.planning.planner import make_plan
from core.planning.resize import resize_buys

__all__ = ["MarketReader", "PlanInputs", "make_plan", "observe", "resize_buys"]
