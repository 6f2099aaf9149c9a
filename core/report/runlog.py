"""run.log: one JSON object per line, the first about versions and settings; no account id and no secret in any.

Lines belong to a run by `run_id` in loguru's extra. Inside `open_run_log` everything that is logged from the same
task or thread carries it, so that concurrent runs in one process do not mix.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from core.errors import OutputFailed
from core.masking import mask_accounts
from core.model import RunId
from core.report.files import prepare_folder

if TYPE_CHECKING:
    from loguru import Logger, Message, Record

_PACKAGES = ("ibkr-rebalancer", "prefect", "ib_async", "pandas", "pydantic", "great-expectations")
_HIDDEN = "[hidden]"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRules:
    """What the log shows: from `level` upwards, account ids masked, `secrets` (texts) never."""

    settings: Mapping[str, Mapping[str, str]]
    level: str = "INFO"
    accounts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    def clean(self, text: str) -> str:
        """The text as it may be written; a secret is found also as `repr` and JSON escape it, in messages of errors."""
        for secret in filter(None, self.secrets):
            for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]):
                text = text.replace(form, _HIDDEN)
        return mask_accounts(text, *self.accounts)


@dataclass(slots=True)
class RunLog:
    """The open log: a logger bound to the run. `lost` says why lines could not be written, "" when all could."""

    logger: Logger
    lost: str = field(default="")


@contextmanager
def open_run_log(path: Path, run_id: RunId, rules: LogRules) -> Iterator[RunLog]:
    """The run's log for as long as the block runs; appended to when the run goes on later.

    Raises OutputFailed when it cannot be opened. A line that cannot be written later is lost, not an error:
    a full disk must not keep orders from being cancelled.
    """
    # not by a file handler of loguru, which complains on stderr, line by line, when the disk is full
    handle = _open(path)
    log = RunLog(logger.bind(run_id=run_id))
    write = _writer(handle, rules, log)
    write(_first_line(run_id, rules))
    sink = logger.add(
        lambda message: write(_line(message, run_id)),
        level=rules.level,
        filter=lambda record: record["extra"].get("run_id") == run_id,
        format="{message}",
        backtrace=False,
        # loguru's diagnose option prints the values of variables, secrets among them
        diagnose=False,
    )
    try:
        with logger.contextualize(run_id=run_id):
            yield log
    finally:
        logger.remove(sink)
        os.close(handle)


def _open(path: Path) -> int:
    prepare_folder(path.parent)
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise OutputFailed(
            f"cannot write {path}: {error.strerror}", next_step="make [io] report_dir writable"
        ) from None


def _writer(handle: int, rules: LogRules, log: RunLog) -> Callable[[Mapping[str, Any]], None]:
    def write(entry: Mapping[str, Any]) -> None:
        line = json.dumps(_clean(entry, rules), ensure_ascii=False) + "\n"
        try:
            # one write for a line: two processes that append never mix within one
            os.write(handle, line.encode(errors="backslashreplace"))
        except OSError as error:
            log.lost = str(error.strerror)

    return write


def _first_line(run_id: RunId, rules: LogRules) -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": "INFO",
        "run_id": run_id,
        "message": "run log opened",
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "platform": f"{platform.system()} {platform.release()} {platform.machine()} {sys.implementation.name}",
        "settings": rules.settings,
    }


def _line(message: Message, run_id: RunId) -> dict[str, Any]:
    record = message.record
    entry = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "run_id": run_id,
        "message": record["message"],
        "where": f"{record['name']}:{record['line']}",
        "extra": {key: value for key, value in record["extra"].items() if key != "run_id"},
    }
    return entry | _failure(record, str(message))


def _failure(record: Record, text: str) -> dict[str, str]:
    """The traceback, which is written to this log and nowhere else."""
    return {"traceback": text} if record["exception"] else {}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _clean(value: Any, rules: LogRules) -> Any:
    """The value as JSON takes it, every text in it cleaned: before JSON escapes could hide a secret's characters."""
    if isinstance(value, Mapping):
        return {rules.clean(str(key)): _clean(item, rules) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, rules) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return rules.clean(str(value))
