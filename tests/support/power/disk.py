"""A disk that keeps what was synced, and of the rest what chance leaves: none of it, or any part.

POSIX promises no more: an fsync covers what was written to its file before, and a name is safe only when the folder
that it stands in was synced. What was not synced may have reached the disk all the same, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from power.trace import Make, Remove, Send, Step, Sync, Truncate, Write

Chance = Callable[[], bool]


def nothing() -> bool:
    """The chance of what was not synced on the worst disk."""
    return False


@dataclass(eq=False)
class File:
    """A file: what is safe of it, and what was done to it since its last sync. A folder is one without content."""

    synced: bytearray = field(default_factory=bytearray)
    since: list[Write | Truncate] = field(default_factory=list)

    def sync(self) -> None:
        self.synced, self.since = self.content(lambda: True), []

    def content(self, chance: Chance) -> bytearray:
        """What is in it after power loss."""
        made = bytearray(self.synced)
        for step in self.since:
            if not chance():
                continue
            end = step.size if isinstance(step, Truncate) else step.offset + len(step.data)
            made.extend(bytes(max(0, end - len(made))))
            if isinstance(step, Truncate):
                del made[end:]
            else:
                made[step.offset : end] = step.data
        return made


class Disk:
    """The files of a program by their paths, as they are for it and as they would be after power loss."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        self._synced_names: dict[str, File] = {}
        self._since: list[tuple[str, File | None]] = []

    def apply(self, step: Step) -> None:
        """Let the program do this."""
        match step:
            case Make(path, is_emptied):
                if path not in self._files:
                    self._name(path, File())
                elif is_emptied:
                    self._files[path].since.append(Truncate(path, 0))
            case Remove(path):
                self._name(path, None)
            case Write(path) | Truncate(path):
                self._files[path].since.append(step)
            case Sync(path):
                self._sync(path)
            case Send():
                pass

    def lose_power(self, target: Path, folder: Path, chance: Chance = nothing) -> None:
        """Write into `target` what the folder would hold after power loss; nothing where the folder itself is lost."""
        names = dict(self._synced_names)
        _rename(names, (change for change in self._since if chance()))
        made = {path for path in self._files if Path(path) in (folder, *folder.parents)}
        if not made <= names.keys():
            return
        for path, file in names.items():
            if Path(path).parent == folder:
                (target / Path(path).name).write_bytes(file.content(chance))

    def _name(self, path: str, file: File | None) -> None:
        self._since.append((path, file))
        _rename(self._files, [(path, file)])

    def _sync(self, path: str) -> None:
        if path in self._files:
            self._files[path].sync()
        within = [change for change in self._since if str(Path(change[0]).parent) == path]
        _rename(self._synced_names, within)
        self._since = [change for change in self._since if change not in within]


def _rename(names: dict[str, File], changes: Iterable[tuple[str, File | None]]) -> None:
    for path, file in changes:
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file
