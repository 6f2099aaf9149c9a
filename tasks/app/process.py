"""A process that can be recognized later: the operating system reuses a pid, so its start belongs to it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

SAME_START_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process of some computer; `started` in seconds after that computer did, which no change of its clock moves."""

    host: str
    pid: int
    started: float

    @classmethod
    def of(cls, pid: int | None = None) -> Process:
        """The process of this computer that has this number now, or this one. Raises psutil.NoSuchProcess."""
        number = os.getpid() if pid is None else pid
        return cls(platform.node(), number, psutil.Process(number).create_time() - psutil.boot_time())

    @classmethod
    def parse(cls, label: object) -> Process | None:
        """The process that a label names; None for anything else."""
        try:
            host, pid, started = str(label).rsplit(maxsplit=2)
            return cls(host, int(pid), float(started))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.started:.2f}"

    @property
    def is_here(self) -> bool:
        return self.host == platform.node()

    @property
    def since(self) -> datetime:
        """When it started, by this computer's clock."""
        return datetime.fromtimestamp(psutil.boot_time() + self.started, UTC)

    def find(self) -> psutil.Process | None:
        """This very process, if it runs on this computer; None when it has ended."""
        try:
            found = psutil.Process(self.pid)
            # relative to the boot: create_time moves when the computer's clock is set
            is_same = abs(found.create_time() - psutil.boot_time() - self.started) < SAME_START_SECONDS
            return found if is_same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def runs(self) -> bool:
        """Whether this very process runs on this computer; one that we have no permission to inspect does."""
        try:
            return self.find() is not None
        except psutil.AccessDenied:
            return True
