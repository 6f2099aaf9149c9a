"""Reading YAML as texts only, and reporting what a model finds wrong in them, every fault with its place."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.errors import UsageError
from core.text import nearest

Model = TypeVar("Model", bound=BaseModel)

LARGEST_FILE = 10_000_000  # bytes
# pydantic's own types of error, as messages; what a reader raises has its message already
MESSAGES = {
    "missing": "is missing",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
}
KEY = "[key]"  # how pydantic names the place of a mapping's key
UNKNOWN = "extra_forbidden"


class StrictLoader(yaml.BaseLoader):
    """Every scalar stays the text as written, so ON is a ticker and 0.10 has two decimals; a key appears once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002 - yaml's own signature
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key_node.start_mark)
            if key in seen:
                text = f"the key {key!r} appears here twice"
                raise yaml.constructor.ConstructorError(None, None, text, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def load(path: Path) -> dict[str, object]:
    """The texts of a YAML file. Raises UsageError for what cannot be read, is not YAML, or repeats a key."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise refused(path, [f"is larger than {LARGEST_FILE} bytes"])
        value = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=StrictLoader)  # noqa: S506 - builds text only
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or "cannot be read"
        raise refused(path, [why], "name the right file") from None
    except UnicodeDecodeError:
        raise refused(path, ["is not UTF-8 text"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise refused(path, [f"is not valid YAML: {_problem(error)}"]) from None
    if not isinstance(value, dict):
        raise refused(path, ["must be a mapping of keys to values"])
    return value


def read(path: Path, model: type[Model], texts: Mapping[str, object], faults: Sequence[str] = ()) -> Model:
    """The texts of the file as a model. Raises UsageError with `faults` and every fault that the model finds."""
    try:
        found = model.model_validate(texts)
    except ValidationError as error:
        raise refused(path, [*faults, *_faults(model, error)]) from None
    if faults:
        raise refused(path, faults)
    return found


def refused(path: Path, faults: Sequence[str], next_step: str = "correct the file and run it again") -> UsageError:
    """The error of a file with these faults, each named with the file."""
    count = f"{len(faults)} faults: " if len(faults) > 1 else ""
    return UsageError(
        f"{path}: {count}{'; '.join(faults)}",
        next_step=next_step,
        faults=[f"{path}: {fault}" for fault in faults],
    )


def _faults(model: type[BaseModel], error: ValidationError) -> Iterable[str]:
    found = error.errors(include_url=False, include_input=False)
    # an unknown key at the top often explains the faults after it
    for detail in sorted(found, key=lambda each: each["type"] != UNKNOWN or len(each["loc"]) > 1):
        yield f"{_place(detail['loc'])}: {_what(model, detail)}"


def _place(loc: tuple[int | str, ...]) -> str:
    """The place of a value, as in `account.positions[0].symbol`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc if part != KEY]
    return "".join(parts).removeprefix(".")


def _what(model: type[BaseModel], detail: ErrorDetails) -> str:
    """What is wrong there."""
    if detail["type"] == UNKNOWN:
        *parents, key = detail["loc"]
        known = list(_model_at(model, parents).model_fields)
        near = nearest(str(key), known)
        return f"unknown key - did you mean {near}?" if near else f"unknown key - known are {', '.join(known)}"
    return MESSAGES.get(detail["type"]) or str(detail.get("ctx", {}).get("error", detail["msg"]))


def _model_at(model: type[BaseModel], place: Iterable[int | str]) -> type[BaseModel]:
    """The model of a place; a symbol or an index in it leads to no other model."""
    for part in place:
        field = model.model_fields.get(str(part))
        model = (_model_in(field.annotation) if field else None) or model
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def _problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "nested too deeply or not text"
    return f"line {mark.line + 1}: {problem}" if mark else problem
