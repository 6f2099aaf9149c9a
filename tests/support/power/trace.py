"""A program's system calls, as strace logs them: what it did to its files and what it sent, in order of time."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from programs import find

# every way to change a file or to send: what is not understood of a file that matters is an error, not ignored
CALLS = (
    "openat,creat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,truncate,ftruncate,fallocate,"
    "write,writev,pwrite64,pwritev,pwritev2,sendfile,copy_file_range,fsync,fdatasync,sendto,sendmsg"
)
# -y names the file behind a descriptor, -xx has all bytes readable, --seccomp-bpf stops at these calls alone
OPTIONS = ("-f", "--seccomp-bpf", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o")
_LINE = re.compile(r"(?P<thread>\d+) +(?P<call>\w+)\((?P<rest>.*)")
_RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)")
_UNFINISHED = " <unfinished ...>"
_ENDED = re.compile(r"\) += (?P<result>-?\d+)(?:<(?P<path>[^>]*)>)?")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"\d+<(?P<path>[^>]*)>(?P<removed>\(deleted\))?, *")


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes of the file at this path, from this offset on."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """The file at this path was made as long as this."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Make:
    """A file or folder was opened at this path with leave to make it; `is_emptied` if it was emptied too."""

    path: str
    is_emptied: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    """The file at this path was removed."""

    path: str


@dataclass(frozen=True, slots=True)
class Sync:
    """The file or folder at this path was synced: the call has returned."""

    path: str


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes are about to leave by a socket."""

    data: bytes


Step = Write | Truncate | Make | Remove | Sync | Send


def refusal() -> str:
    """Why strace, where it is installed, may not trace a program of ours; empty where it may."""
    strace = find("strace")
    if strace is None:
        return ""
    done = subprocess.run([strace, *OPTIONS, os.devnull, "true"], capture_output=True, text=True, check=False)
    return " ".join(done.stderr.split()) if done.returncode else ""


def may_trace() -> pytest.MarkDecorator:
    """Skips a test where tracing is forbidden, as in some containers, saying how to have it."""
    why = refusal()
    how = "in a container --cap-add=SYS_PTRACE, else sysctl kernel.yama.ptrace_scope=1"
    return pytest.mark.skipif(bool(why), reason=f"tracing is forbidden here ({why}): {how}")


def traced(command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path | None = None) -> None:
    """Run the command under strace, into this file. Raises AssertionError where it fails."""
    strace = find("strace")
    assert strace is not None
    done = subprocess.run(
        [strace, *OPTIONS, log, *command], env=env, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def steps(log: Path, folder: Path) -> Iterator[Step]:
    """What the log has of the files in this folder, of folders on the way to it, and of what was sent.

    A write counts from its return on, a sync as well; what is sent counts from the call on, as it may be gone by then.
    Raises ValueError for a change of one of these files that is none of the steps.
    """
    begun: dict[str, tuple[str, str]] = {}
    with log.open() as lines:
        for line in lines:
            text = line.rstrip("\n")
            resumed = _RESUMED.fullmatch(text)
            if resumed:
                if resumed["thread"] not in begun:
                    continue  # the end of a send
                call, rest = begun.pop(resumed["thread"])
                yield from _finished(call, rest + resumed["rest"], folder)
                continue
            found = _LINE.fullmatch(text)
            if found is None:
                continue  # a signal, or the end of a thread
            call, rest = found["call"], found["rest"]
            if call == "sendto":
                yield Send(_text(rest))
            elif rest.endswith(_UNFINISHED):
                begun[found["thread"]] = call, rest.removesuffix(_UNFINISHED)
            else:
                yield from _finished(call, rest, folder)


def _finished(call: str, rest: str, folder: Path) -> Iterator[Step]:
    ended = _ENDED.search(rest)
    if call == "sendto" or ended is None or ended["result"].startswith("-"):
        return  # nothing was done
    arguments = rest[: ended.start()]
    if call in ("openat", "creat"):
        path = _decoded(ended["path"] or "")
        if "O_CREAT" in arguments and _concerns(path, folder):
            yield Make(path, is_emptied="O_TRUNC" in arguments)
        return
    described = _DESCRIPTOR.match(f"{arguments}, ")
    if described and described["removed"]:
        return  # a file without a name is nobody's after power loss
    path = _decoded(described["path"]) if described else _text(rest).decode()
    if _concerns(path, folder):
        yield _step(call, path, arguments, int(ended["result"]))


def _step(call: str, path: str, arguments: str, result: int) -> Step:
    match call:
        case "pwrite64":
            return Write(path, int(arguments.rpartition(", ")[2]), _text(arguments)[:result])
        case "ftruncate":
            return Truncate(path, int(arguments.rpartition(", ")[2]))
        case "fsync" | "fdatasync":
            return Sync(path)
        case "unlink":
            return Remove(path)
        case "mkdir":
            return Make(path)
    raise ValueError(f"{call} of {path} is not understood")


def _concerns(path: str, folder: Path) -> bool:
    """Whether the path is in the folder, or is one that leads there."""
    known = Path(path)
    return folder in (known, known.parent) or known in folder.parents


def _text(arguments: str) -> bytes:
    found = _TEXT.search(arguments)
    return bytes.fromhex(found[1].replace("\\x", "")) if found else b""


def _decoded(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode()
