"""From targets, account and quotes to the plan that a person approves."""

from core.planning.observing import MarketReader, PlanInputs, observe
from core.planning.planner import make_plan, resize_buys

__all__ = ["MarketReader", "PlanInputs", "make_plan", "observe", "resize_buys"]
