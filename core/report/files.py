"""Reports on disk: written whole or not at all, readable by their owner only, never through a link.

A folder that everybody may write to is refused: what a person reads there must be what was written.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from core.errors import OutputFailed, UsageError, unexpected
from core.folders import make_folder, sync_folder
from core.model import RunId, RunResult
from core.report.documents import result_json
from core.report.post_trade import post_trade_csv, post_trade_markdown
from core.report.pre_trade import PreTrade, pre_trade_csv, pre_trade_markdown
from core.report.report_html import report_html

Subject = TypeVar("Subject")

PAGE = "report.html"
# base32 of 12 characters, as core.model.refs makes it: nothing in it can leave the folder
_RUN_ID = re.compile(r"[A-Za-z2-7]{12}")
_NEXT_STEP = "free or repair that folder; the lines of the run above and the broker show what happened"
_REPORT_IT = "report it; no other file is affected"


@dataclass(frozen=True, slots=True)
class ReportFile(Generic[Subject]):
    """A file of the report: its name, what it is about (for lists of the files), and what renders its text."""

    name: str
    about: str
    render: Callable[[Subject], str]


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the files of a report: the paths of those that were written, and why others were not.

    The failure has a mistake in the program, by which a file could not be made, as its cause.
    """

    paths: tuple[Path, ...]
    failure: OutputFailed | None = None

    def all_paths(self) -> tuple[Path, ...]:
        """The paths of all files. Raises the failure where one was not written."""
        if self.failure:
            raise self.failure
        return self.paths


PRE_TRADE_FILES: tuple[ReportFile[PreTrade], ...] = (
    ReportFile("pre_trade.csv", "every symbol with its drift and its order", lambda report: pre_trade_csv(report.plan)),
    ReportFile("pre_trade.md", "the plan with its reasons, gates and approvals", pre_trade_markdown),
)
"""Written before anybody is asked, and again, with the answers, when the run has ended."""

POST_TRADE_FILES: tuple[ReportFile[RunResult], ...] = (
    ReportFile("post_trade.csv", "every order, and every trade that was not sent", post_trade_csv),
    ReportFile("post_trade.md", "what happened, what it cost, and the drift that is left", post_trade_markdown),
    ReportFile(PAGE, "all of it on one page, with charts, for a browser and for paper", report_html),
    # last, so that a program that sees it finds the others
    ReportFile("result.json", "the run for programs", result_json),
)
"""Written when the run has ended, in this order."""


def report_folder(report_dir: Path, run_id: RunId) -> Path:
    """The folder of one run's reports.

    Raises OutputFailed for a run id that is not 12 base32 characters, since it becomes part of a path.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise OutputFailed(
            f"run id {run_id!r} is not 12 base32 characters", next_step="take the id from the name of a report folder"
        )
    return report_dir / run_id


def write_pre_trade(report: PreTrade, folder: Path) -> tuple[Path, ...]:
    """Write `PRE_TRADE_FILES`, as a person sees them before approving; their paths.

    Raises OutputFailed as `write_files` does.
    """
    return write_files(PRE_TRADE_FILES, report, folder)


def write_reports(outcome: RunResult, folder: Path) -> tuple[Path, ...]:
    """Write all reports of a run that has ended; their paths. Pre-trade files only when there was a plan.

    Raises OutputFailed as `write_files` does.
    """
    return try_reports(outcome, folder).all_paths()


def try_reports(outcome: RunResult, folder: Path) -> Written:
    """Write what can be written of the reports that `write_reports` writes."""
    renders: dict[str, Callable[[], str]] = {}
    if outcome.plan is not None:
        report = PreTrade(
            plan=outcome.plan, warnings=outcome.warnings, gates=outcome.gates, approvals=outcome.approvals
        )
        renders |= _renders(PRE_TRADE_FILES, report)
    return _write_each(renders | _renders(POST_TRADE_FILES, outcome), folder)


def write_files(files: Iterable[ReportFile[Subject]], subject: Subject, folder: Path) -> tuple[Path, ...]:
    """Write these files about `subject` into the folder; their paths.

    A file that cannot be made or written does not prevent the others; OutputFailed then names each that failed.
    """
    return _write_each(_renders(files, subject), folder).all_paths()


def write_page(text: str, path: Path) -> None:
    """Write the page of past runs to where a person wants it, as reports are written.

    Raises UsageError where a file is there that is no such page, OutputFailed.
    """
    next_step = "name a file in a folder that exists and can be written"
    try:
        if path.exists() and not path.is_symlink() and not _is_page(path, text):
            raise UsageError(f"{path} exists and is no page of past runs", next_step="choose another name")
        _write(path, text)
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror}", next_step=next_step) from None
    except OutputFailed as error:
        raise OutputFailed(f"cannot write {error.message}", next_step=next_step) from None


def _is_page(path: Path, text: str) -> bool:
    """Whether the file begins as this page does, up to its title and the styles; an empty one is as good."""
    head = text.partition("<style>")[0].encode()
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(head)) in (b"", head)


def prepare_folder(folder: Path) -> None:
    """Create the folder, closed to others, where it is missing.

    Raises OutputFailed, also when it is a link, or when others could replace what stands in it (`check_closed`).
    """
    try:
        # closed whatever the umask: a folder that we made ourselves must not be refused
        make_folder(folder.parent, 0o755)
        make_folder(folder, 0o700)
        if folder.is_symlink():
            raise _failed(f"{folder}: is a symbolic link")
        check_closed(folder.parent, folder)
    except OSError as error:
        raise _failed(f"{folder}: {error.strerror}") from None


def check_closed(*folders: Path) -> None:
    """Return when none of the folders, which exist, lets everybody rename or remove what is ours.

    A sticky bit, as that of /tmp, prevents this as well. Raises OutputFailed, and OSError.
    """
    for folder in folders:
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise OutputFailed(
                f"everybody may write to {folder}: reports there could be replaced",
                next_step=f"chmod o-w {shlex.quote(str(folder))}, or set another [io] report_dir",
            )


def write_texts(files: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    """Write texts as files of these names into a folder, as reports are written; their paths.

    A file that cannot be written does not prevent the others; OutputFailed then names each that failed.
    """
    return _write_each({name: partial(str, text) for name, text in files.items()}, folder).all_paths()


def _renders(files: Iterable[ReportFile[Subject]], subject: Subject) -> dict[str, Callable[[], str]]:
    return {file.name: partial(file.render, subject) for file in files}


def _write_each(renders: Mapping[str, Callable[[], str]], folder: Path) -> Written:
    """Render and write the files of these names, each by itself."""
    try:
        prepare_folder(folder)
    except OutputFailed as error:
        return Written((), error)
    paths: list[Path] = []
    failures: list[OutputFailed] = []
    for name, render in renders.items():
        path = folder / name
        try:
            _write(path, _rendered(path, render))
            paths.append(path)
        except OutputFailed as error:
            failures.append(error)
    return Written(tuple(paths), _together(failures) if failures else None)


def _rendered(path: Path, render: Callable[[], str]) -> str:
    try:
        return render()
    except Exception as error:
        raise OutputFailed(f"{path}: {unexpected(error, '').message}", next_step=_REPORT_IT) from error


def _write(path: Path, text: str) -> None:
    """Replace the file in one step, so that a reader sees the old one or the new one. Raises OutputFailed."""
    try:
        # through a link we would overwrite a file that is not a report
        if path.is_symlink():
            raise OutputFailed(f"{path}: is a symbolic link", next_step=_NEXT_STEP)
        _replace(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise OutputFailed(f"{path}: {error.strerror}", next_step=_NEXT_STEP) from None


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600, never an existing file
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # a rename within one folder is atomic: a reader never sees half a report
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    # the rename itself is on disk only when its folder is
    sync_folder(path.parent)


def _failed(fault: str) -> OutputFailed:
    return OutputFailed(f"cannot write {fault}", next_step=_NEXT_STEP, faults=[fault])


def _together(failures: list[OutputFailed]) -> OutputFailed:
    """The failures of single files as one, caused by the first mistake among them."""
    faults = [each.message for each in failures]
    steps = dict.fromkeys(each.next_step for each in failures)
    failed = OutputFailed(f"cannot write {'; '.join(faults)}", next_step="; ".join(steps), faults=faults)
    failed.__cause__ = next((each.__cause__ for each in failures if each.__cause__), None)
    return failed
