"""`make bench`: every figure, as ratios inside this one run."""

from __future__ import annotations

from bench import (
    command_speed,
    gate_cost,
    household_cost,
    journal_cost,
    planning_speed,
    quote_pace,
    run_memory,
    run_time,
    whole_share_quality,
)
from bench.figures import show


def main() -> None:
    show("Planning", planning_speed.measure())
    show("Whole shares against the proven optimum", whole_share_quality.measure())
    show("The data gates", gate_cost.measure())
    show("The quick look", command_speed.measure())
    show("A run", run_time.measure())
    show("The memory of a run", run_memory.measure())
    show("Quotes through the simulated gateway", quote_pace.measure())
    show("The journal of a run of 200 orders", journal_cost.measure())
    show("A household on two workers", household_cost.measure())


if __name__ == "__main__":
    main()
