"""One place in a YAML file: what stands there, read strictly, and every fault with its path.

A reader never stops at a fault: it notes it and goes on with the default, so that all are told at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import yaml

from core.errors import UsageError
from core.money import D

Choice = TypeVar("Choice", bound=StrEnum)

NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
NOT_A_NUMBER = frozenset({".nan", "nan"})
YES = frozenset({"yes", "true", "on"})
NO = frozenset({"no", "false", "off"})
LARGEST_FILE = 10_000_000  # bytes


class StrictLoader(yaml.BaseLoader):
    """Every scalar stays the text it was written as, so ON is a ticker and 0.10 has two decimals; a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002 - yaml's own signature
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
            if key in seen:
                text = f"the key {key!r} appears here twice"
                raise yaml.constructor.ConstructorError(None, None, text, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


@dataclass(frozen=True, slots=True)
class Node:
    """`value` is text, a list, a mapping, or None for what is absent; `faults` is shared by all nodes of a file."""

    value: object
    path: str
    faults: list[str]

    @property
    def is_absent(self) -> bool:
        return self.value is None or (isinstance(self.value, str) and self.value in NOTHING)

    def fault(self, text: str) -> None:
        """Note what is wrong here."""
        self.faults.append(f"{self.path}: {text}" if self.path else text)

    def fields(self, *known: str) -> dict[str, Node]:
        """A node for each known key, absent ones too; any other key is a fault that names the nearest known one."""
        found = dict(self.entries())
        for key in found:
            if key not in known:
                near = get_close_matches(key, known, 1, 0.6)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self._child(key).fault(f"unknown key - {hint}")
        return {key: found.get(key, self._child(key)) for key in known}

    def entries(self) -> list[tuple[str, Node]]:
        """The keys of a mapping with what they hold; none when absent."""
        if self.is_absent:
            return []
        if not isinstance(self.value, dict):
            self.fault("must be a mapping of keys to values")
            return []
        return [(key, Node(value, self._under(key), self.faults)) for key, value in self.value.items()]

    def items(self) -> list[Node]:
        """The items of a list; none when absent."""
        if self.is_absent:
            return []
        if not isinstance(self.value, list):
            self.fault("must be a list")
            return []
        return [Node(value, f"{self.path}[{place}]", self.faults) for place, value in enumerate(self.value)]

    def text(self, default: str | None = None) -> str:
        """The trimmed text; without a default it must be there."""
        if self.is_absent:
            if default is None:
                self.fault("is missing")
            return default or ""
        if not isinstance(self.value, str):
            self.fault("must be a single value")
            return default or ""
        return self.value.strip()

    def word(self) -> str:
        """The trimmed text whatever YAML would make of it, so that NULL is a ticker; empty where nothing stands."""
        return self.value.strip() if isinstance(self.value, str) else self.text("")

    def name(self) -> str:
        """A word that must be there, such as a symbol."""
        found = self.word()
        if not found:
            self.fault("is missing")
        return found

    def number(self) -> Decimal | None:
        """The number; None when absent, when it is `.nan`, and when it is none."""
        if self.is_absent:
            return None
        text = self.text("")
        if not text or text.lower() in NOT_A_NUMBER:
            return None
        try:
            return D(text)
        except ValueError:
            self.fault(f"{text[:40]!r} is not a number")
            return None

    def amount(self, default: Decimal, *, least: Decimal | None = None, most: Decimal | None = None) -> Decimal:
        """The number within its bounds, or the default."""
        found = self.number()
        if found is None:
            return default
        if (least is not None and found < least) or (most is not None and found > most):
            wanted = " and ".join(
                f"{word} {bound}" for word, bound in (("at least", least), ("at most", most)) if bound is not None
            )
            self.fault(f"{found} must be {wanted}")
            return default
        return found

    def needed(self) -> Decimal:
        """The number, which must be there."""
        if self.is_absent:
            self.fault("is missing")
        return self.number() or Decimal(0)

    def choice(self, words: type[Choice], default: Choice | None = None) -> Choice:
        """One of the enumeration's words; without a default it must be there."""
        first = next(iter(words))
        if self.is_absent and default is not None:
            return default
        text = self.text()
        try:
            return words(text)
        except ValueError:
            if text:
                self.fault(f"{text[:40]!r} is not one of {', '.join(words)}")
            return default or first

    def flag(self) -> bool:
        """Yes or no, as YAML writes them; absent is no."""
        text = self.text("no").lower()
        if text not in YES | NO:
            self.fault(f"{text[:40]!r} is not yes or no")
        return text in YES

    def _child(self, key: str) -> Node:
        return Node(None, self._under(key), self.faults)

    def _under(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def open_file(path: Path) -> Node:
    """The root of a YAML file. Raises UsageError for what cannot be read, is not YAML, or repeats a key."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise refused(path, [f"is larger than {LARGEST_FILE} bytes"])
        value = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=StrictLoader)  # noqa: S506 - builds text only
    except OSError as error:
        raise _unreadable(path, error) from None
    except UnicodeDecodeError:
        raise refused(path, ["is not UTF-8 text"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise refused(path, [f"is not valid YAML: {_words(error)}"]) from None
    root = Node(value, "", [])
    if not isinstance(value, dict):
        raise refused(path, ["must be a mapping of keys to values"])
    return root


def refused(path: Path, faults: Sequence[str], next_step: str = "correct the file and run it again") -> UsageError:
    """The error of a file with these faults, each named with the file."""
    count = f"{len(faults)} faults: " if len(faults) > 1 else ""
    return UsageError(
        f"{path}: {count}{'; '.join(faults)}",
        next_step=next_step,
        faults=[f"{path}: {fault}" for fault in faults],
    )


def _unreadable(path: Path, error: OSError) -> UsageError:
    why = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or "cannot be read"
    return refused(path, [why], "name the right file")


def _words(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "nested too deeply or not text"
    return f"line {mark.line + 1}: {problem}" if mark else problem
