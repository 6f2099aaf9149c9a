"""Texts that a person has read and found right; a change of one is reviewed as a diff.

Rebuild them with `make goldens`.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"


def assert_golden(name: str, text: str) -> None:
    """`text` is the golden file `name`, byte for byte; written instead of compared when goldens are rebuilt."""
    path = FOLDER / name
    if os.environ.get("REBUILD_GOLDENS") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    assert text.encode() == path.read_bytes(), f"{name} has changed; if that is right: REBUILD_GOLDENS=1 pytest"
