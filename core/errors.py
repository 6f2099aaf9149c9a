"""Every foreseen failure: what happened, where, what to do next, and the exit code of the run.

::

    RebalanceError
    ├── UsageError              2  command line misuse
    ├── SettingsInvalid        10  settings.ini, environment or overrides
    ├── PortfoliosInvalid      11  portfolios.csv
    ├── DataRefused            12  a data gate failed, or the account is not one we may plan for
    ├── BrokerError
    │   ├── ConnectionLost     20  could not connect, or lost it
    │   │   ├── ConnectionRefused  nothing listens at the address
    │   │   └── ConnectionClosed   closed before it was ready
    │   ├── PacingExceeded     21  the message limit, tries used up
    │   ├── ContractNotFound   22  unknown or ambiguous contract
    │   ├── MarketDataMissing  23  no usable or fresh quote
    │   ├── FractionRefused    24  the broker takes whole shares only
    │   ├── MarketClosed       25
    │   ├── FundsInsufficient  26  buying power or margin
    │   ├── OrderRejected      27
    │   ├── OrderIncomplete    28  timed out or only partly filled
    │   └── NoAnswer           28  no answer to a what-if order; the order is left out
    ├── Refused
    │   ├── SafetyRefused      30
    │   ├── KillSwitchOn       31
    │   ├── ApprovalRejected   32  a person rejected the plan
    │   ├── ApprovalExpired    33
    │   ├── PlanKeptChanging   34
    │   ├── StartedLate        30  a scheduled run whose time had passed when it started
    │   └── RunCancelled       32  a person stopped the run: Ctrl-C, a signal, or a cancel on the Prefect page
    ├── AccountBusy            40  another run, or somebody else's working orders
    ├── OrderStateUnknown      41  needs a person
    └── OutputFailed           50  report or journal cannot be written

A read may be tried again after ConnectionLost and PacingExceeded (`TRANSIENT`), after nothing else.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """Exit codes of the command and of a run; also in result.json."""

    DONE = 0
    USAGE = 2
    SETTINGS = 10
    PORTFOLIOS = 11
    DATA = 12
    CONNECTION = 20
    PACING = 21
    CONTRACT = 22
    MARKET_DATA = 23
    FRACTION = 24
    MARKET_CLOSED = 25
    FUNDS = 26
    REJECTED = 27
    INCOMPLETE = 28
    HOUSEHOLD = 29
    SAFETY = 30
    KILL_SWITCH = 31
    APPROVAL_REJECTED = 32
    APPROVAL_EXPIRED = 33
    PLAN_CHANGING = 34
    BUSY = 40
    UNKNOWN = 41
    OUTPUT = 50
    UNFORESEEN = 70


class RebalanceError(Exception):
    """A foreseen failure.

    `message` says what happened and where, `next_step` what to do; `str()` gives both on one line.
    `faults` are the single violations where several were found; each is one line.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.UNFORESEEN

    def __init__(self, message: str, *, next_step: str = "", faults: Sequence[str] = ()) -> None:
        self.message = message
        self.next_step = next_step
        self.faults = tuple(faults)
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} - {self.next_step}" if self.next_step else self.message

    def __eq__(self, other: object) -> bool:
        return self._parts() == other._parts() if isinstance(other, RebalanceError) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._parts())

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, Any]:
        """pydantic's hook: the failure as the name of its class and its texts, so that it can be put on record."""
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": _read},
            "serialization": {"type": "function-plain", "function": RebalanceError._parts},
        }

    def _parts(self) -> tuple[str, str, str, tuple[str, ...]]:
        return type(self).__name__, self.message, self.next_step, self.faults

    @property
    def in_full(self) -> str:
        """The message, the next step and each single fault on one line, for where no list can be shown."""
        return "; ".join([str(self), *self.unnamed_faults])

    @property
    def unnamed_faults(self) -> tuple[str, ...]:
        """The faults that the message does not name already, for a list below it."""
        return tuple(fault for fault in self.faults if fault not in self.message)


def _read(parts: Sequence[Any]) -> RebalanceError:
    """The failure of these parts; one of a class that there is no more is a RebalanceError."""
    kind, message, next_step, faults = parts
    classes = [RebalanceError]
    for each in classes:  # grows as it goes
        classes += each.__subclasses__()
    made = next((each for each in classes if each.__name__ == kind), RebalanceError)
    return made(message, next_step=next_step, faults=faults)


class UsageError(RebalanceError):
    exit_code = ExitCode.USAGE


class SettingsInvalid(RebalanceError):
    exit_code = ExitCode.SETTINGS


class PortfoliosInvalid(RebalanceError):
    exit_code = ExitCode.PORTFOLIOS


class DataRefused(RebalanceError):
    exit_code = ExitCode.DATA


class BrokerError(RebalanceError):
    """The broker or the market does not allow what was requested."""


class ConnectionLost(BrokerError):
    exit_code = ExitCode.CONNECTION


class ConnectionRefused(ConnectionLost):
    """Nothing listens at the address: that is known at once, and seldom changes within seconds."""


class ConnectionClosed(ConnectionLost):
    """Something listens at the address, and closed the connection before it was ready."""


class PacingExceeded(BrokerError):
    exit_code = ExitCode.PACING


class ContractNotFound(BrokerError):
    exit_code = ExitCode.CONTRACT


class MarketDataMissing(BrokerError):
    exit_code = ExitCode.MARKET_DATA


class FractionRefused(BrokerError):
    exit_code = ExitCode.FRACTION


class MarketClosed(BrokerError):
    exit_code = ExitCode.MARKET_CLOSED


class FundsInsufficient(BrokerError):
    exit_code = ExitCode.FUNDS


class OrderRejected(BrokerError):
    exit_code = ExitCode.REJECTED


class OrderIncomplete(BrokerError):
    exit_code = ExitCode.INCOMPLETE


class LedgerBehind(OrderIncomplete):
    """The account does not show the cash that the fills brought, long after them."""


class NoAnswer(BrokerError):
    """The broker did not answer a what-if in time, as happens while TWS shows a dialog; the connection is up."""

    exit_code = ExitCode.INCOMPLETE


class Refused(RebalanceError):
    """A rule or a person refused; nothing (more) is sent."""


class SafetyRefused(Refused):
    exit_code = ExitCode.SAFETY


class KillSwitchOn(Refused):
    exit_code = ExitCode.KILL_SWITCH


class ApprovalRejected(Refused):
    exit_code = ExitCode.APPROVAL_REJECTED


class ApprovalExpired(Refused):
    exit_code = ExitCode.APPROVAL_EXPIRED


class PlanKeptChanging(Refused):
    exit_code = ExitCode.PLAN_CHANGING


class StartedLate(Refused):
    exit_code = ExitCode.SAFETY


class RunCancelled(Refused):
    exit_code = ExitCode.APPROVAL_REJECTED


class AccountBusy(RebalanceError):
    exit_code = ExitCode.BUSY


class OrderStateUnknown(RebalanceError):
    exit_code = ExitCode.UNKNOWN


class OutputFailed(RebalanceError):
    exit_code = ExitCode.OUTPUT


TRANSIENT = (ConnectionLost, PacingExceeded)


def leading(errors: Sequence[RebalanceError]) -> RebalanceError:
    """The failure that gives the run its exit code: 41 before all, then 50, then the first cause."""
    for first in (OrderStateUnknown, OutputFailed):
        for error in errors:
            if isinstance(error, first):
                return error
    return errors[0]


def leading_first(errors: Sequence[RebalanceError]) -> tuple[RebalanceError, ...]:
    """The failures with the `leading` one first, the others in order of time."""
    if not errors:
        return ()
    first = leading(errors)
    return (first, *(error for error in errors if error is not first))


def unexpected(error: BaseException, next_step: str) -> RebalanceError:
    """The failure with code 70 that stands for `error`, which nobody foresaw, with the file and line that raised it."""
    where = ""
    for frame in traceback.extract_tb(error.__traceback__)[-1:]:
        where = f" ({frame.filename.rpartition('/')[2]}:{frame.lineno})"
    text = " ".join(str(error).split())
    return RebalanceError(f"unexpected: {type(error).__name__}: {text}{where}", next_step=next_step)
