"""How many cases a fuzz test tries: REBALANCER_FUZZ_CASES, else a sample."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

IS_SAMPLE = "REBALANCER_FUZZ_CASES" not in os.environ
FUZZ_CASES = int(os.environ.get("REBALANCER_FUZZ_CASES", "100"))


def fuzzed(test: Callable[..., None]) -> Callable[..., None]:
    """The property test with as many cases as asked for."""
    sized = settings(max_examples=FUZZ_CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    return pytest.mark.long(sized(test))


def mutations(valid: bytes) -> st.SearchStrategy[bytes]:
    """The valid bytes with a few pieces cut out, doubled or replaced by others that parsers stumble over."""
    pieces = st.sampled_from(
        [b"\0", b"\r", b"\n", b'"', b"'", b"[", b"]", b"=", b":", b";", b"#", b",", b"%", b"-", b"1e999", b"nan", b" "]
    )
    edit = st.tuples(st.integers(0, len(valid)), st.integers(0, 12), pieces | st.binary(max_size=4))
    return st.lists(edit, min_size=1, max_size=5).map(lambda edits: _edited(valid, edits))


def _edited(text: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, piece in edits:
        text = text[:at] + piece + text[at + length :]
    return text
