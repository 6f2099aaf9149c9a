"""YAML files that a person wrote, read strictly: texts only, and every fault at once, each with its line and place.

A file is loaded into a `YamlFile`, whose texts a pydantic model then reads. `FilePart` and the kinds of text below are
what such models are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema, model_validator
from pydantic_core import ErrorDetails

from core.errors import RebalanceError
from core.text import nearest, visible

Model = TypeVar("Model", bound=BaseModel)
Choice = TypeVar("Choice", bound=StrEnum)
Place = tuple[int | str, ...]
"""Where a value stands: the keys and the positions in lists that lead to it."""

LARGEST_FILE = 10_000_000  # bytes
SHOWN = 40  # characters of a wrong text that a message repeats
NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
# pydantic's own types of error, as messages; what a reader raises has its message already
MESSAGES = {
    "missing": "is missing",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "must have an entry",
}
KEY = "[key]"  # how pydantic names the place of a mapping's key
UNKNOWN = "extra_forbidden"


class StrictLoader(yaml.BaseLoader):
    """Every scalar stays the text as written, so ON is a ticker and 0.10 has two decimals; a key appears once."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # a few lines of aliases can stand for more values than a computer has room for
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # as types-PyYAML has it
            text = f"*{event.anchor} stands for another value: write the value itself"
            raise yaml.composer.ComposerError(None, None, text, event.start_mark)
        return super().compose_node(parent, index)

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


@dataclass(frozen=True, slots=True)
class YamlFile:
    """The texts of a YAML file, and the line on which each value begins; `error` is what is raised for its faults."""

    path: Path
    texts: Mapping[str, object]
    lines: Mapping[Place, int]
    error: type[RebalanceError]

    def read(self, model: type[Model], faults: Sequence[str] = ()) -> Model:
        """The texts as a model. Raises `error` with `faults` and every fault that the model finds."""
        found, own = self.checked(model)
        if found is None or faults:
            raise self.refused([*faults, *(self.fault(place, text) for place, text in own)])
        return found

    def checked(self, model: type[Model]) -> tuple[Model | None, list[tuple[Place, str]]]:
        """(the texts as a model, None with any fault; every fault that the model finds, with its place)."""
        try:
            return model.model_validate(self.texts), []
        except ValidationError as error:
            return None, list(_faults(model, error))

    def refused(self, faults: Sequence[str]) -> RebalanceError:
        """The error of the file with these faults, each named with the file."""
        return _refused(self.path, faults, self.error)

    def fault(self, place: Place, text: str) -> str:
        """What is wrong at a place, with its line; none for what is missing at the top of the file."""
        line = self.line(place)
        where = "" if line is None else f"line {line}: "
        return f"{where}{_place_text(place)}: {text}"

    def line(self, place: Place) -> int | None:
        """The line of a place, or of what it is missing in; None for what is missing at the top of the file."""
        inner_first = (place[:end] for end in range(len(place), 0, -1))
        return next((self.lines[each] for each in inner_first if each in self.lines), None)


def load(path: Path, error: type[RebalanceError]) -> YamlFile:
    """The YAML file. Raises `error` for what cannot be read, is not YAML, repeats a key or refers to other values."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise _refused(path, [f"is larger than {LARGEST_FILE} bytes"], error)
        loader = StrictLoader(path.read_text(encoding="utf-8-sig"))
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
        lines = {} if node is None else dict(_lines((), node))
    except OSError as fault:
        why = "there is no such file" if isinstance(fault, FileNotFoundError) else fault.strerror or "cannot be read"
        raise _refused(path, [why], error, "name the right file") from None
    except UnicodeDecodeError:
        raise _refused(path, ["is not UTF-8 text"], error) from None
    except (yaml.YAMLError, RecursionError) as fault:
        raise _refused(path, [f"is not valid YAML: {_problem(fault)}"], error) from None
    if not isinstance(value, dict):
        raise _refused(path, ["must be a mapping of keys to values"], error)
    return YamlFile(path, value, lines, error)


def _refused(
    path: Path,
    faults: Sequence[str],
    error: type[RebalanceError],
    next_step: str = "correct the file and run it again",
) -> RebalanceError:
    count = f"{len(faults)} faults: " if len(faults) > 1 else ""
    return error(
        f"{path}: {count}{'; '.join(faults)}",
        next_step=next_step,
        faults=[f"{path}: {fault}" for fault in faults],
    )


def _lines(place: Place, node: yaml.Node) -> Iterator[tuple[Place, int]]:
    """The line of every value below the node; that of its key in a mapping."""
    if isinstance(node, yaml.MappingNode):
        inside = [((*place, key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        inside = [((*place, number), value, value) for number, value in enumerate(node.value)]
    else:
        inside = []
    for own, start, value in inside:
        yield own, start.start_mark.line + 1
        yield from _lines(own, value)


def _place_text(place: Place) -> str:
    """The place of a value, as in `account.positions[0].symbol`."""
    # a key is whatever somebody wrote, and a fault is one line
    return "".join(f"[{part}]" if isinstance(part, int) else f".{visible(part)}" for part in place).removeprefix(".")


def _faults(model: type[BaseModel], error: ValidationError) -> Iterator[tuple[Place, str]]:
    found = error.errors(include_url=False, include_input=False)
    # an unknown key at the top often explains the faults after it
    for detail in sorted(found, key=lambda each: each["type"] != UNKNOWN or len(each["loc"]) > 1):
        yield tuple(part for part in detail["loc"] if part != KEY), _what(model, detail)


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


@dataclass(frozen=True, slots=True)
class RefusedValue:
    """In place of a value that may not stand where it does, so that the fault is reported at its place."""

    text: str


class FilePart(BaseModel):
    """A mapping of known keys. A key without a value counts as absent, except one of `may_be_null`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    may_be_null: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _without_absent(cls, value: object) -> object:
        if isinstance(value, RefusedValue):
            raise ValueError(value.text)  # noqa: TRY004 - pydantic makes a fault of a ValueError
        if is_absent(value):
            return {}
        if not isinstance(value, dict):
            return value
        # removed rather than read as None: a key that must be there is then missing, and any other has its default
        return {key: each for key, each in value.items() if key in cls.may_be_null or not is_absent(each)}


def is_absent(value: object) -> bool:
    """Whether there is no value."""
    return value is None or (isinstance(value, str) and value in NOTHING)


def text_of(value: object) -> str:
    """The text, trimmed. Raises ValueError for a list or a mapping."""
    if isinstance(value, RefusedValue):
        raise ValueError(value.text)  # noqa: TRY004 - pydantic makes a fault of a ValueError
    if not isinstance(value, str):
        raise ValueError("must be a single value")  # noqa: TRY004
    return value.strip()


def name_of(value: object) -> str:
    """A text that must be present, as it is written. Raises ValueError without one."""
    text = text_of("" if value is None else value)
    if not text:
        raise ValueError("is missing")
    return text


def count_of(value: object) -> int:
    """The whole number. Raises ValueError for anything else."""
    text = text_of(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{text[:SHOWN]!r} is not a whole number")
    return int(text)


def one_of(*members: Choice) -> Callable[[object], Choice]:
    """A reader of one of these texts; it raises ValueError for any other."""

    def read(value: object) -> Choice:
        text = text_of(value)
        found = next((member for member in members if text == member), None)
        if found is None:
            raise ValueError(f"{text[:SHOWN]!r} is not one of {', '.join(members)}")
        return found

    return read


def setting_texts(value: object) -> object:
    """A mapping of settings: keys without a value are left to their default; a list becomes text with commas."""
    if is_absent(value):
        return {}
    if not isinstance(value, dict):
        return value
    return {
        key: ", ".join(map(name_of, each)) if isinstance(each, list) else each
        for key, each in value.items()
        if not is_absent(each)
    }


SCALARS = ["string", "number", "boolean", "null"]

Text = Annotated[str, BeforeValidator(text_of)]
Count = Annotated[int, BeforeValidator(count_of), WithJsonSchema({"type": ["integer", "string"], "minimum": 0})]
SettingTexts = Annotated[
    dict[str, Annotated[str, BeforeValidator(text_of), WithJsonSchema({"type": [*SCALARS, "array"]})]],
    BeforeValidator(setting_texts),
]
"""Settings as a file has them, by their key."""
