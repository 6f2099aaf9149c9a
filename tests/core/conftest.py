"""Fixtures of the core tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from journals import STORES

from core.journal import Journal, Store


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path)


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store)
