"""Whether an order that may have left is proved never to have reached the broker: the rule for ABSENT, pure.

The witnesses are the broker's open orders, completed orders and executions, and what the account holds against what it
held before the stage. Each alone can miss an order: a list may lack what is still on its way, one of a gateway that was
restarted may be empty, and positions do not show an order that has yet to fill. So all four must say the same, twice,
so far apart that an order on its way would have arrived, and on the trading day that the lists are about. A proof that
fails does not mean that the order is there; it means that a person has to look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from core.execution.ledger import cash_moved
from core.execution.reconcile import Evidence
from core.journal.entries import RunState
from core.journal.transitions import could_be_absent
from core.model import FUNDING, NEW_YORK, USD, Fill, Holdings, OrderRecord, Side, Stage, Symbol
from core.model.executions import fill_of_execution
from core.money import CENT, ZERO
from core.text import price_text

_STAGES = tuple(Stage)


@dataclass(frozen=True, slots=True)
class WitnessRound:
    """The four witnesses, read from `at` on; None is what could not be read to its end."""

    at: datetime
    lists: Evidence | None
    holdings: Holdings | None


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Two rounds of witnesses, and how far apart they must be; `is_disturbed` if the connection failed in between."""

    first: WitnessRound
    second: WitnessRound
    apart: timedelta
    is_disturbed: bool = False

    @property
    def rounds(self) -> tuple[WitnessRound, WitnessRound]:
        return self.first, self.second


def why_not_absent(record: OrderRecord, run: RunState, witnesses: Witnesses) -> str:
    """Why the order of this run is not proved absent; empty for one that is."""
    return next((why for rule in _RULES if (why := rule(record, run, witnesses))), "")


def _is_seen(record: OrderRecord, run: RunState, witnesses: Witnesses) -> str:  # noqa: ARG001 - the form of the rules
    if not could_be_absent(record):
        return "the broker has reported on it, and its lists do not show how it ended"
    is_listed = any(each.lists is not None and record.order.ref in each.lists.refs() for each in witnesses.rounds)
    return "the broker's lists show it, and do not show how it ended" if is_listed else ""


def _is_missing(record: OrderRecord, run: RunState, witnesses: Witnesses) -> str:  # noqa: ARG001 - the form of the rules
    for each in witnesses.rounds:
        if each.lists is None:
            return "the broker's lists of orders and executions could not be read"
        if each.holdings is None:
            return "the account could not be read"
    return ""


def _is_too_soon(record: OrderRecord, run: RunState, witnesses: Witnesses) -> str:  # noqa: ARG001 - the form of the rules
    if witnesses.is_disturbed:
        return "the connection to the broker was disturbed while it was looked for"
    between = witnesses.second.at - witnesses.first.at
    if between < witnesses.apart:
        return f"it was looked for twice within {between.total_seconds():g} s, not {witnesses.apart.total_seconds():g}"
    sent_on = _day(record.sent_at or record.created_at)
    if {sent_on, _day(witnesses.first.at), _day(witnesses.second.at)} != {sent_on}:
        return f"it was sent on {sent_on:%d %B}, and the broker's lists are of the day in New York they are read on"
    return ""


def _is_blind(record: OrderRecord, run: RunState, witnesses: Witnesses) -> str:  # noqa: ARG001 - the form of the rules
    """A list that lacks a fill on record is not complete: TWS has answered with an empty one (ib_async #54)."""
    for each in witnesses.rounds:
        listed = each.lists.fills if each.lists is not None else ()
        for fill in (fill for other in run.orders.values() for fill in other.fills):
            if _day(fill.at) == _day(each.at) and fill_of_execution(listed, fill.exec_id) is None:
                return f"the broker's list of executions lacks {fill.exec_id}, which is on record"
    return ""


def _is_in_account(record: OrderRecord, run: RunState, witnesses: Witnesses) -> str:
    before = run.before.get(record.order.stage)
    if before is None:
        return "what the account held before the stage is not on record"
    for each in witnesses.rounds:
        if each.holdings is not None and (why := _unexplained(record, run, before, each.holdings)):
            return why
    return ""


_RULES: tuple[Callable[[OrderRecord, RunState, Witnesses], str], ...] = (
    _is_seen,
    _is_missing,
    _is_too_soon,
    _is_blind,
    _is_in_account,
)


def _unexplained(record: OrderRecord, run: RunState, before: Holdings, now: Holdings) -> str:
    """What the account shows in the order's symbol or currencies that the fills on record do not explain."""
    if record.sent_at is not None and now.taken_at < record.sent_at:
        return "the account was read before it was sent"
    fills = list(_fills_since(record.order.stage, run))
    unknown = next((fill for fill in fills if fill.commission is None), None)
    if unknown is not None:
        return f"the commission of execution {unknown.exec_id} is not known, so cash proves nothing"
    symbol = record.order.contract.symbol
    shares = before.positions.get(symbol, ZERO) + _shares(fills, symbol)
    there = now.positions.get(symbol, ZERO)
    if symbol != FUNDING.symbol and shares != there:
        return f"the account shows {there:f} {symbol}, the fills on record make {shares:f}"
    moved = cash_moved(run, fills)
    currencies = (USD, FUNDING.currency) if symbol == FUNDING.symbol else (record.order.contract.currency,)
    for currency in currencies:
        expected = before.cash.get(currency, ZERO) + moved[currency]
        # the ledger rounds each booking to the cent
        if abs(now.cash.get(currency, ZERO) - expected) > CENT * (1 + len(fills)):
            found = now.cash.get(currency, ZERO)
            return f"the account shows {found:,.2f} {currency}, the fills on record make {price_text(expected)}"
    return ""


def _fills_since(stage: Stage, run: RunState) -> Iterator[Fill]:
    """The run's fills in this stage and later ones: what the account before it did not have yet."""
    later = _STAGES[_STAGES.index(stage) :]
    return (fill for record in run.orders.values() if record.order.stage in later for fill in record.fills)


def _shares(fills: list[Fill], symbol: Symbol) -> Decimal:
    own = (fill for fill in fills if fill.symbol == symbol)
    return sum((fill.shares if fill.side is Side.BUY else -fill.shares for fill in own), ZERO)


def _day(at: datetime) -> date:
    return at.astimezone(NEW_YORK).date()
