"""Load the models and blend them."""

from __future__ import annotations

from core.model import ModelWeight, Targets
from core.text import counted
from tasks.app.run import Run
from tasks.app.step import step


@step("Load the models")
async def load_models(run: Run) -> tuple[ModelWeight, ...]:
    """The rows of the models, checked; none where the run was given final weights. Raises PortfoliosInvalid."""
    run.rows = rows = run.source.rows(run.settings, run.broker.now())
    run.log_step("models", f"{counted(len(rows), 'row')} in {counted(len({row.model for row in rows}), 'model')}")
    return rows


@step("Blend the targets")
async def blend_targets(run: Run, rows: tuple[ModelWeight, ...]) -> Targets:
    """The blended target weights. Raises PortfoliosInvalid."""
    targets = run.source.targets(run.settings, rows)
    run.log_step(
        "targets", f"{counted(len(targets.weights), 'symbol')}, gross {targets.gross:.2%}, net {targets.net:.2%}"
    )
    return targets
