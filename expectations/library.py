"""The parts of Great Expectations that the suites are built from. Importing it takes seconds: see `gate.library`.

The library's own checks ask for three figures each to say yes or no, and building their metric graphs is nearly all
that a gate costs. Those here are the library's, except that a yes or no asks for one: how many rows are at fault. The
checks that a suite has most of, of rules and of nulls, are asked for it all at once: see `in_one`.
What this needs of the library beyond its documented parts is in this module alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from great_expectations import ExpectationSuite, get_context
from great_expectations.core import RunIdentifier
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.core.expect_column_distinct_values_to_contain_set import (
    ExpectColumnDistinctValuesToContainSet,
)
from great_expectations.expectations.core.expect_column_pair_values_a_to_be_greater_than_b import (
    ExpectColumnPairValuesAToBeGreaterThanB,
)
from great_expectations.expectations.core.expect_column_values_to_be_between import ExpectColumnValuesToBeBetween
from great_expectations.expectations.core.expect_column_values_to_be_in_set import ExpectColumnValuesToBeInSet
from great_expectations.expectations.core.expect_column_values_to_be_unique import ExpectColumnValuesToBeUnique
from great_expectations.expectations.core.expect_column_values_to_match_regex import ExpectColumnValuesToMatchRegex
from great_expectations.expectations.core.expect_column_values_to_not_be_null import ExpectColumnValuesToNotBeNull
from great_expectations.expectations.core.expect_compound_columns_to_be_unique import ExpectCompoundColumnsToBeUnique
from great_expectations.expectations.expectation import BatchExpectation, Expectation, MulticolumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider.multicolumn_condition_partial import (
    multicolumn_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.multicolumn_map_metric_provider import (
    MulticolumnMapMetricProvider,
)
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.expectations.registry import get_metric_kwargs
from great_expectations.expectations.row_conditions import Column
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view.view import DefaultJinjaPageView
from great_expectations.validator.metric_configuration import MetricConfiguration

from expectations.rules import RULES, Rule

__all__ = [
    "Column",
    "DefaultJinjaPageView",
    "ExpectColumnDistinctValuesToContainSet",
    "ExpectFilled",
    "ExpectInSet",
    "ExpectMatch",
    "ExpectNotLess",
    "ExpectRowsToSatisfy",
    "ExpectRowsToSatisfyAll",
    "ExpectUnique",
    "ExpectUniqueTogether",
    "ExpectWithin",
    "Expectation",
    "ExpectationSuite",
    "RunIdentifier",
    "ValidationResultsPageRenderer",
    "filled",
    "get_context",
    "in_one",
    "numbers",
    "rows",
]

YES_OR_NO = "BASIC"  # with BOOLEAN_ONLY the library drops the numbers of the checks behind a no


class _CountsOnly:
    """Answers yes or no by the number of rows at fault alone: no row may be, whatever `mostly` is."""

    def get_validation_dependencies(
        self,
        execution_engine: Any = None,
        runtime_configuration: dict[str, Any] | None = None,
        **more: Any,
    ) -> Any:
        asked: Any = Expectation.get_validation_dependencies(self, execution_engine, runtime_configuration)  # type: ignore[arg-type]  # the class mixed into
        if asked.result_format["result_format"] != YES_OR_NO:
            every: Any = super()
            return every.get_validation_dependencies(execution_engine, runtime_configuration, **more)
        name = self._count
        given = get_metric_kwargs(name, self.configuration, runtime_configuration)  # type: ignore[attr-defined]  # as above
        asked.set_metric_configuration(
            name, MetricConfiguration(name, given["metric_domain_kwargs"], given["metric_value_kwargs"])
        )
        return asked

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: dict[str, Any] | None = None, execution_engine: Any = None
    ) -> Any:
        if set(metrics) == {self._count}:
            return {"success": metrics[self._count] == 0}
        every: Any = super()
        return every._validate(metrics, runtime_configuration, execution_engine)  # noqa: SLF001 - what it stands before

    @property
    def _count(self) -> str:
        return f"{self.map_metric}.unexpected_count"  # type: ignore[attr-defined]  # of the class mixed into


class ExpectFilled(_CountsOnly, ExpectColumnValuesToNotBeNull):
    """No nulls in the column."""


class ExpectInSet(_CountsOnly, ExpectColumnValuesToBeInSet):
    """Every value is one of the set."""


class ExpectMatch(_CountsOnly, ExpectColumnValuesToMatchRegex):
    """Every value matches the regular expression."""


class ExpectNotLess(_CountsOnly, ExpectColumnPairValuesAToBeGreaterThanB):
    """Column A is not below column B, given `or_equal`."""


class ExpectUnique(_CountsOnly, ExpectColumnValuesToBeUnique):
    """No value appears twice."""


class ExpectUniqueTogether(_CountsOnly, ExpectCompoundColumnsToBeUnique):
    """No combination of values appears twice."""


class ExpectWithin(_CountsOnly, ExpectColumnValuesToBeBetween):
    """Every value is within the bounds."""


class RowsSatisfy(MulticolumnMapMetricProvider):
    """The metric behind ExpectRowsToSatisfy: which rows obey the named rule; one with a null obeys none."""

    condition_metric_name = "rows.satisfy"
    condition_value_keys = ("rule", "limits", "optional")

    @multicolumn_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]  # of the library
    def _pandas(cls, column_list: pd.DataFrame, **kwargs: Any) -> pd.Series:  # noqa: N805 - the decorator's convention
        return _obeys(column_list, kwargs)


class ExpectRowsToSatisfy(_CountsOnly, MulticolumnMapExpectation):
    """Every row obeys the rule of that name in `expectations.rules`, with these limits.

    A null is a breach, except in the `optional` columns, where the rule itself decides what it means.
    """

    map_metric = "rows.satisfy"
    success_keys = ("rule", "limits", "optional", "mostly")
    args_keys = ("column_list", "rule", "limits", "optional")

    rule: str
    limits: dict[str, float] = {}  # noqa: RUF012 - a pydantic field, copied for each instance
    optional: list[str] = []  # noqa: RUF012 - as above
    ignore_row_if: Literal["all_values_are_missing", "any_value_is_missing", "never"] = "never"


class FailedChecks(TableMetricProvider):
    """The metric behind ExpectRowsToSatisfyAll: the numbers of the checks that fail or cannot be run."""

    metric_name = "rows.failed_checks"
    value_keys = ("checks",)

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805 - the decorator's convention
        execution_engine: Any,
        metric_domain_kwargs: Mapping[str, Any],
        metric_value_kwargs: Mapping[str, Any],
        **_more: Any,
    ) -> list[int]:
        tables: dict[str, pd.DataFrame] = {}

        def table(condition: Any) -> pd.DataFrame:
            if repr(condition) not in tables:
                asked = {**metric_domain_kwargs, "row_condition": condition}
                tables[repr(condition)] = execution_engine.get_domain_records(asked)
            return tables[repr(condition)]

        return [number for number, check in json.loads(metric_value_kwargs["checks"]) if not _passes(check, table)]


class ExpectRowsToSatisfyAll(BatchExpectation):
    """All of these checks hold: JSON of pairs, a number and the arguments of the check, which are what `in_one` joins.

    The observed value lists the numbers of those that do not, or that cannot be run.
    """

    metric_dependencies = ("rows.failed_checks",)
    success_keys = ("checks",)
    args_keys = ("checks",)

    checks: str  # the library copies its arguments dozens of times

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002 - the library's signature
        execution_engine: Any = None,  # noqa: ARG002 - as above
    ) -> dict[str, Any]:
        [failed] = metrics.values()
        return {"success": not failed, "result": {"observed_value": failed}}


def in_one(checks: Iterable[Expectation]) -> list[Expectation]:
    """The same checks for a yes or no, those of rules and of nulls in one; each knows its number, from 0."""
    alone: list[Expectation] = []
    joined: list[tuple[int, dict[str, Any]]] = []
    for number, check in enumerate(checks):
        if isinstance(check, ExpectFilled | ExpectRowsToSatisfy):
            joined.append((number, check.configuration.kwargs))
        else:
            alone.append(check.copy(update={"meta": {"number": number}}))
    return [*alone, ExpectRowsToSatisfyAll(checks=json.dumps(joined))] if joined else alone


def numbers(no: ExpectationValidationResult) -> list[int]:
    """The checks of `in_one` behind a no: of those in one all, if it could not run."""
    config: Any = no.expectation_config
    if config.meta:
        return [config.meta["number"]]
    known: list[int] = no.result.get("observed_value", [number for number, _ in json.loads(config.kwargs["checks"])])
    return known


def rows(check: Rule, columns: Sequence[str], message: str, **options: Any) -> Expectation:
    """The expectation that every row obeys `check`, computed from `columns`; `message` is what a breach is called."""
    return ExpectRowsToSatisfy(rule=check.__name__, column_list=list(columns), description=message, **options)


def filled(columns: Iterable[str], **options: Any) -> list[Expectation]:
    """One expectation per column that it has no nulls; every other check lets a null pass."""
    return [ExpectFilled(column=column, description=f"no {column}", **options) for column in columns]


def _obeys(table: pd.DataFrame, check: Mapping[str, Any]) -> pd.Series:
    """Which rows obey the rule of a check; one with a null obeys none."""
    required = table.drop(columns=check.get("optional", []))
    holds: pd.Series = RULES[check["rule"]](table, check.get("limits", {})) & required.notna().all(axis=1)
    return holds


def _passes(check: Mapping[str, Any], table: Callable[[Any], pd.DataFrame]) -> bool:
    """Whether no row is at fault; a check that raises fails here, and says why when it is asked singly."""
    try:
        asked = table(check.get("row_condition"))
        if "rule" not in check:
            return bool(asked[check["column"]].notna().all())
        return not (~_obeys(asked[check["column_list"]], check)).any()
    except Exception:  # noqa: BLE001 - a rule may raise anything
        return False
