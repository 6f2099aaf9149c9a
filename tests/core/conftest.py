"""Fixtures of the core tests."""

from __future__ import annotations

import pytest
from journals import FACTORIES

from core.journal.store import Journal


@pytest.fixture(params=FACTORIES, ids=lambda factory: factory.__name__)
def journal(request: pytest.FixtureRequest) -> Journal:
    return request.param()
