"""What is on record of a run: its orders with their fills, its approvals, its gates, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from core.errors import (
    TRANSIENT,
    AccountBusy,
    ApprovalExpired,
    ApprovalRejected,
    ExitCode,
    MarketClosed,
    OutputFailed,
    RebalanceError,
    RunCancelled,
    StartedLate,
    leading,
)
from core.model.account import AccountSnapshot, WorkingOrder
from core.model.orders import Fill, Order
from core.model.planning import Plan, Valuation
from core.model.types import AccountId, BrokerKind, Mode, OrderState, RejectReason, RunId, Symbol


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person found out about an order whose state was unknown, and which cannot fill any more.

    `filled` are all shares (USD for USD.CAD) that it ever filled, at `price` on average in the contract's currency;
    `existed` is false where the broker never had it. `text` is what the person wrote.
    """

    by: str
    at: datetime
    text: str
    filled: Decimal = Decimal(0)
    price: Decimal | None = None
    existed: bool = True


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order and all that is known of it; `core.journal.transitions` alone changes it.

    `created_at` is when it was intended, `sent_at` when it left, None for one that never did. `fills` are the latest
    revision of each execution, in order of time; `reported_filled` is the broker's own cumulative count in shares (USD
    for USD.CAD), which may run ahead of the fills that have arrived. `reason` and `code` are the broker's text and
    error code for its state, or our reason for NOT_SENT and UNKNOWN. `reject_reason` is why the broker ended it or the
    gateway holds it, where it gave a reason; `notices` are its other messages about the order, as it wrote them.
    `finding` is what a person found of one at UNKNOWN, which stays there: it is not the broker's word.
    """

    order: Order
    state: OrderState
    created_at: datetime
    sent_at: datetime | None = None
    reason: str = ""
    code: int | None = None
    perm_id: int = 0
    fills: tuple[Fill, ...] = ()
    reported_filled: Decimal = Decimal(0)
    reject_reason: RejectReason | None = None
    notices: tuple[str, ...] = ()
    finding: Finding | None = None

    @property
    def needs_person(self) -> bool:
        """Whether nobody can tell what became of the order, and no person has looked yet."""
        return self.state is OrderState.UNKNOWN and self.finding is None

    @property
    def is_held(self) -> bool:
        """Whether the gateway holds the order for a reason it gave, and the order has not ended yet."""
        return self.reject_reason is not None and not self.state.is_final

    @property
    def filled(self) -> Decimal:
        """Shares (USD for USD.CAD) filled."""
        return sum((fill.shares for fill in self.fills), Decimal(0))

    @property
    def open_quantity(self) -> Decimal:
        """Shares (USD for USD.CAD) that may still fill; 0 for an order that has ended."""
        return Decimal(0) if self.state.is_final else self.order.quantity - self.filled

    @property
    def is_settled(self) -> bool:
        """Whether the order has ended and every fill that the broker counts has arrived."""
        return self.state.is_final and self.filled >= self.reported_filled

    @property
    def average_price(self) -> Decimal | None:
        """Volume-weighted price of the fills, in the contract's currency; None without a fill."""
        if not self.filled:
            return None
        return sum((fill.shares * fill.price for fill in self.fills), Decimal(0)) / self.filled


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's answer to the question about one plan; it is used once.

    `plan_hash` is the plan that was asked about, `note` the approver's own. `how` is form, terminal, `--yes`, script or
    settings, with "and one-time code" after it where a code has proved who the approver is.
    """

    plan_hash: str
    approved: bool
    approver: str
    at: datetime
    note: str = ""
    how: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One rebalance from start to end.

    `flow_run_id` is Prefect's, of which `run_id` is a hash. `ended_at`, `exit_code` and `reason` are empty while it is
    under way, and for good where its process was killed. `approvals` are all answers, in order.
    """

    run_id: RunId
    flow_run_id: str
    account_id: AccountId
    mode: Mode
    started_at: datetime
    ended_at: datetime | None = None
    exit_code: ExitCode | None = None
    reason: str = ""
    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class GateFault:
    """One check of a data gate that failed; `rows` name what is at fault ("line 7: SMURF VTI").

    A check that `could_not_run` blocks, however light its severity.
    """

    check: str
    is_critical: bool
    rows: tuple[str, ...]
    message: str
    could_not_run: bool = False


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """The result of a data gate for one table of `rows` rows, after `checks` checks."""

    table: str
    rows: int
    checks: int
    faults: tuple[GateFault, ...]

    @property
    def blocks(self) -> bool:
        return any(fault.is_critical or fault.could_not_run for fault in self.faults)


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A step of the run, one line of the timeline: a `kind` such as `fill`, and in `detail` its text."""

    at: datetime
    kind: str
    detail: str


class RunEnding(StrEnum):
    """How a run ended: the name of its Prefect state, and `state` in result.json.

    SKIPPED is a run that did not trade for an outside cause (account busy, market closed, started late); REFUSED one
    that a rule, a check or its own input stopped before anything was sent; FAILED any other failure.
    """

    COMPLETED = "Completed"
    NO_TRADES = "No trades"
    REFUSED = "Refused"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    REJECTED = "Rejected"
    EXPIRED = "Expired"
    SKIPPED = "Skipped"


_BY_A_PERSON: dict[type[RebalanceError], RunEnding] = {
    RunCancelled: RunEnding.CANCELLED,
    ApprovalRejected: RunEnding.REJECTED,
    ApprovalExpired: RunEnding.EXPIRED,
}
# the cause lies outside the run: at another time the same run would have gone through
_OUTSIDE_CAUSES = (AccountBusy, MarketClosed, StartedLate)
# a connection or a disk failed: nobody refused anything
_BREAKDOWN = (*TRANSIENT, OutputFailed)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Everything a report is made from; nothing in a report is computed from anywhere else.

    `plan` is None when the run ended before there was one; `before`, `after` and `valuation_after` when the account was
    not read. `residual_drift_bps` is what is left of each symbol's drift in basis points, positive for overweight.
    `settings` are the effective ones by section and key, secrets masked. `not_sent` is the reason of each
    trade of the plan that never became an order, "" where it is not known, and `reduced` that of each that became a
    smaller one; both are empty in modes that send none. `cancelled` are orders of earlier runs that this one cancelled.
    `no_plan_reason` is why a run that ended well made no plan.
    `recovered` is how the run ended where another process than its own found that out. `errors` are in order of time:
    the first cause first.
    """

    run_id: RunId
    name: str
    mode: Mode
    broker: BrokerKind | None
    account_id: AccountId
    started_at: datetime
    ended_at: datetime
    settings: Mapping[str, Mapping[str, str]]
    recovered: str = ""
    no_plan_reason: str = ""
    plan: Plan | None = None
    before: AccountSnapshot | None = None
    after: AccountSnapshot | None = None
    valuation_after: Valuation | None = None
    residual_drift_bps: Mapping[Symbol, Decimal] | None = None
    orders: tuple[OrderRecord, ...] = ()
    not_sent: Mapping[Symbol, str] = field(default_factory=dict)
    reduced: Mapping[Symbol, str] = field(default_factory=dict)
    cancelled: tuple[WorkingOrder, ...] = ()
    approvals: tuple[Approval, ...] = ()
    gates: tuple[GateVerdict, ...] = ()
    events: tuple[RunEvent, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[RebalanceError, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        return leading(self.errors).exit_code if self.errors else ExitCode.DONE

    @property
    def reason(self) -> str:
        """The failure on one line, or what was done."""
        if self.errors:
            return leading(self.errors).in_full
        if self.recovered:
            return self.recovered
        if self.plan is None or not self.plan.trades:
            return self.no_plan_reason or _why_nothing_trades(self.plan)
        if not self.mode.sends_orders:
            return "planned; this mode sends no orders"
        return f"not accounted for: {', '.join(self.unaccounted)}" if self.unaccounted else "done"

    @property
    def unaccounted(self) -> tuple[Symbol, ...]:
        """The trades of the plan that did not fill as planned without a reason on record; none in a run that is done.

        A trade is accounted for when its last order filled whole and a reason is known for what was not ordered, or
        when nothing of it was sent for a reason.
        """
        if self.plan is None or not self.mode.sends_orders:
            return ()
        made: dict[Symbol, list[OrderRecord]] = {}
        for record in self.orders:
            made.setdefault(record.order.contract.symbol, []).append(record)
        return tuple(
            symbol
            for symbol, quantity in self.plan.quantities.items()
            if not self._is_accounted_for(symbol, quantity, made.get(symbol, []))
        )

    def _is_accounted_for(self, symbol: Symbol, planned: Decimal, made: Sequence[OrderRecord]) -> bool:
        """`made` are the orders of the trade, attempt by attempt."""
        if not made:
            return bool(self.not_sent.get(symbol))
        filled = sum((record.filled for record in made), Decimal(0))
        # each further attempt is for the remainder, at most: when the last has filled, so has all that was ordered
        is_complete = made[-1].filled == made[-1].order.quantity
        return is_complete and (filled == planned or bool(self.reduced.get(symbol)))

    @property
    def was_sent(self) -> bool:
        """Whether any order left; one that may have left, as at SENDING, counts."""
        return any(record.sent_at for record in self.orders)

    @property
    def status(self) -> str:
        """completed or no_trades (exit 0), aborted (nothing was sent), failed (orders were sent)."""
        if self.errors:
            return "failed" if self.was_sent else "aborted"
        is_traded = self.was_sent if self.recovered else self.plan is not None and self.plan.trades
        return "completed" if is_traded else "no_trades"

    @property
    def ending(self) -> RunEnding:
        if not self.errors:
            return RunEnding.COMPLETED if self.status == "completed" else RunEnding.NO_TRADES
        error = leading(self.errors)
        by_a_person = _BY_A_PERSON.get(type(error))
        if by_a_person:
            return by_a_person
        if self.was_sent or isinstance(error, _BREAKDOWN) or error.exit_code is ExitCode.UNFORESEEN:
            return RunEnding.FAILED
        return RunEnding.SKIPPED if isinstance(error, _OUTSIDE_CAUSES) else RunEnding.REFUSED


def _why_nothing_trades(plan: Plan | None) -> str:
    """Why a run without a failure made no trade: an account in balance is one thing, one without money another."""
    held_back = [line.limited_by for line in plan.lines if line.is_held_back] if plan else []
    if not held_back:
        return "nothing needed trading"
    number = len(held_back)
    symbols = "1 symbol outside its band is" if number == 1 else f"{number} symbols outside their band are"
    return f"nothing was traded: {symbols} held back by {', '.join(sorted({str(each) for each in held_back}))}"
