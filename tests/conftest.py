"""What the whole suite shares: a quiet environment, sample sizes, one Prefect server, and no silent skips in CI."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import freezegun
import pytest
from hypothesis import HealthCheck, settings

from tasks.app.environment import set_defaults

SUPPORT = Path(__file__).parent / "support"
# an assert in a helper says what it compared, as one in a test does
pytest.register_assert_rewrite(*(path.stem for path in SUPPORT.iterdir() if not path.name.startswith("__")))

# before anything imports Prefect: no test may touch the person's own server or files
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="prefect-home-")
os.environ["REBALANCER_HOME"] = tempfile.mkdtemp(prefix="rebalancer-home-")
os.environ.pop("PREFECT_API_URL", None)
os.environ.pop("REBALANCER_SETTINGS", None)
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
set_defaults()

# threads of Prefect's would wait half a century for a deadline that they set in a frozen moment
freezegun.configure(extend_ignore_list=["prefect"])

# a plan that trades is rare among random accounts: filtering much is the price of assuming one
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]
# a sample in `make test`; where the variable is set, as many as Hypothesis takes by itself
PROPERTY_CASES = 100 if "REBALANCER_FUZZ_CASES" in os.environ else 40
settings.register_profile(
    "suite", max_examples=PROPERTY_CASES, deadline=None, suppress_health_check=QUIET, print_blob=True
)
settings.load_profile("suite")

MAY_SKIP_IN_CI = ("real paper gateway", "is for root alone", "root may write everywhere")


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """The one real Prefect server of the run, on SQLite in a temporary folder."""
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415 - costs seconds, few tests need it

    with prefect_test_harness(server_startup_timeout=90):
        yield


def pytest_itemcollected(item: pytest.Item) -> None:
    """A property takes a sample of its cases in `make test`, so that `make test-long` has it once more."""
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker("long")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a server in them come first: the longest, they would keep one worker busy while the other is idle."""
    with_server = {item.path for item in items if item.get_closest_marker("server") or _uses_server(item)}
    items.sort(key=lambda item: item.path not in with_server)


def _uses_server(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "prefect_server" in item.fixturenames


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a skip is a failure: everything a test needs has been installed there."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("REBALANCER_FAIL_ON_SKIP") and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr)
        if not any(allowed in reason for allowed in MAY_SKIP_IN_CI):
            report.outcome = "failed"


@pytest.fixture
def demo() -> Path:
    """The folder of the sample files that `make run` uses."""
    return Path(__file__).parent.parent / "deployments" / "demo"
