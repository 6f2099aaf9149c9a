"""Messages of real gateways as others recorded them: a file beside the checkout, which not everybody has."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[3] / "shared" / "real-gateway-samples.jsonl"
WHY_NOT = (
    f"no recordings of real gateways: put real-gateway-samples.jsonl into {FILE.parent} "
    "and run `.venv/bin/pytest tests/contract/test_real_samples.py`"
)
Row = dict[str, Any]
Fields = tuple[str, ...]
# where the advisor's profile stood that version 177 took out
PROFILE_OF_COMPLETED, PROFILE_OF_OPEN = 31, 34
ALLOCATIONS, AFTER_ALLOCATIONS = 107, 120
PEGGED = ("",) * 5
OPEN_FIELDS = 135
COMPLETED_FIELDS, EXECUTION_FIELDS = 100, 32
NO_REVISION = ("0",)


@dataclass(frozen=True)
class Sample:
    """A message of a real gateway, with its fields in the layout of version 178."""

    kind: str
    fields: Fields
    version: int

    @property
    def name(self) -> str:
        text = " ".join(self.fields[1:5]).encode("ascii", "backslashreplace").decode()
        return f"{self.kind} {self.version}: {text[:50]}"


def read_samples() -> list[Sample]:
    """Every message that is at hand in a layout from which that of version 178 follows; none without the file."""
    if not FILE.exists():
        return []
    rows = (json.loads(line) for line in FILE.read_text("utf-8").splitlines())
    return [Sample(row["type"], fields, row["server_version"]) for row in rows if (fields := _at_178(row))]


def _at_178(row: Row) -> Fields | None:
    fields = tuple(row["fields"])
    if not fields:
        decoded = _DECODED.get(row["type"])
        return decoded(row) if decoded else None
    if fields[0] == "(unset)":
        return None
    adapt = _ADAPTED.get(row["type"])
    return adapt(fields, row["server_version"]) if adapt else fields


def _details(fields: Fields, version: int) -> Fields:
    return fields[:-1] if version == 200 else fields  # why who may not trade it


def _execution(fields: Fields, version: int) -> Fields:
    return (fields + NO_REVISION)[:EXECUTION_FIELDS] if version < 178 else fields[:EXECUTION_FIELDS]


def _completed(fields: Fields, version: int) -> Fields:
    cut = fields[:PROFILE_OF_COMPLETED] + fields[PROFILE_OF_COMPLETED + 1 :] if version < 177 else fields
    return cut[:COMPLETED_FIELDS]


def _open(fields: Fields, version: int) -> Fields:
    """Of 169: without the profile, with the fields of pegged orders. Of 200: without the accounts of a preview."""
    if version < 177:
        bare = fields[:PROFILE_OF_OPEN] + fields[PROFILE_OF_OPEN + 1 :]
        return bare[: OPEN_FIELDS - len(PEGGED)] + PEGGED
    return (fields[:ALLOCATIONS] + fields[AFTER_ALLOCATIONS:])[:OPEN_FIELDS]


_ADAPTED: Mapping[str, Callable[[Fields, int], Fields]] = {
    "contractData": _details,
    "execDetails": _execution,
    "completedOrder": _completed,
    "openOrder": _open,
}


def _numbered(version: str | None) -> Callable[[Row], Fields]:
    """The decoded fields, in the order in which they are sent as text."""

    def fields(row: Row) -> Fields:
        values = [f"{value}" for _, value in row["decoded"]]
        return (str(row["message_id"]), *(() if version is None else (version,)), *values)

    return fields


_DECODED: Mapping[str, Callable[[Row], Fields]] = {
    "marketDataType": _numbered("1"),
    "tickPrice": _numbered("6"),
    "tickSize": _numbered("6"),
    "tickGeneric": _numbered("6"),
    "tickString": _numbered("6"),
    "tickSnapshotEnd": _numbered("1"),
}
