"""A table and its suite → a verdict that names the rows at fault.

Great Expectations passes an empty table, an empty suite and nulls, and marks a check that cannot run by a
flag only. Here none of these passes. The process has one context, used by one validation at a time: without the
lock, validations in several threads gave wrong verdicts (126 of 240, measured with 1.24.1; none with it).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.errors import DataRefused, PortfoliosInvalid, RebalanceError
from core.model import GateFault, GateVerdict

if TYPE_CHECKING:
    from types import ModuleType

    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

# columns that name a row, and how they are written
_NAMES: dict[str, str] = {"line": "line {}:", "portfolio": "{}", "symbol": "{}"}
_NEXT_STEPS: dict[str, str] = {
    "portfolios": "correct the rows named",
    "fills": "compare the orders with TWS before the next run",
}
_LOADING = Lock()
_VALIDATING = Lock()


def library() -> ModuleType:
    """`expectations.library`, imported when first asked for: that takes seconds, which only a gate should cost."""
    with _LOADING:
        return _loaded()


@cache
def _loaded() -> ModuleType:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    from expectations import library as loaded  # noqa: PLC0415 - see above

    # this logger has a level of its own, at which it reports each temporary folder
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    return loaded


def suite_of(table: str, expectations: list[Expectation]) -> ExpectationSuite:
    """A new suite of these checks; suites are never shared between validations."""
    suite: ExpectationSuite = library().ExpectationSuite(table, expectations=expectations)
    return suite


def run_gate(table: str, frame: pd.DataFrame, suite: ExpectationSuite) -> GateVerdict:
    """The suite's verdict on the table. It takes up to 0.1 s and blocks, so await it in a thread.

    An empty table and an empty suite block. A check that could not run blocks whatever its severity.
    """
    checks = len(suite.expectations)
    if not checks:
        return _blocked(table, len(frame), checks, "there are no checks for this table")
    if frame.empty:
        return _blocked(table, 0, checks, "the table is empty")
    names = _names_in(frame)
    with _VALIDATING:
        faults = tuple(map(_fault, _failed(frame, suite, names)))
    return GateVerdict(table, len(frame), checks, faults)


def full_result(frame: pd.DataFrame, suite: ExpectationSuite) -> ExpectationSuiteValidationResult:
    """What the library answers when every check of the suite is asked for everything, as its own pages show it."""
    names = _names_in(frame)
    with _VALIDATING:
        return batch_definition().get_batch({"dataframe": frame}).validate(suite, result_format=_complete(names))


def refusal(verdict: GateVerdict) -> RebalanceError | None:
    """The failure that a blocking verdict is (11 for portfolios, 12 for other tables); None for one that passes."""
    if not verdict.blocks:
        return None
    faults = [
        f"{fault.message}: {', '.join(fault.rows)}" if fault.rows else fault.message
        for fault in verdict.faults
        if fault.is_critical or fault.could_not_run
    ]
    kind = PortfoliosInvalid if verdict.table == "portfolios" else DataRefused
    return kind(
        f"data gate {verdict.table}: {'; '.join(faults)}",
        next_step=_NEXT_STEPS.get(verdict.table, "nothing more is sent; look at the run log"),
        faults=faults,
    )


def _failed(frame: pd.DataFrame, suite: ExpectationSuite, names: list[str]) -> list[ExpectationValidationResult]:
    """The results of the checks that failed or could not run, with the rows at fault.

    All checks are asked for a yes or no, those of rules and nulls in one, and those that failed once more for their
    rows: asking every check for everything takes up to ten times as long. A check that failed once is at fault,
    whatever its second result.
    """
    gx = library()
    batch = batch_definition().get_batch({"dataframe": frame})
    answers = batch.validate(suite_of(suite.name, gx.in_one(suite.expectations)), result_format=gx.YES_OR_NO).results
    numbers = sorted(number for answer in answers if _fails(answer) for number in gx.numbers(answer))
    if not numbers:
        return []
    failed = [suite.expectations[number] for number in numbers]
    return list(batch.validate(suite_of(suite.name, failed), result_format=_complete(names)).results)


@cache
def batch_definition() -> BatchDefinition[Any]:
    """The definition by which a table becomes a batch of the library, in the one context of this process."""
    context = library().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("memory")
    definition: BatchDefinition[Any] = source.add_dataframe_asset("table").add_batch_definition_whole_dataframe("all")
    return definition


def _names_in(frame: pd.DataFrame) -> list[str]:
    return [column for column in _NAMES if column in frame.columns]


def _complete(names: list[str]) -> dict[str, Any]:
    """The form of a result with the rows at fault, named by these columns."""
    return {"result_format": "COMPLETE", "unexpected_index_column_names": names}


def _fails(result: ExpectationValidationResult) -> bool:
    return not result.success or _raised(result)


def _fault(result: ExpectationValidationResult) -> GateFault:
    config: ExpectationConfiguration = result.expectation_config  # type: ignore[assignment]  # every result has one
    could_not_run = _raised(result)
    message = config.description or config.type
    return GateFault(
        check=config.type,
        is_critical=config.severity == "critical",
        rows=tuple(_row_names(result.result)),
        message=f"cannot be checked: {message}" if could_not_run else message,
        could_not_run=could_not_run,
    )


def _raised(result: ExpectationValidationResult) -> bool:
    """Whether the check failed to run. `exception_info` is one record, or one per metric."""
    info: Mapping[str, Any] = result.exception_info or {}
    records = [info, *(record for record in info.values() if isinstance(record, Mapping))]
    return any(record.get("raised_exception") for record in records)


def _row_names(result: Mapping[str, Any]) -> Iterator[str]:
    for row in result.get("unexpected_index_list") or ():
        named = {column: "(empty)" if pd.isna(row[column]) else row[column] for column in _NAMES if column in row}
        yield " ".join(_NAMES[column].format(value) for column, value in named.items())


def _blocked(table: str, rows: int, checks: int, why: str) -> GateVerdict:
    return GateVerdict(table, rows, checks, (GateFault("gate", True, (), why, could_not_run=True),))  # noqa: FBT003 - a field of a record
